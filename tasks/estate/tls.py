"""The one TLS context for requests to the hosting API and to websites."""

import ssl
from functools import cache

import httpx


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context that verifies certificates by certifi's list, whatever the environment says.

    httpx reads that list, which takes 50 ms, for every client that has no context; a run opens dozens.
    """
    return httpx.create_ssl_context(trust_env=False)
