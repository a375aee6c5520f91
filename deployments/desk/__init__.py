"""The desk: a small web application at which leads decide. It holds no secret and no right; the worker checks every answer."""
