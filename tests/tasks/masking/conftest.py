"""A bench that runs a maker in PostgreSQL and in Python on the same rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Composable, Identifier
from psycopg.sql import Literal as Quoted

from deployments.sandbox.postgres import Postgres
from tasks.estate.schema import Column, Key, KeyKind, Name, Table
from tasks.masking.keyring import Keyring
from tasks.masking.makers import Maker, Place, parse
from tasks.masking.session_settings import Session
from tests.tasks.dumps.failures.conftest import DEBIAN, Debian

KEY = bytes(range(7, 47))
COLUMNS = {  # declared type → its properties in the catalogue
    "text": {"base": "text", "category": "S"},
    "varchar(80)": {"type": "character varying(80)", "base": "varchar", "category": "S", "max_length": 80},
    "varchar(12)": {"type": "character varying(12)", "base": "varchar", "category": "S", "max_length": 12},
    "char(70)": {"type": "character(70)", "base": "bpchar", "category": "S", "max_length": 70},
    "text[]": {"base": "text", "category": "S", "array": True},
    "varchar(80)[]": {"base": "varchar", "category": "S", "array": True, "max_length": 80},
    "date[]": {"base": "date", "category": "D", "array": True},
    "bytea": {"base": "bytea", "category": "U"},
    "uuid": {"base": "uuid", "category": "U"},
    "json": {"base": "json", "category": "U"},
    "jsonb": {"base": "jsonb", "category": "U"},
    "inet": {"base": "inet", "category": "I"},
    "cidr": {"base": "cidr", "category": "I"},
    "date": {"base": "date", "category": "D"},
    "timestamp": {"type": "timestamp without time zone", "base": "timestamp", "category": "D"},
    "timestamptz": {"type": "timestamp with time zone", "base": "timestamptz", "category": "D"},
    "smallint": {"base": "int2", "category": "N"},
    "integer": {"base": "int4", "category": "N"},
    "bigint": {"base": "int8", "category": "N"},
    "numeric": {"base": "numeric", "category": "N"},
    "boolean": {"base": "bool", "category": "B"},
}
MIMES = ("image/png", "image/JPEG", "application/pdf; version=1", "text/plain", None, "x/unknown", " image/gif ", "")


class Bench:
    """One connection, and a table at a time: `id`, `person` (every third row has none), `mime`, and the value `v`."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def column(self, declared: str) -> Column:
        """Return the value's column."""
        properties: dict[str, Any] = {"type": declared, **COLUMNS[declared]}
        return Column(name="v", **properties)

    def place(self, declared: str, *, by: str = "", group: str = "people", table: str = "t") -> Place:
        """Return the value's place in its table."""
        whole = Table(
            name=Name(schema_name="public", name=table),
            columns=(
                Column(name="id", type="integer", base="int4", category="N", not_null=True),
                Column(name="person", type="bigint", base="int8", category="N"),
                Column(name="mime", type="text", base="text", category="S"),
                self.column(declared),
            ),
            unique_keys=(Key(name="t_pkey", kind=KeyKind.PRIMARY, columns=("id",)),),
        )
        return Place(whole, self.column(declared), group, by=whole.column(by) if by else None)

    def fill(self, declared: str, values: Sequence[str | None]) -> str:
        """Create a table with these values and return its name."""
        name = f"t_{uuid4().hex[:12]}"
        with self.connection.cursor() as cursor:
            cursor.execute(
                SQL("CREATE TEMPORARY TABLE {} (id int PRIMARY KEY, person bigint, mime text, v {})").format(
                    Identifier(name), SQL(declared)
                )
            )
            for number, value in enumerate(values):
                row = (number, number // 2 if number % 3 else None, MIMES[number % len(MIMES)], value)
                insert = SQL("INSERT INTO {} SELECT {}, {}, {}, {}::text::{}")
                cursor.execute(insert.format(Identifier(name), *map(Quoted, row), SQL(declared)))
        return name

    def printed(self, table: str, *expressions: Composable) -> list[tuple[str | None, ...]]:
        """Return what these expressions print, row by row, as COPY writes them."""
        listed = SQL(", ").join(SQL("({})").format(each) for each in expressions)
        with self.connection.cursor() as cursor:
            cursor.execute(SQL("SELECT {} FROM {} ORDER BY id").format(listed, Identifier(table)))
            result = cursor.pgresult
            assert result is not None
            raw = [[result.get_value(row, at) for at in range(result.nfields)] for row in range(result.ntuples)]
        return [tuple(None if value is None else value.decode() for value in row) for row in raw]

    def set(self, session: Session) -> None:
        """Set the settings that the session collected."""
        for name, value in session.settings.items():
            self.connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    def both(
        self,
        maker: Maker | str | Mapping[str, Any],
        declared: str,
        values: Sequence[str | None],
        *,
        by: str = "",
        group: str = "people",
        key: bytes = KEY,
        table: str = "",
    ) -> tuple[list[str | None], list[str | None]]:
        """Return the results in PostgreSQL and in Python. A cast to the column's type must not change them."""
        made = maker if isinstance(maker, Maker) else parse(maker)
        place = self.place(declared, by=by, group=group)
        assert made.problems(place) == []
        session = Session(Keyring(key, run="run-1"), server_version=self.connection.info.server_version)
        table = table or self.fill(declared, values)
        expression = made.sql(place, session)
        self.set(session)
        columns = [SQL(name) for name in ("id", "person", "mime", "v")]
        cast = SQL("({})::{}").format(expression, SQL(declared))
        rows = self.printed(table, expression, cast, *columns)
        if not declared.startswith("char(") and declared != "cidr":  # these print padding, or the netmask
            assert [row[0] for row in rows] == [row[1] for row in rows]
        names = ("id", "person", "mime", "v")
        python = [made.value(row[5] or "", place, session, dict(zip(names, row[2:], strict=True))) for row in rows]
        return [row[0] for row in rows], python


@pytest.fixture(scope="module", params=["embedded", pytest.param("debian-15", marks=pytest.mark.drill)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The newest PostgreSQL that we know, and the one that Debian 12 installs: it casts no bytes to numbers."""
    if request.param == "embedded":
        yield request.getfixturevalue("postgres")
    elif not (DEBIAN / "bin" / "postgres").exists():
        pytest.skip("PostgreSQL 15 of Debian is not installed")
    else:
        with Debian(tmp_path_factory.mktemp("debian")) as made:
            yield made


@pytest.fixture(scope="module")
def bench(server: Postgres) -> Iterator[Bench]:
    """Provide the bench, in a database of its own."""
    with psycopg.connect(server.create(f"bench_{uuid4().hex[:12]}"), autocommit=True) as connection:
        yield Bench(connection)
