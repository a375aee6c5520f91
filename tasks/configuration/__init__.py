"""What the worker was started with: its settings, its reviewed files, TLS, and the version of its code."""
