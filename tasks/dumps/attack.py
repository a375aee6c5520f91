"""The attack: the source's own values, hashed under a throw-away key, searched in everything that reached staging.

Why: a policy can be complete and still wrong, because a personal value also stands in a column that nobody thought of.
The hashes are of values that masking replaced; finding one of them anywhere is a leak. Clear values never leave the
source, and hashes and key are destroyed after the load.
"""

import json
import os
import secrets as random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from tasks.dumps.masks import MANY, masked, rows_of, tell
from tasks.dumps.planning import ColumnPlan, MaskingPlan, TablePlan
from tasks.estate.tables import Table
from tasks.masking.session import Session

SHORTEST = 6  # characters; shorter values (postcodes, initials) occur by chance
LONGEST = 400  # characters; longer ones are texts, whose parts are searched for instead
VALUES = 20_000  # of each column; a column that leaks at all leaks many of them, and more only cost time
FREQUENT = 20  # a value that more rows share identifies nobody ("unknown")
# Fakes of these come from pools of real names and places: an equal value is chance, not a leak.
FROM_POOLS = {
    "first_name",
    "last_name",
    "full_name",
    "company",
    "street",
    "city",
    "postcode",
    "choice",
    "number",
    "birth_date",
    "date_shift",
}
HASHES = {"hash", "token", "uuid"}  # made of nothing but the keyed hash
PART = r'[^\s"<>,;(){}\[\]]{6,}'
SEARCHABLE = ("S", "U")  # text, and "other", of which json, jsonb and bytea are the ones that hold text


