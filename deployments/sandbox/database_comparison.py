"""Compares production and staging by reading both databases.

Personal data of production is shown in hidden form only; the database itself hides it.
"""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from deployments.sandbox.school.database import CANARIES
from tasks.masking.session_settings import PASSWORD, opens

FIELDS = {"name": "display_name", "e-mail": "email", "phone": "phone", "born": "birth_date", "IBAN": "iban"}
LOADED = ("users", "students", "messages", "parental_letters", "attachments", "audit_events", "billing.invoices")
EMPTY = ("login_sessions", "mail_queue")  # excluded by the policy, and no trigger of the load has queued a mail
OWN = "ImportExportAudit"  # staging has its own rows
WRONG = "staging124"
Row = tuple[Any, ...]
Reader = psycopg.Connection[Row]


class SideBySide:
    """A read-only connection to each database; a context manager."""

    def __init__(self, production: str, staging: str) -> None:
        """`production` and `staging` are addresses with a role that may read."""
        read_only = "-c default_transaction_read_only=on -c timezone=UTC"
        self._production = psycopg.connect(production, autocommit=True, options=read_only)
        self._staging = psycopg.connect(staging, autocommit=True, options=read_only)

    def __enter__(self) -> "SideBySide":
        return self

    def __exit__(self, *error: object) -> None:
        self._production.close()
        self._staging.close()

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the number of rows by table, on production and on staging."""
        names = (*LOADED, *EMPTY, OWN)
        return {name: (_count(self._production, name), _count(self._staging, name)) for name in names}

    def counts_agree(self) -> bool:
        """Return whether loaded tables have as many rows as production, and excluded ones are empty."""
        counts = self.counts()
        same = all(counts[name][0] == counts[name][1] for name in LOADED)
        return same and not any(counts[name][1] for name in EMPTY)

    def person(self, email: str) -> int:
        """Return the id of a user, which is the same on both sides."""
        ((found,),) = self._production.execute("SELECT id FROM users WHERE email = %s", (email,)).fetchall()
        return int(found)

    def people(self, ids: Iterable[int]) -> list[str]:
        """Return lines with these users on both sides, hidden on production."""
        lines = []
        for each in ids:
            there = _read(self._production, each, hidden=True)
            here = _read(self._staging, each, hidden=False)
            rows = [("", "production (hidden)", "staging"), *zip(FIELDS, there, here, strict=True)]
            lines += [f"user {each}", *aligned(rows), ""]
        return lines

    def marker(self) -> list[str]:
        """Return lines with the marker of staging."""
        columns = ("app", "source_host", "exported_at", "loaded_at", "dump", "contains_personal_data", "notice")
        query = sql.SQL("SELECT {} FROM understudy.staging_data")
        (row,) = self._staging.execute(query.format(sql.SQL(", ").join(map(sql.Identifier, columns)))).fetchall()
        return aligned(zip(columns, map(str, row), strict=True))

    def login(self) -> tuple[bool, str]:
        """Return whether only the password of staging opens every account there, and a description."""
        query = "SELECT count(*), count(DISTINCT password_hash), min(password_hash) FROM users"
        ((accounts, hashes, stored),) = self._staging.execute(query).fetchall()
        right, wrong = opens(PASSWORD, stored), opens(WRONG, stored)
        words = {True: "opens it", False: "does not"}
        details = f"{accounts} accounts, {hashes} hash; bcrypt: '{PASSWORD}' {words[right]}, '{WRONG}' {words[wrong]}"
        return right and not wrong and hashes == 1, details

    def search(self) -> tuple[bool, list[str]]:
        """Search every row for the canaries. Return whether production has all and staging none, and a description.

        Production is searched too: a search that never finds anything proves nothing.
        """
        there, here = _searched(self._production), _searched(self._staging)
        good = there.found == set(CANARIES) and not here.found
        return good, [f"production: {there}", f"staging:    {here}"]


class _Searched:
    """The kinds of canaries that were found, without their values."""

    def __init__(self, tables: int, rows: int, found: set[str]) -> None:
        self.tables, self.rows, self.found = tables, rows, found

    def __str__(self) -> str:
        which = f" ({', '.join(sorted(self.found))})" if self.found else ""
        return f"{len(self.found)} of {len(CANARIES)} canaries{which} in {self.rows} rows of {self.tables} tables"


TABLES = """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""
# A row as text has all of it: documents, arrays, and bytes in hexadecimal digits.
SEARCH = """WITH entries AS MATERIALIZED (SELECT lower(entry::text) AS text FROM ONLY {} AS entry)
    SELECT (SELECT count(*) FROM entries), ARRAY(SELECT DISTINCT kind FROM unnest(%s::text[], %s::text[]) AS n (kind, needle)
        WHERE EXISTS (SELECT FROM entries WHERE strpos(entries.text, lower(needle)) > 0))"""


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
    """Return the fields of a user; empty fields are marked, a missing user has dashes."""
    shown = "left({0}::text, 1) || repeat('•', least(char_length({0}::text) - 1, 9))" if hidden else "{0}::text"
    field = sql.SQL("coalesce(nullif(" + shown + ", ''), '(empty)')")
    fields = sql.SQL(", ").join(field.format(sql.Identifier(column)) for column in FIELDS.values())
    rows = connection.execute(sql.SQL("SELECT {} FROM users WHERE id = %s").format(fields), (user,)).fetchall()
    return [str(value) for value in rows[0]] if rows else ["–"] * len(FIELDS)


def _count(connection: Reader, name: str) -> int:
    table = sql.Identifier(*name.split("."))
    ((count,),) = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchall()
    return int(count)


def aligned(rows: Iterable[Iterable[object]]) -> list[str]:
    """Return rows as lines with aligned columns."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in texts]
