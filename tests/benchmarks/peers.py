"""The peers from the package index, each in an environment of its own, with rules as equal as they allow: nine hashed columns."""

import os
import signal
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import yaml

from tests.benchmarks.policies import SHOP_MASKED

INSTALL_WITHIN = 600  # seconds
SALT = "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069"


class Skipped(Exception):
    """A peer that cannot be measured, with the reason in words."""


@dataclass(frozen=True)
class Place:
    """What a peer gets: its programs, a database of its own to read or change, PostgreSQL's programs, a folder, a limit."""

    programs: Path
    url: str
    postgres: Path
    folder: Path
    within: float

    @property
    def host(self) -> str:
        """The folder of the server's socket."""
        return parse_qs(urlsplit(self.url).query)["host"][0]

    @property
    def database(self) -> str:
        """The name of its database."""
        return urlsplit(self.url).path.lstrip("/")

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run one of its programs to the end. Raise `Skipped` with the last line of its output, or when the time is up."""
        command = [str(self.programs / program), *map(str, arguments)]
        environment = {
            **os.environ,
            "PATH": f"{self.postgres}:{os.environ.get('PATH', os.defpath)}",
            "PGHOST": self.host,
        }
        log = self.folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder,
                env=environment, start_new_session=True,
            )  # fmt: skip
            try:
                code = process.wait(self.within)
            except subprocess.TimeoutExpired:
                raise Skipped(f"not done after {self.within:.0f} s") from None
            finally:  # its workers too, whatever interrupted us
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if code != 0:
            lines = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            raise Skipped(f"ended with {code}: {lines[-1][:160]}")

    def plain_dump(self) -> Path:
        """The database as plain SQL: where two of the peers start."""
        path = self.folder / "plain.sql"
        subprocess.run([self.postgres / "pg_dump", "--no-owner", "-f", path, self.url], check=True)
        return path


Timed = Callable[[], None]


@dataclass(frozen=True)
class Peer:
    """A package, and what it does. `prepare` does the part that is not timed, and returns the part that is."""

    name: str
    version: str
    does: str
    prepare: Callable[[Place], Timed]

    def installed(self, cache: Path) -> Path:
        """Return its programs, in an environment of its own that is created once. Raise `Skipped` if it cannot be installed."""
        home = cache / f"{self.name}-{self.version}-python{sys.version_info[0]}.{sys.version_info[1]}"
        ready = home / ".installed"
        if not ready.exists():
            venv.create(home, with_pip=True, clear=True)
            command = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            try:
                made = subprocess.run(
                    [*command, f"{self.name}=={self.version}"], capture_output=True, text=True, timeout=INSTALL_WITHIN
                )
            except subprocess.TimeoutExpired:
                raise Skipped(f"not installed after {INSTALL_WITHIN} s") from None
            if made.returncode != 0:
                raise Skipped(
                    f"does not install: {(made.stderr.strip().splitlines() or ['no reason given'])[-1][:160]}"
                )
            ready.touch()
        return home / "bin"


def _hashed(column: str) -> str:
    return f"left(encode(sha256(convert_to('{SALT}' || {column}, 'UTF8')), 'hex'), 32)"


def _pg_anon(place: Place) -> Timed:
    rules = {
        "dictionary": [
            {"schema": "public", "table": table, "fields": {column: _hashed(f'"{column}"') for column in columns}}
            for table, columns in SHOP_MASKED.items()
        ]
    }
    file = place.folder / "dictionary.py"
    file.write_text(repr(rules))
    login = [f"--db-host={place.host}", f"--db-name={place.database}", "--db-user=postgres"]
    # Its `init` wants pgcrypto, which the embedded server lacks. Our rules call built-in functions, not those it would make.
    with psycopg.connect(place.url) as connection:
        connection.execute("CREATE SCHEMA anon_funcs")
    return lambda: place.run(
        "pg_anon", "dump", *login, f"--prepared-sens-dict-file={file}", f"--output-dir={place.folder / 'out'}",
        f"--pg-dump={place.postgres / 'pg_dump'}",
    )  # fmt: skip


def _cloakdb(place: Place) -> Timed:
    tables = {
        table: {"columns": {column: {"strategy": "deterministic_hash"} for column in columns}}
        for table, columns in SHOP_MASKED.items()
    }
    settings = {"version": "1", "global_settings": {"salt": SALT, "seed": 42}, "tables": tables}
    file, dump = place.folder / "rules.yaml", place.plain_dump()
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return lambda: place.run(
        "cloakdb", "mask", "-c", file, "-i", dump, "-o", place.folder / "out.sql", "--workers", "2"
    )


def _pganonymize(place: Place) -> Timed:
    tables = [
        {table: {"primary_key": "id", "fields": [{column: {"provider": {"name": "md5"}}} for column in columns]}}
        for table, columns in SHOP_MASKED.items()
    ]
    file = place.folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"tables": tables}, sort_keys=False))
    login = [f"--dbname={place.database}", "--user=postgres", f"--host={place.host}", "--password=none"]
    return lambda: place.run("pganonymize", f"--schema={file}", *login)


def _pynonymizer(place: Place) -> Timed:
    tables = {
        table: {"columns": {column: f"({_hashed(column)})" for column in columns}}
        for table, columns in SHOP_MASKED.items()
    }
    file, dump = place.folder / "rules.yml", place.plain_dump()
    file.write_text(yaml.safe_dump({"tables": tables}, sort_keys=False))
    return lambda: place.run(
        "pynonymizer", "-t", "postgres", "-i", dump, "-o", place.folder / "out.sql", "-s", file, "-d", place.host,
        "-P", "5432", "-n", "peer_pynonymizer", "-u", "postgres", "-p", "none",
    )  # fmt: skip


PEERS = (
    Peer("pg_anon", "1.12.0", "masked dump, 4 connections, SQL rules", _pg_anon),
    Peer("cloakdb", "1.0.0", "plain dump in, masked dump out, 2 workers", _cloakdb),
    Peer("pganonymize", "0.13.0", "live database, in place, md5", _pganonymize),
    Peer("pynonymizer", "2.5.0", "plain dump in, database, plain dump out, SQL rules", _pynonymizer),
)
