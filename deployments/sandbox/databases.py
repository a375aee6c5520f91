"""The sandbox's databases. Each is a program that starts its own PostgreSQL server and builds its contents.

Run as `python -m deployments.sandbox.databases NAME FOLDER [KEPT]`. NAME is `production` or `staging` for the school's
databases, or `history` for the empty database in which Prefect's server stores its runs. When the database is ready, the
program writes its addresses to FOLDER/NAME.json; a signal stops the server. KEPT is a folder for data that outlast the server.
Separate programs build all databases in parallel, and Ctrl-C never leaves one half started.
"""

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from deployments.sandbox.postgres import SUPERUSER, TRIGRAMS, Postgres, installation
from deployments.sandbox.processes import MARK, ProgramFailed, exit_at_signals
from deployments.sandbox.school.database import OWNER, READER, build

NAME = "schulportal"
SIDES = ("production", "staging")
HISTORY = "history"


@dataclass(frozen=True)
class Database:
    """One of the databases, seen from another process. `kept`: a folder for data that outlast the server."""

    side: str
    folder: Path
    kept: Path | None = None

    @property
    def command(self) -> list[str]:
        """The module and arguments that start it."""
        return ["deployments.sandbox.databases", self.side, str(self.folder), *([str(self.kept)] if self.kept else [])]

    def is_ready(self) -> bool:
        """Return whether it is built and accepts connections."""
        return self._addresses.exists()

    def url(self, role: str) -> str:
        """Return its address for one of its roles, once it is ready."""
        addresses: dict[str, str] = json.loads(self._addresses.read_text(encoding="utf-8"))
        return addresses[role]

    def announce(self, addresses: dict[str, str]) -> None:
        """Write the addresses at once, so that no reader sees an incomplete file."""
        unfinished = self._addresses.with_suffix(".new")
        unfinished.write_text(json.dumps(addresses), encoding="utf-8")
        unfinished.replace(self._addresses)

    def forget(self) -> None:
        """Remove the addresses of an earlier start, whose server has ended."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._addresses.unlink(missing_ok=True)

    @property
    def _addresses(self) -> Path:
        return self.folder / f"{self.side}.json"


def main() -> None:
    """Start, build, announce, and wait for the signal that ends it."""
    database = Database(sys.argv[1], *map(Path, sys.argv[2:]))
    exit_at_signals()
    # The server has no mark: a marked process may be killed, and a killed server leaves a shared memory segment. Its guard
    # stops it properly, also after a kill -9 of this program.
    os.environ.pop(MARK, None)
    if database.side == HISTORY:
        with Postgres(database.folder, fsync=False, extension=TRIGRAMS, kept=database.kept) as server:
            database.announce({SUPERUSER: prefect_url(server)})
            _serve(server)
    with Postgres(database.folder, fsync=False) as server:
        build(server.create(NAME), staging=database.side == "staging")
        database.announce({role: server.url(NAME, user=role) for role in (OWNER, READER)})
        _serve(server)


def _serve(server: Postgres) -> NoReturn:
    """Wait for the signal that ends this program."""
    print(f"The database is ready in {server.home}", flush=True)
    while True:
        signal.pause()


def prefect_url(server: Postgres) -> str:
    """Return the address of the database `postgres`, the only one in this server, in the form for Prefect's server."""
    return server.url().replace("postgresql://", "postgresql+asyncpg://", 1)


def history_serves() -> bool:
    """Return whether a PostgreSQL for Prefect's server is installed. If not, it uses SQLite."""
    try:
        installation(extension=TRIGRAMS)
    except ProgramFailed:
        return False
    return True


if __name__ == "__main__":
    main()
