"""Production and staging side by side, read from the two databases themselves and not from anybody's report.

What personal there is on production is shown in hidden form only; the database hides it, before it gets here.
"""

from collections.abc import Iterable
from typing import Any

import bcrypt
import psycopg
from psycopg import sql

from deployments.sandbox.school.database import CANARIES
from tasks.masking.session import PASSWORD

FIELDS = {"name": "display_name", "e-mail": "email", "phone": "phone", "born": "birth_date", "IBAN": "iban"}
LOADED = ("users", "students", "messages", "parental_letters", "attachments", "audit_events", "billing.invoices")
EMPTY = ("login_sessions", "mail_queue")  # dropped by the policy; and no trigger of the load has queued a mail
OWN = "ImportExportAudit"  # staging keeps its own
WRONG = "staging124"
Row = tuple[Any, ...]
Reader = psycopg.Connection[Row]


class SideBySide:
    """A connection to each database, to read from; a context manager."""

    def __init__(self, production: str, staging: str) -> None:
        """Addresses of the two; a role that may read is enough."""
        read_only = "-c default_transaction_read_only=on -c timezone=UTC"
        self._production = psycopg.connect(production, autocommit=True, options=read_only)
        self._staging = psycopg.connect(staging, autocommit=True, options=read_only)

    def __enter__(self) -> "SideBySide":
        return self

    def __exit__(self, *error: object) -> None:
        self._production.close()
        self._staging.close()

    def counts(self) -> dict[str, tuple[int, int]]:
        """Rows of some tables: table → on production, on staging."""
        names = (*LOADED, *EMPTY, OWN)
        return {name: (_count(self._production, name), _count(self._staging, name)) for name in names}

    def counts_agree(self) -> bool:
        """Whether what was loaded is as much as production has, and what does not travel is empty."""
        counts = self.counts()
        same = all(counts[name][0] == counts[name][1] for name in LOADED)
        return same and not any(counts[name][1] for name in EMPTY)

    def person(self, email: str) -> int:
        """The id of a user of production, who keeps it on staging."""
        ((found,),) = self._production.execute("SELECT id FROM users WHERE email = %s", (email,)).fetchall()
        return int(found)

    def people(self, ids: Iterable[int]) -> list[str]:
        """These users on both sides: hidden on production, as they are on staging."""
        lines = []
        for each in ids:
            there = _read(self._production, each, hidden=True)
            here = _read(self._staging, each, hidden=False)
            rows = [("", "production (hidden)", "staging"), *zip(FIELDS, there, here, strict=True)]
            lines += [f"user {each}", *aligned(rows), ""]
        return lines

    def marker(self) -> list[str]:
        """The row that says on staging what it is."""
        columns = ("app", "source_host", "exported_at", "loaded_at", "dump", "contains_personal_data", "notice")
        query = sql.SQL("SELECT {} FROM understudy.staging_data")
        (row,) = self._staging.execute(query.format(sql.SQL(", ").join(map(sql.Identifier, columns)))).fetchall()
        return aligned(zip(columns, map(str, row), strict=True))

    def login(self) -> tuple[bool, str]:
        """Whether the password of staging opens every account there and another one does not; and that in words."""
        query = "SELECT count(*), count(DISTINCT password_hash), min(password_hash) FROM users"
        ((accounts, hashes, stored),) = self._staging.execute(query).fetchall()
        right, wrong = _opens(PASSWORD, stored), _opens(WRONG, stored)
        words = {True: "opens it", False: "does not"}
        told = f"{accounts} accounts, {hashes} hash; bcrypt: '{PASSWORD}' {words[right]}, '{WRONG}' {words[wrong]}"
        return right and not wrong and hashes == 1, told

    def search(self) -> tuple[bool, list[str]]:
        """Look for each canary in every row of every table. True if production has them all and staging has none.

        Production is searched too, because a search that finds nothing anywhere proves nothing.
        """
        there, here = _searched(self._production), _searched(self._staging)
        good = there.found == set(CANARIES) and not here.found
        return good, [f"production: {there}", f"staging:    {here}"]


class _Searched:
    """What a search for the canaries found: their kinds, never their values."""

    def __init__(self, tables: int, rows: int, found: set[str]) -> None:
        self.tables, self.rows, self.found = tables, rows, found

    def __str__(self) -> str:
        which = f" ({', '.join(sorted(self.found))})" if self.found else ""
        return f"{len(self.found)} of {len(CANARIES)} canaries{which} in {self.rows} rows of {self.tables} tables"


TABLES = """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""
# A row as text has all of it: documents, arrays, and bytes in hexadecimal digits.
SEARCH = """WITH said AS MATERIALIZED (SELECT lower(entry::text) AS text FROM ONLY {} AS entry)
    SELECT (SELECT count(*) FROM said), ARRAY(SELECT DISTINCT kind FROM unnest(%s::text[], %s::text[]) AS n (kind, needle)
        WHERE EXISTS (SELECT FROM said WHERE strpos(said.text, lower(needle)) > 0))"""


def _searched(connection: Reader) -> _Searched:
    needles = [*CANARIES.items(), *((kind, value.encode().hex()) for kind, value in CANARIES.items())]
    kinds, values = map(list, zip(*needles, strict=True))
    tables = connection.execute(TABLES).fetchall()
    rows, found = 0, set[str]()
    for name in tables:
        search = sql.SQL(SEARCH).format(sql.Identifier(*name))
        ((count, kinds_there),) = connection.execute(search, (kinds, values)).fetchall()
        rows += count
        found.update(kinds_there)
    return _Searched(len(tables), rows, found)


def _read(connection: Reader, user: int, *, hidden: bool) -> list[str]:
    """The fields of a user; empty ones are said so, a user who is not there has dashes."""
    shown = "left({0}::text, 1) || repeat('•', least(char_length({0}::text) - 1, 9))" if hidden else "{0}::text"
    said = sql.SQL("coalesce(nullif(" + shown + ", ''), '(empty)')")
    fields = sql.SQL(", ").join(said.format(sql.Identifier(column)) for column in FIELDS.values())
    rows = connection.execute(sql.SQL("SELECT {} FROM users WHERE id = %s").format(fields), (user,)).fetchall()
    return [str(value) for value in rows[0]] if rows else ["–"] * len(FIELDS)


def _count(connection: Reader, name: str) -> int:
    table = sql.Identifier(*name.split("."))
    ((count,),) = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchall()
    return int(count)


def _opens(password: str, stored: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode(), stored.encode())
    except ValueError:  # has the form of a hash, and is none
        return False


def aligned(rows: Iterable[Iterable[object]]) -> list[str]:
    """Rows as lines with columns of equal width."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in texts]