@dataclass
class Secrets:
    """What the attack knows: a key, and for each masked column the hashes of its values. Never printed, never pickled
    into a result: it goes from the export to the load as a file with mode 0600, or in memory, and is then destroyed.
    """

    key: str = field(default_factory=lambda: random.token_hex(16), repr=False)
    hashes: dict[str, "array[int]"] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        """How many values are searched for."""
        return sum(map(len, self.hashes.values()))

    def save(self, path: Path) -> None:
        """Write it for the load that follows, readable by this user only."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            lengths = {label: len(values) for label, values in self.hashes.items()}
            file.write(json.dumps({"key": self.key, "lengths": lengths}).encode() + b"\n")
            for values in self.hashes.values():
                values.tofile(file)

    @classmethod
    def read(cls, path: Path) -> "Secrets":
        """What `save` wrote."""
        with path.open("rb") as file:
            head = json.loads(file.readline())
            found = cls(key=head["key"])
            for label, length in head["lengths"].items():
                found.hashes[label] = array("q")
                found.hashes[label].fromfile(file, length)
            return found


def collect(connection: psycopg.Connection[Any], plan: MaskingPlan, session: Session) -> Secrets:
    """The hashes of the values that masking replaces, computed inside the source within its snapshot."""
    found = Secrets()
    wanted = [(table, each) for table in plan.tables for each in table.columns if _attacked(each)]
    expressions = [(table, each, _replacement(table, each, session)) for table, each in wanted]
    tell(connection, session)
    connection.execute("SELECT set_config('understudy.attack', %s, false)", (found.key,))
    for table, each, made in expressions:
        rows = connection.execute(_collected(table.table, each, made)).fetchall()
        found.hashes[f"{table.table.name}.{each.column.name}"] = array("q", (row[0] for row in rows))
    return found


def _replacement(table: TablePlan, each: ColumnPlan, session: Session) -> Composable:
    """What the column becomes, where that could still hold the value; a keyed hash cannot, and computing it is dear."""
    if each.rule.word in HASHES and not _nested(each):
        return SQL("''")
    return masked(table, each, session)


def _nested(each: ColumnPlan) -> bool:
    return each.column.array or each.column.base in ("json", "jsonb")


def _attacked(each: ColumnPlan) -> bool:
    return each.masked and each.rule.word not in FROM_POOLS and each.column.base != "bytea" and _holds_text(each)


def _holds_text(each: ColumnPlan) -> bool:
    return each.column.category in SEARCHABLE or each.column.array


def _collected(table: Table, each: ColumnPlan, made: Composable) -> Composed:
    """Distinct values that are long enough, rare enough and really replaced; of nested values, those of their parts."""
    parts = SQL("SELECT v FROM values WHERE length(v) BETWEEN {} AND {} AND strpos(made, v) = 0").format(
        Literal(SHORTEST), Literal(LONGEST)
    )
    if _nested(each):
        # Words alone occur by chance, in fakes from pools too; what identifies in a document has a digit or an @.
        parts = SQL(
            "SELECT m[1] FROM values, LATERAL regexp_matches(v, {}, 'g') AS m"
            " WHERE m[1] ~ '[0-9@]' AND strpos(made, m[1]) = 0"
        ).format(Literal(PART))
    source = rows_of(table)
    if table.estimated_rows > 2 * VALUES and table.estimated_rows > MANY and not table.foreign_leaves:
        share = Literal(min(100.0, 200.0 * VALUES / table.estimated_rows))
        source = SQL("{} TABLESAMPLE SYSTEM ({})").format(source, share)
    return SQL(
        "WITH values AS (SELECT lower({column}::text) AS v, lower(coalesce(({made})::text, '')) AS made FROM {source}"
        " WHERE {column} IS NOT NULL), parts (v) AS ({parts})"
        " SELECT {hash} FROM parts GROUP BY v HAVING count(*) <= {frequent} LIMIT {most}"
    ).format(
        column=Identifier(each.column.name),
        made=made,
        source=source,
        parts=parts,
        hash=_hash(SQL("v")),
        frequent=Literal(FREQUENT),
        most=Literal(VALUES),
    )


def _hash(text: Composable) -> Composable:
    """64 bits of SHA-256 over key and text, as a bigint: 10^6 hashes against 10^8 values meet by chance 5 times in 10^6."""
    return SQL(
        "('x' || left(encode(sha256(convert_to((SELECT current_setting('understudy.attack')) || {}, 'UTF8')), 'hex'), 16))"
        "::bit(64)::bigint"
    ).format(text)


def search(
    connection: psycopg.Connection[Any], tables: list[TablePlan], secrets: Secrets
) -> Iterator[tuple[str, str, int]]:
    """Look for every hash in every column that can hold text. Gives (where found, whose value, in how many places)."""
    connection.execute("SELECT set_config('understudy.attack', %s, true)", (secrets.key,))
    connection.execute("CREATE TEMP TABLE understudy_attack (hash bigint, label text) ON COMMIT DROP")
    with connection.cursor() as cursor, cursor.copy("COPY pg_temp.understudy_attack FROM STDIN") as copy:
        for label, hashes in secrets.hashes.items():
            escaped = label.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
            copy.write("".join(f"{value}\t{escaped}\n" for value in hashes))
    # Looked up once for every column: without the index each look builds a hash table over all of them, even for four rows.
    connection.execute("CREATE INDEX ON pg_temp.understudy_attack (hash)")
    connection.execute("ANALYZE pg_temp.understudy_attack")
    for table in tables:
        for each in table.columns:
            if _searched(each):
                for label, places in connection.execute(_found(table.table, each)).fetchall():
                    yield f"{table.table.name}.{each.column.name}", label, places
    connection.execute("DROP TABLE pg_temp.understudy_attack")


def _searched(each: ColumnPlan) -> bool:
    """All that can hold text, but what is made from pools, constant (compared as such), or never read."""
    if each.unread or each.column.base in ("bytea", "uuid", "inet", "cidr") or not _holds_text(each):
        return False
    return not (each.masked and each.rule.word in FROM_POOLS | {"blank", "constant", "null", "password"})


def _found(table: Table, each: ColumnPlan) -> Composed:
    value = SQL("lower({}::text)").format(Identifier(each.column.name))
    parts = SQL("SELECT v FROM values WHERE length(v) BETWEEN {} AND {}").format(Literal(SHORTEST), Literal(LONGEST))
    if not each.masked or _nested(each):
        parts = SQL("{} UNION ALL SELECT m[1] FROM values, LATERAL regexp_matches(v, {}, 'g') AS m").format(
            parts, Literal(PART)
        )
    return SQL(
        "WITH values AS (SELECT DISTINCT {} AS v FROM {} WHERE {} IS NOT NULL), parts AS ({}) "
        "SELECT a.label, count(*) FROM parts JOIN pg_temp.understudy_attack a ON a.hash = {} GROUP BY a.label"
    ).format(value, rows_of(table), Identifier(each.column.name), parts, _hash(SQL("v")))
