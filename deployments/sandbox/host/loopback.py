"""Quiet HTTP servers on loopback, and programs that serve until a signal."""

import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietRequest(BaseHTTPRequestHandler):
    """A request that is not logged."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


class Listener(ThreadingHTTPServer):
    """A listening socket with a thread for each request."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class Server:
    """Serves a listener in a thread of its own until it is closed. `url` has no trailing slash."""

    def __init__(self, listener: ThreadingHTTPServer) -> None:
        self._listener = listener
        host, port = listener.server_address[:2]
        self.url = f"http://{host!s}:{port}"
        self._thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


def stop_signal() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set from now on, instead of ending the program."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended
