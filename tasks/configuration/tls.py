"""The TLS context of all requests to the hosting API and to websites."""

import ssl
from functools import cache

import httpx


@cache
def tls_context() -> ssl.SSLContext:
    """Return a context that verifies certificates with certifi's list, whatever the environment contains.

    httpx would read that list for every client, which takes 50 ms; a run opens dozens of clients.
    """
    return httpx.create_ssl_context(trust_env=False)
