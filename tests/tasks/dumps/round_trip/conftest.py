"""Schemas and rows out of nowhere: what hypothesis draws for round trips, from every type and every shape we know of.

Values are texts as PostgreSQL's input functions take them. The types of `TYPES` exist on both servers before.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import strategies as st
from psycopg.sql import Identifier, Literal

from deployments.sandbox.postgres import Postgres
from tasks.dumps.catalog import read_catalog
from tasks.dumps.compression import Compression
from tasks.dumps.connections import connected_to, exported_snapshot, use_snapshot
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.dump_files import assemble
from tasks.dumps.dump_reader import check, read
from tasks.dumps.export_privileges import require_readable
from tasks.dumps.extract import Source, extract, units_of
from tasks.dumps.load import Load
from tasks.dumps.load_plan import draft_load, foreign_keys_to_lift
from tasks.dumps.masking_sql import require_masked_rows_fit
from tasks.dumps.missing_on_staging import dumped_tables
from tasks.dumps.staging_marker import prepare_marker
from tasks.dumps.table_rules import existing_names
from tasks.estate.dumps import Choices, DumpFacts, Header, Loaded
from tasks.estate.relations import Resolver
from tasks.masking.keyring import Keyring
from tasks.masking.policy import Policy
from tasks.masking.session_settings import Session

Texts = st.SearchStrategy[str]

NASTY = ["\\N", "\\\\N", "null", "NULL", "\\", "\\\\", "\\\\\\", '"', "''", '\\"', '",\t"', '"]\n[\t"', "\t", "\n", "\r\n", "\r",
         "\v", "\\v", "\b\f", "\x01\x1f\x7f\x1b", "", " ", "  a  ", "é", "e\u0301", "🙂👩‍👩‍👧", "𝕏\U0010ffff", "\u2028\ufeff",
         "אבג\u202e",
         "\\u0000", "\\u00e4\\/", "{", "}", "{}", "\\.", '{"a": "b\\n"}', "[]", "%s %%", "$1", "{0}"]  # fmt: skip
HUGE = '\\\t"é🙂\n\x07' * 12_000  # 100 kB of what needs an escape
text = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.lists(st.sampled_from(NASTY), max_size=4).map("".join),
)
long_text = st.one_of(text, text, text, st.just(HUGE))
short = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=7)


def quoted(value: str | None) -> str:
    """A member of an array or of a composite value."""
    return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def arrays(members: Texts) -> Texts:
    """Arrays of one and two dimensions, empty, with NULLs, and with a lower bound that is not 1."""
    some = st.one_of(st.none(), members).map(quoted)
    one = st.lists(some, max_size=4).map(lambda found: "{" + ",".join(found) + "}")
    two = st.tuples(some, some, some, some).map(lambda f: f"{{{{{f[0]},{f[1]}}},{{{f[2]},{f[3]}}}}}")
    shifted = st.tuples(some, some).map(lambda found: f"[-1:0]={{{found[0]},{found[1]}}}")
    return st.one_of(one, two, shifted)


def ranges(members: st.SearchStrategy[Any]) -> Texts:
    """Ranges with every kind of bound, and the empty one. Members are sorted as Python sorts them."""
    pair = st.tuples(members, members).map(sorted)
    bounds = st.tuples(st.sampled_from("[("), st.sampled_from("])"))
    closed = st.tuples(pair, bounds).map(lambda f: f'{f[1][0]}"{f[0][0]}","{f[0][1]}"{f[1][1]}')
    return st.one_of(closed, closed, st.just("empty"), st.just("(,)"), members.map(lambda low: f'["{low}",)'))


def multiranges(members: st.SearchStrategy[Any]) -> Texts:
    """Several ranges in one value; PostgreSQL joins those that touch."""
    return st.lists(ranges(members), max_size=3).map(lambda found: "{" + ",".join(found) + "}")


documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=6,
)
blobs, twelve = st.binary(max_size=20).map(lambda found: "\\x" + found.hex()), text.map(lambda found: found[:12])
jsonb = documents.map(lambda found: json.dumps(found, ensure_ascii=False)).filter(lambda found: "\\u0000" not in found)
small, wide = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
ordinary = st.integers(-1000, 1000)
decimals = st.one_of(
    st.sampled_from(["NaN", "Infinity", "-Infinity", "-0.000", "1e-1000", "9" * 1000 + "." + "9" * 1000]),
    st.decimals(allow_nan=False, allow_infinity=False).map(str).filter(lambda found: "E" not in found),
)
days = st.dates(date(1, 1, 1), date(9999, 12, 31))
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 30))
clock = st.times(time(0), time.max)
bits = st.text("01", max_size=20)
coordinates = st.floats(allow_nan=True, allow_infinity=True)
points = st.tuples(coordinates, coordinates).map(lambda at: f"({at[0]},{at[1]})")
ips = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
offsets = st.sampled_from(["+00", "-15:59", "+05:45", "+14", "-00:00:01"])
LABELS = ["a", "it's", 'q"t', "back\\slash", "ta\tb", "🙂", "null", "new\nline"]

TYPES = "".join(
    [
        "CREATE SCHEMA kinds; CREATE TYPE kinds.\"Mood 🙂\" AS ENUM (",
        ", ".join(Literal(label).as_string(None) for label in LABELS),
        "); CREATE DOMAIN kinds.email AS text CHECK (VALUE <> 'no' || 'body');",
        " CREATE DOMAIN kinds.small AS integer NOT NULL CHECK (VALUE BETWEEN -1000 AND 1000);",
        " CREATE DOMAIN kinds.code AS varchar(12); CREATE DOMAIN kinds.deep AS kinds.code CHECK (VALUE <> 'x');",
        ' CREATE TYPE kinds.pair AS (number integer, "some text" text, list text[]);',
        " CREATE TYPE kinds.texts AS RANGE (subtype = text); CREATE SEQUENCE kinds.numbers;",
        " CREATE FUNCTION kinds.stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'",
    ]
)  # fmt: skip

KINDS: dict[str, Texts] = {
    "smallint": st.integers(-(2**15), 2**15 - 1).map(str), "integer": small.map(str), "bigint": wide.map(str),
    "numeric": decimals, "numeric(12,3)": st.decimals(-(10**8), 10**8, places=3).map(str), "numeric(3,-2)": ordinary.map(str),
    "real": st.floats(width=32).map(str), "double precision": st.floats().map(str), "boolean": st.sampled_from(["t", "f"]),
    "text": long_text, "varchar": text, "varchar(12)": twelve, "char(7)": short,
    "\"char\"": st.sampled_from("ab\\\"\t"),
    "name": short, "kinds.email": text, "kinds.small": ordinary.map(str), "kinds.code": twelve,
    "kinds.deep": short.filter(lambda found: found != "x"), "kinds.email[]": arrays(text), 'kinds."Mood 🙂"': st.sampled_from(LABELS),
    'kinds."Mood 🙂"[]': arrays(st.sampled_from(LABELS)),
    "date": st.one_of(days.map(str), st.sampled_from(["infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "0044-03-15 BC"])),
    "time": st.one_of(clock.map(str), st.just("24:00:00")), "time(2)": clock.map(str),
    "timetz": st.tuples(clock, offsets).map(lambda found: f"{found[0]}{found[1]}"),
    "timestamp": st.one_of(moments.map(str), st.sampled_from([
        "infinity", "-infinity", "4713-01-01 00:00 BC", "294276-12-31 23:59:59.999999"])),
    "timestamptz": st.one_of(moments.map(str), st.sampled_from([
        "infinity", "0044-03-15 12:00+00 BC", "2024-06-01 12:00 Europe/Vienna"])),
    "interval": st.one_of(
        st.sampled_from(["infinity", "-infinity", "P-1Y2M-3DT4H-5M6.789S", "178000000 years", "0"]),
        st.tuples(small, small, wide).map(lambda found: f"{found[0] // 2} months {found[1]} days {found[2] // 2} microseconds")),
    "uuid": st.uuids().map(str), "bytea": blobs,
    "json": documents.map(lambda found: " " + json.dumps(found)), "jsonb": jsonb, "jsonb[]": arrays(jsonb),
    "int[]": arrays(small.map(str)), "text[]": arrays(text), "bytea[]": arrays(blobs),
    "float8[]": arrays(st.floats().map(str)), "uuid[]": arrays(st.uuids().map(str)), "varchar(12)[]": arrays(twelve),
    "int4range": ranges(ordinary), "numrange": ranges(ordinary), "daterange": ranges(days), "tsrange": ranges(moments),
    "tstzrange": ranges(moments),
    "int8multirange": multiranges(ordinary), "datemultirange": multiranges(days), "tstzrange[]": arrays(ranges(moments)),
    "kinds.texts": short.map(lambda found: f"[{quoted(found)},]"),
    "inet": ips, "cidr": ips, "macaddr": st.binary(min_size=6, max_size=6).map(bytes.hex),
    "macaddr8": st.binary(min_size=8, max_size=8).map(bytes.hex), "bit(5)": st.text("01", min_size=5, max_size=5), "varbit": bits,
    "varbit(9)": bits.map(lambda found: found[:9]), "money": st.integers(-(10**15), 10**15).map(lambda cents: f"{cents / 100:.2f}"),
    "point": points, "box": st.tuples(points, points).map(lambda found: f"{found[0]},{found[1]}"),
    "box[]": st.just("{(1,1),(0,0);(2,2),(1,1)}"),
    "path": st.lists(points, min_size=1, max_size=3).map(lambda found: f"[{','.join(found)}]"),
    "circle": points.map(lambda at: f"<{at},1.5>"),
    "tsvector": st.sampled_from(["", "'it''s':1A,2 'b\\\\c':3", "fat cat 'tab\there'", "'🙂':7"]),
    "tsquery": st.sampled_from(["a & !b", "'x y' <-> c:*A", ""]),
    "kinds.pair": st.tuples(ordinary, text, arrays(text)).map(lambda f: f"({f[0]},{quoted(f[1])},{quoted(f[2])})"),
    "kinds.pair[]": arrays(st.tuples(ordinary, text).map(lambda found: f"({found[0]},{quoted(found[1])},)")),
    "pg_lsn": st.just("16/B374D848"), "oid": st.integers(0, 2**32 - 1).map(str), "xid8": st.integers(0, 2**63).map(str),
}  # fmt: skip
KEYED: dict[str, list[Any]] = {  # makers whose results are no value that is drawn here
    "text": ["hash", "token", "url", "scrub", {"maker": "email", "form": "hash"}, {"maker": "scrub", "text": "gone [{}] %s \\N\t"},
             {"maker": "hash", "nulls": "mask"}, {"maker": "token", "nulls": "equalise"}],
    "uuid": ["uuid", {"maker": "uuid", "nulls": "mask"}],
    "bytea": ["placeholder"],
}  # fmt: skip
SERIALS = ["smallserial", "serial", "bigserial", "bigint GENERATED ALWAYS AS IDENTITY", "smallint GENERATED BY DEFAULT AS IDENTITY",
           "integer GENERATED BY DEFAULT AS IDENTITY (INCREMENT -2 MINVALUE -1000 MAXVALUE 10)",
           "bigint GENERATED BY DEFAULT AS IDENTITY (START 30000 MAXVALUE 32767 CYCLE)",
           "numeric DEFAULT nextval('kinds.numbers')"]  # fmt: skip
names = st.one_of(
    st.sampled_from(["users", "Users", "select", "a.b", "a", "b", "it's", 'q"t', "back\\slash", "per%cent %s", "{brace}",
                     "tab\there", "é" * 31 + "x",
                     "n" * 63, "s", "t", "v", "values", "new\nline", "Ünïcode 🙂", " ", "null", "$1", "c.", "public"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=15),
).filter(lambda name: len(name.encode()) <= 63 and not name.startswith("pg_"))  # fmt: skip


@dataclass(frozen=True, repr=False)  # hypothesis prints what a failing example was given
class Values:
    """What is above, for tests to draw from."""

    kinds = KINDS
    keyed = KEYED
    serials = SERIALS
    names = names
    text = text


@pytest.fixture(scope="session")
def values() -> Values:
    """Types and what their columns may hold, makers for some of them, serial keys, names, texts."""
    return Values()


@dataclass(frozen=True, repr=False)  # hypothesis prints what a failing example was given
class Trip:
    """Two servers with one database each: `dump` goes from the first, `load` into the second."""

    production: psycopg.Connection[Any]
    staging: psycopg.Connection[Any]
    source: str
    target: str
    folder: Path

    def clear(self, *schemas: str) -> None:
        """Empty both databases of all but the types, and make these schemas."""
        for connection in (self.production, self.staging):
            found = connection.execute(
                "SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace WHERE nspname !~ '^pg_'"
                " AND nspname NOT IN ('information_schema', 'kinds', 'understudy')"
            ).fetchall()
            made = [f"CREATE SCHEMA {Identifier(name).as_string(connection)}" for name in schemas]
            connection.execute("; ".join([*(row[0] for row in found), *made]).encode())

    def write(self, connection: Any, table: str, columns: list[str], rows: list[dict[str, str | None]]) -> None:
        """Rows as COPY text, spelt here by PostgreSQL's manual and not by our code."""
        escapes = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
        if not columns:
            connection.execute(f"INSERT INTO {table} SELECT FROM generate_series(1, {len(rows)})".encode())
            return
        named = ", ".join(Identifier(name).as_string(connection) for name in columns)
        lines = ["\t".join("\\N" if r[n] is None else str(r[n]).translate(escapes) for n in columns) for r in rows]
        with connection.cursor().copy(f"COPY {table} ({named}) FROM STDIN".encode()) as copy:
            copy.write("".join(f"{line}\n" for line in lines))

    def dump(self, policy: Policy, *, compression: Compression = "gzip", range_bytes: int = 2**26) -> DumpFacts:
        """A dump of production as it is."""
        session = Session(Keyring(b"0123456789abcdef" * 2, run="trip"), policy.locale)
        with connected_to(self.source, name="snap", statement_within=60) as holder, exported_snapshot(holder) as held:
            with connected_to(self.source, name="plan", statement_within=60) as connection:
                use_snapshot(connection, held)
                catalog = read_catalog(connection)
                plan = draft_masking(catalog, policy, Choices())
                sequences, _ = require_readable(connection, catalog, plan, snapshot=held)
                require_masked_rows_fit(connection, plan, session)
                units = units_of(connection, plan, range_bytes=range_bytes)
                tables = dumped_tables(connection, plan, catalog)
            source = Source(snapshot=held, statement_within=60)
            parts = [
                extract(self.source, source, plan.of(u), u, session, folder=self.folder, compression=compression)
                for u in units
            ]
        identity = catalog.identity
        header = Header(
            app=policy.app, schema_version=policy.schema_version, source_host=identity.host, run_id="trip",
            source_system=identity.system_identifier, source_database=identity.database, key=session.keyring.fingerprint,
            server_version=identity.server_version, exported_at=datetime.now(UTC), policy=policy.fingerprint,
            tables=tables, sequences=sequences, reached=existing_names(policy, Resolver.of(catalog)),
        )  # fmt: skip
        url = str(self.folder / f"{uuid4().hex}.dump")
        assemble(url, header, parts, compression=compression)
        for part in parts:
            part.path.unlink()
        return check(url)

    def load(self, facts: DumpFacts, policy: Policy, *, readers: str = "stay", url: str = "") -> Loaded:
        """Load what was planned from these facts; from another file where `url` names one."""
        with connected_to(self.target, name="load", statement_within=60, lock_within=5, reading=False) as connection:
            prepare_marker(connection)
            host = "staging.example"
            plan = draft_load(
                connection, facts, policy, typed=host, real=host, readers=readers, opted_out=(),
                requested_by="", run_id="trip",
            )  # fmt: skip
            catalog = read_catalog(connection)
            lifted = foreign_keys_to_lift(connection, catalog, plan)
            return Load(connection, plan, catalog, policy, lifted).run(read(url or facts.url))

    def state(self) -> list[Any]:
        """A digest of everything on staging: rows of every table with their places, sequences, constraints, triggers."""
        tables = self.staging.execute(
            "SELECT format('%I.%I', n.nspname, c.relname), c.relkind = 'S' FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 'S') AND n.nspname NOT IN"
            " ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1"
        ).fetchall()
        rows = "SELECT md5(string_agg(t.ctid || md5(t::text), '' ORDER BY t.ctid)) FROM ONLY {} t"
        asked = (
            ("SELECT last_value, is_called FROM {}" if sequence else rows).format(name) for name, sequence in tables
        )
        found = [self.staging.execute(query.encode()).fetchone() for query in asked]
        return [*tables, *found, *self.structure()]

    def structure(self) -> list[Any]:
        """Constraints with their state, and triggers with theirs."""
        return self.staging.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated::text FROM pg_constraint"
            " WHERE conrelid <> 0 AND connamespace::regnamespace::text <> 'understudy' UNION ALL SELECT"
            " tgrelid::regclass::text, tgname, '', tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2, 3, 4"
        ).fetchall()


@pytest.fixture(scope="session")
def trip(postgres: Postgres, staging_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trip]:
    """Two databases with the types, emptied by each example for itself."""
    source, target = postgres.create("trip"), staging_server.create("trip")
    with psycopg.connect(source, autocommit=True) as production, psycopg.connect(target, autocommit=True) as staging:
        for connection in (production, staging):
            connection.execute(TYPES.encode())
        prepare_marker(staging)  # here, so that no test depends on a load of an earlier one
        yield Trip(production, staging, source, target, tmp_path_factory.mktemp("trip"))
