"""The sandbox's databases: each a program that starts a PostgreSQL server of its own and builds the school in it.

Run as `python -m deployments.sandbox.databases SIDE FOLDER`, SIDE being `production` or `staging`: it writes the addresses
to FOLDER/SIDE.json when they may be used, and ends the server at a signal. A program and not a thread of the demo, so that
both are built beside everything else, and Ctrl-C in the middle of it finds nothing half started.
"""

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from deployments.sandbox.postgres import Postgres
from deployments.sandbox.processes import MARK
from deployments.sandbox.school.database import OWNER, READER, build

NAME = "schulportal"
SIDES = ("production", "staging")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Database:
    """One of the two databases, as those see it who did not start it."""

    side: str
    folder: Path

    @property
    def command(self) -> list[str]:
        """The module and arguments that start it."""
        return ["deployments.sandbox.databases", self.side, str(self.folder)]

    def is_ready(self) -> bool:
        """Whether it is built and takes connections."""
        return self._addresses.exists()

    def url(self, role: str) -> str:
        """Its address for one of the school's roles, once it is ready."""
        addresses: dict[str, str] = json.loads(self._addresses.read_text(encoding="utf-8"))
        return addresses[role]

    def announce(self, addresses: dict[str, str]) -> None:
        """Say that it may be used: all at once, so that nobody reads half of it."""
        unfinished = self._addresses.with_suffix(".new")
        unfinished.write_text(json.dumps(addresses), encoding="utf-8")
        unfinished.replace(self._addresses)

    def forget(self) -> None:
        """Nothing is ready: no start continues an earlier one, because a server lasts as long as its program."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._addresses.unlink(missing_ok=True)

    @property
    def _addresses(self) -> Path:
        return self.folder / f"{self.side}.json"


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(0)


def main() -> None:
    """Start, build, announce, and wait for the signal that ends it."""
    database = Database(sys.argv[1], Path(sys.argv[2]))
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    # The server goes unmarked: what is marked may be killed outright, and a server killed outright leaves a segment of
    # shared memory. Its own guard ends it properly, also after a kill -9 of this program.
    os.environ.pop(MARK, None)
    with Postgres(database.folder, fsync=False) as server:
        build(server.create(NAME), staging=database.side == "staging")
        database.announce({role: server.url(NAME, user=role) for role in (OWNER, READER)})
        print(f"The school is built in {server.home}", flush=True)
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
