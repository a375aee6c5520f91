"""A receiver of notices on loopback, for an Apprise address `json://` or a webhook block.

`python -m deployments.sandbox.notice_receiver --port N --file F` appends the notices to a file, one JSON object per line.
"""

import argparse
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deployments.sandbox.host.loopback import Listener, QuietRequest, Server, stop_signal

LARGEST = 1 << 20  # bytes; a notice is text


@dataclass(frozen=True)
class Caught:
    """One received notice. `at` is UTC."""

    subject: str
    body: str
    at: datetime

    @classmethod
    def of(cls, payload: object) -> "Caught":
        """Return the notice in a payload: Apprise's title and message, or a webhook's subject and body."""
        fields = payload if isinstance(payload, dict) else {}
        subject = fields.get("title") or fields.get("subject") or ""
        return cls(str(subject), str(fields.get("message") or fields.get("body") or ""), datetime.now(UTC))


class _Shell(QuietRequest):
    """Accepts any POST of JSON."""

    catcher: "Catcher"

    def do_POST(self) -> None:
        """Answer with the status of the catcher."""
        size = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(min(size, LARGEST))
        time.sleep(self.catcher.delay)
        try:
            self.catcher.take(Caught.of(json.loads(body)))
            status = self.catcher.status
        except ValueError:
            status = 400
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Catcher:
    """Receives notices on a loopback port while its block runs, and stores them in `caught`, oldest first.

    It answers with `status` after `delay` seconds; both may be changed at any time.
    """

    def __init__(self, port: int = 0, *, on_caught: Callable[[Caught], None] | None = None) -> None:
        """`port`: 0 selects a free one. `on_caught` is called with each notice, one at a time."""
        self.caught: list[Caught] = []
        self.status = 200
        self.delay = 0.0
        self._on_caught = on_caught
        self._taking = threading.Lock()
        self._listener = Listener(("127.0.0.1", port), type("Shell", (_Shell,), {"catcher": self}))

    @property
    def url(self) -> str:
        """Its address for Apprise, and so for UNDERSTUDY_NOTICES. A webhook block needs `http` instead of `json`."""
        return f"json://127.0.0.1:{self._listener.server_address[1]}/notices"

    def take(self, caught: Caught) -> None:
        """Keep a notice."""
        with self._taking:
            self.caught.append(caught)
            if self._on_caught:
                self._on_caught(caught)

    def __enter__(self) -> "Catcher":
        self._server = Server(self._listener)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.close()


def appending(file: Path) -> Callable[[Caught], None]:
    """Return a function that appends a notice to a file that only its owner can read, as one line of JSON."""

    def append(caught: Caught) -> None:
        line = json.dumps({"subject": caught.subject, "body": caught.body, "at": caught.at.isoformat()})
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(opened, "a", encoding="utf-8") as out:
            out.write(line + "\n")

    return append


def read(file: Path) -> list[Caught]:
    """Return the notices in such a file, oldest first; an empty list if there is no file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    rows = [json.loads(line) for line in lines]
    return [Caught(row["subject"], row["body"], datetime.fromisoformat(row["at"])) for row in rows]


def main() -> None:
    """Catch notices until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="Catches notices on loopback and appends them to a file.")
    parser.add_argument("--port", type=int, required=True, help="loopback port; 0 takes a free one")
    parser.add_argument("--file", type=Path, required=True, help="file of JSON lines")
    options = parser.parse_args()
    ended = stop_signal()
    with Catcher(options.port, on_caught=appending(options.file)) as catcher:
        print(f"Notices to {catcher.url} go to {options.file}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
