"""What a load promises, tried on generated pairs of databases and checked without our own verification.

Each pair is made of pieces: tables of every kind, with what differs between production and staging, and the rules of the
policy. After a load, kept columns are those of production, what is excluded or known to neither side is untouched, what
is dropped is empty, and no value that was planted in a masked column is anywhere on the target. Or the pair was refused,
or its plan named a doubt, before anybody is asked; then the target is as it was.
"""
# ruff: noqa: S608  # statements are made of names that this file invents

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st

from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import NotLoaded, UnderstudyError
from tests.tasks.dumps.failures.conftest import Debian, Pair

EXAMPLES = 25  # in the suite; the drill draws thousands
DRILLED = 2000  # in a drill, over both servers
PLANTED = "zq7plant"  # begins every value of a masked column in production
WRAPPER = """DROP FOREIGN DATA WRAPPER IF EXISTS nowhere CASCADE; CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere; GRANT USAGE ON FOREIGN SERVER far TO PUBLIC"""
Draw = Any  # hypothesis hands it in
Pairs = Callable[..., Pair]


@dataclass
class Piece:
    """A few tables on both sides, the rules for them, and what must be true after a load."""

    production: str
    staging: str
    rules: list[str]
    kept: list[str] = field(default_factory=list)  # queries with equal answers on both sides
    untouched: list[str] = field(default_factory=list)  # queries whose answers on staging do not change
    emptied: list[str] = field(default_factory=list)  # tables without rows afterwards


def person(number: int) -> str:
    """Return the SQL literals of a planted name and address. No two are alike, and none is an ordinary word."""
    return f"'{PLANTED}{number}x', '{PLANTED.upper()}{number}.y@kunde.example'"


@st.composite
def people(draw: Draw, n: int) -> Piece:
    """A table of people: masked by names of columns or by patterns; derived, generated or leaking columns now and then."""
    table = f"people{n}"
    more, extra, rule = draw(
        st.sampled_from(
            [
                ("", "", ""),
                (", upper_mail text GENERATED ALWAYS AS (upper(mail)) STORED", "", "upper_mail: keep"),
                (", length int GENERATED ALWAYS AS (length(note)) STORED", "", "length: keep"),
                (", slug text", f"UPDATE {table} SET slug = replace(lower(mail), '@', '-')", "slug: keep"),
                (", search tsvector", f"UPDATE {table} SET search = to_tsvector('simple', mail)", "search: keep"),
                (", search tsvector", f"UPDATE {table} SET search = to_tsvector('simple', note)", "search: keep"),
                (
                    ", doc jsonb",
                    f"UPDATE {table} SET doc = jsonb_build_object('a', jsonb_build_array(mail))",
                    "doc: keep",
                ),
                (", doc jsonb", f"UPDATE {table} SET doc = to_jsonb('{{\"m\":\"' || mail || '\"}}')", "doc: keep"),
            ]
        )
    )
    columns = f"id int PRIMARY KEY, name text, mail text UNIQUE, note text, n int{more}"
    made = f"CREATE TABLE {table} ({columns});"
    named = draw(st.sampled_from(["first_name", "token", "scrub", "'null'"]))
    rows = ", ".join(f"({i}, {person(100 * n + i)}, 'note {i}', {i % 3})" for i in range(draw(st.integers(0, 6))))
    filled = f"INSERT INTO {table} (id, name, mail, note, n) VALUES {rows};" if rows else ""
    rules = [f"name: {named}", "mail: email", "note: keep", "n: keep", "id: keep", *([rule] if rule else [])]
    old = f"INSERT INTO {table} (id, name, mail, note, n) VALUES (1000, 'old', 'old@staging.example', 'old', 0);"
    return Piece(
        f"{made} {filled} {extra};" if extra and filled else f"{made} {filled}",
        f"{made} {old}",
        [f"{table}: {{{', '.join(rules)}}}"],
        kept=[f"SELECT id, note, n FROM {table} ORDER BY id"],
    )


@st.composite
def partitions(draw: Draw, n: int) -> Piece:
    """A partitioned table; staging lacks a leaf, has one more, has a foreign one, or one with a rule of its own."""
    table = f"parts{n}"
    root = f"CREATE TABLE {table} (at int NOT NULL, v text) PARTITION BY RANGE (at);"
    leaves = [f"CREATE TABLE {table}_{i} PARTITION OF {table} FOR VALUES FROM ({i}0) TO ({i + 1}0);" for i in range(3)]
    drift = draw(
        st.sampled_from(["same", "same", "lacks", "foreign", "more", "check", "not null", "deeper", "unlogged"])
    )
    theirs = list(leaves)
    if drift == "lacks":
        theirs = leaves[:2]
    elif drift == "more":
        theirs.append(f"CREATE TABLE {table}_9 PARTITION OF {table} FOR VALUES FROM (90) TO (99);")
    elif drift == "foreign":
        theirs[0] = leaves[0].replace("CREATE TABLE", "CREATE FOREIGN TABLE").replace(";", " SERVER far;")
    elif drift == "check":
        theirs[1] += f"ALTER TABLE {table}_1 ADD CONSTRAINT c{n} CHECK (v <> 'b');"
    elif drift == "not null":
        theirs[1] += f"ALTER TABLE {table}_1 ALTER v SET NOT NULL;"
    elif drift == "deeper":
        theirs[2] = leaves[2].replace(";", " PARTITION BY LIST (v);") + (
            f"CREATE TABLE {table}_2x PARTITION OF {table}_2 DEFAULT;"
        )
    elif drift == "unlogged":
        theirs[0] = leaves[0].replace("CREATE TABLE", "CREATE UNLOGGED TABLE")
    values = draw(st.lists(st.sampled_from(["(5, 'a')", "(15, 'b')", "(16, NULL)", "(25, 'c')"]), max_size=4))
    filled = f"INSERT INTO {table} VALUES {', '.join(values)};" if values else ""
    old = "" if drift == "foreign" else f"INSERT INTO {table} VALUES (1, 'old');"
    rule = draw(st.sampled_from(["keep", "keep", "{at: keep, v: keep}", "drop", "exclude"]))
    piece = Piece(root + "".join(leaves) + filled, root + "".join(theirs) + old, [f"{table}: {rule}"])
    everything = f"SELECT at, v FROM {table} ORDER BY at, v"
    if drift == "foreign":
        return piece  # nobody can read it; that a plan is refused is what is left to see
    if rule == "exclude":
        piece.untouched.append(everything)
    elif rule == "drop":
        piece.emptied.append(table)
    else:
        piece.kept.append(everything)
    return piece


@st.composite
def heirs(draw: Draw, n: int) -> Piece:
    """Tables that inherit; staging has one more or one fewer."""
    table = f"kin{n}"
    parent = f"CREATE TABLE {table} (id int PRIMARY KEY, v text);"
    child = f"CREATE TABLE {table}_a () INHERITS ({table});"
    more = f"CREATE TABLE {table}_b (x int) INHERITS ({table});"
    drift = draw(st.sampled_from(["same", "same", "staging has more", "staging lacks"]))
    production = parent + child + f"INSERT INTO {table} VALUES (1, 'a'); INSERT INTO {table}_a VALUES (2, 'b');"
    staging = parent + ("" if drift == "staging lacks" else child) + f"INSERT INTO {table} VALUES (7, 'old');"
    if drift == "staging has more":
        staging += more + f"INSERT INTO {table}_b VALUES (8, 'old', 1);"
    rule = draw(st.sampled_from(["keep", "exclude", "drop"]))
    piece = Piece(production, staging, [f"{table}: {rule}"])
    if rule == "exclude":
        piece.untouched.append(f"SELECT tableoid::regclass::text, id, v FROM {table} ORDER BY id")
    elif rule == "drop":
        piece.emptied.append(f"ONLY {table}")
    else:
        piece.kept.append(f"SELECT id, v FROM ONLY {table} ORDER BY id")
        if drift != "staging lacks":
            piece.kept.append(f"SELECT id, v FROM {table}_a ORDER BY id")
    return piece


@st.composite
def ruled(draw: Draw, n: int) -> Piece:
    """A table on which staging has a rewrite rule or a trigger that changes, hides or refuses what is written."""
    table = f"ruled{n}"
    made = f"CREATE TABLE {table} (id int PRIMARY KEY, v text);"
    code = draw(
        st.sampled_from(
            [
                f"CREATE RULE r AS ON DELETE TO {table} DO INSTEAD NOTHING;",
                f"CREATE RULE r AS ON INSERT TO {table} DO INSTEAD NOTHING;",
                f"CREATE RULE r AS ON UPDATE TO {table} DO INSTEAD NOTHING;",
                f"CREATE RULE r AS ON INSERT TO {table} DO ALSO NOTIFY changed;",
                f"CREATE FUNCTION f{n}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                f"CREATE TRIGGER t BEFORE INSERT OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION f{n}();",
                f"CREATE FUNCTION f{n}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := upper(NEW.v); RETURN NEW; END';"
                f"CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION f{n}();"
                f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER t;",
                f"CREATE FUNCTION f{n}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';"
                f"CREATE TRIGGER t BEFORE TRUNCATE OR DELETE ON {table} EXECUTE FUNCTION f{n}();",
            ]
        )
    )
    rule = draw(st.sampled_from(["keep", "drop"]))
    production = made + f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b');"
    staging = made + f"INSERT INTO {table} VALUES (7, 'old');" + code
    kept = [f"SELECT id, v FROM {table} ORDER BY id"] if rule == "keep" else []
    return Piece(production, staging, [f"{table}: {rule}"], kept=kept, emptied=[] if kept else [table])


@st.composite
def late(draw: Draw, n: int) -> Piece:
    """Constraints that are NOT VALID over old rows that break them, on both sides or on staging only."""
    first, second = f"base{n}", f"late{n}"
    made = f"CREATE TABLE {first} (id int PRIMARY KEY); CREATE TABLE {second} (id int, to_base int);"
    constraint = draw(
        st.sampled_from(
            [
                f"ALTER TABLE {second} ADD CONSTRAINT l{n} FOREIGN KEY (to_base) REFERENCES {first} NOT VALID;",
                f"ALTER TABLE {second} ADD CONSTRAINT l{n} CHECK (to_base < 5) NOT VALID;",
                f"ALTER TABLE {second} ADD CONSTRAINT l{n} CHECK (to_base < 5);",
                f"ALTER TABLE {second} ADD CONSTRAINT l{n} UNIQUE (to_base);",
                f"ALTER TABLE {second} ADD CONSTRAINT l{n} FOREIGN KEY (to_base) REFERENCES {first};",
            ]
        )
    )
    rows = f"INSERT INTO {first} VALUES (1); INSERT INTO {second} VALUES (1, 1), (2, 99), (3, 99);"
    both = draw(st.booleans()) and "NOT VALID" in constraint
    base = draw(st.sampled_from(["keep", "keep", "exclude", "drop"]))
    piece = Piece(
        made + rows + (constraint if both else ""), made + constraint, [f"{first}: {base}", f"{second}: keep"],
        kept=[f"SELECT id, to_base FROM {second} ORDER BY id"],
    )  # fmt: skip
    piece.untouched += [f"SELECT id FROM {first} ORDER BY id"] if base == "exclude" else []
    piece.kept += [f"SELECT id FROM {first} ORDER BY id"] if base == "keep" else []
    return piece


@st.composite
def drifted(draw: Draw, n: int) -> Piece:
    """A table whose columns differ on staging: narrower, stricter, more, fewer, of another type."""
    table = f"drift{n}"
    ours = "id int, v text, n int"
    theirs = draw(
        st.sampled_from(
            [
                "id int, v varchar(3), n int",
                "id int, v text, n smallint",
                "id int, v text NOT NULL, n int",
                "id int, v text, n int, more int NOT NULL",
                "id int, v text, n int, more int NOT NULL DEFAULT 7",
                "id int, v text, n int, more int GENERATED ALWAYS AS (n * 2) STORED",
                "id int, v text",
                "id int, v date, n int",
                "n int, v text, id int",
                "id bigint, v varchar, n numeric",
                f"id int, v mood{n}, n int",
                f"id int, v text, n positive{n}",
                "id int, v text, n int UNIQUE",
            ]
        )
    )
    types = (
        f"CREATE TYPE mood{n} AS ENUM ('glad', 'sad'); CREATE DOMAIN positive{n} AS int CHECK (VALUE > 0);"
        if f"mood{n}" in theirs or f"positive{n}" in theirs
        else ""
    )
    values = draw(
        st.lists(
            st.sampled_from(["(1, 'glad', 1)", "(2, 'long words', -5)", "(3, NULL, 99999)", "(4, 'sad', 1)"]),
            max_size=3,
        )
    )
    filled = f"INSERT INTO {table} VALUES {', '.join(values)};" if values else ""
    shared = "id, v::text" if theirs == "id int, v text" else "id, v::text, n::text"
    return Piece(
        f"CREATE TABLE {table} ({ours}); {filled}",
        f"{types} CREATE TABLE {table} ({theirs});",
        [f"{table}: {{id: keep, v: keep, n: keep}}"],
        kept=[f"SELECT {shared} FROM {table} ORDER BY 1, 2"],
    )


@st.composite
def one_sided(draw: Draw, n: int) -> Piece:
    """Tables that only one side has, or that do not travel: excluded, dropped, known to nobody, matched by a pattern."""
    table = draw(st.sampled_from([f"log_{n}", f"side{n}"]))
    made = f"CREATE TABLE {table} (id int PRIMARY KEY, v text);"
    filled, old = f"INSERT INTO {table} VALUES (1, 'a');", f"INSERT INTO {table} VALUES (7, 'old');"
    everything = f"SELECT id, v FROM {table} ORDER BY id"
    kind = draw(
        st.sampled_from(["excluded", "dropped", "staging only", "known, staging only", "production only", "view"])
    )
    if kind == "excluded":
        return Piece(made + filled, made + old, [f"{table}: exclude"], untouched=[everything])
    if kind == "dropped":
        pattern = f'"public.{table}*": drop' if table.startswith("log_") else f"{table}: drop"
        return Piece(made + filled, made + old, [pattern], emptied=[table])
    if kind == "staging only":
        return Piece("", made + old, [], untouched=[everything])
    if kind == "known, staging only":
        return Piece("", made + old, [f"{table}: drop"], emptied=[table])
    if kind == "production only":
        return Piece(made + filled, "", [f"{table}: keep"])
    seen = f"CREATE MATERIALIZED VIEW seen{n} AS SELECT id, v FROM {table};"
    return Piece(
        made + filled + seen, made + old + seen, [f"{table}: keep"],
        kept=[everything, f"SELECT id, v FROM seen{n} ORDER BY id"],
    )  # fmt: skip


KINDS = (people, partitions, heirs, ruled, late, drifted, one_sided)


@st.composite
def worlds(draw: Draw) -> list[Piece]:
    """One to three pieces."""
    count = draw(st.integers(1, 3))
    return [draw(draw(st.sampled_from(KINDS))(n)) for n in range(count)]


def record(counted: dict[str, int], what: str) -> None:
    """Count an ending, for the statistics of hypothesis and for the test that asks whether enough was loaded."""
    event(what)
    counted[what] = counted.get(what, 0) + 1


def named_before(plan: LoadPlan) -> bool:
    """Whether the plan names something that may refuse a row or will not arrive."""
    return bool(plan.doubts or plan.missing)


def try_one(pair: Pairs, world: list[Piece], readers: str, counted: dict[str, int]) -> None:
    """Export, plan and load one pair of databases, and check what is on the target."""
    rules = list(dict.fromkeys(rule for piece in world for rule in piece.rules))
    production, staging = ("\n".join(getattr(p, side) for p in world) for side in ("production", "staging"))
    note("\n".join([*rules, "-- production", production, "-- staging", staging]))
    try:
        made = pair("", "\n".join(rules) or "{}", production, old=staging)
    except UnderstudyError:
        record(counted, "policy refused")
        return
    before = made.contents()
    untouched = {query: made.ask(query) for piece in world for query in piece.untouched}
    try:
        facts = made.export()
        if made.found:
            record(counted, "leak found in the dump")
            return
        plan = made.load_plan(facts, readers=readers)
    except UnderstudyError as error:
        record(counted, f"refused: {error.outcome}")
        assert made.contents() == before
        return
    try:
        made.load(facts, readers=readers)
    except NotLoaded as error:
        if not named_before(plan):
            pytest.fail(f"not named at the plan: {error.message}")
        record(counted, "not loaded, named before")
        assert made.contents() == before
        return
    record(counted, "loaded")
    for piece in world:
        for query in piece.kept:
            if not named_before(plan):
                assert made.ask(query) == made.ask(query, "source"), query
        for table in piece.emptied:
            assert made.ask(f"SELECT count(*) FROM {table}") == [(0,)], table
    for query, rows in untouched.items():
        assert made.ask(query) == rows, query
    assert PLANTED not in str(made.contents()).lower()


def drawn(examples: int) -> Any:
    """Settings for this many worlds, always the same ones."""
    return settings(
        max_examples=examples,
        derandomize=True,  # a build that fails by chance teaches to run it again
        database=None,
        phases=[Phase.generate],  # a shrunk pair reads no better, and takes minutes
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def run_all(pair: Pairs, server: Any, examples: int) -> None:
    """Try so many worlds. At least a third must load: a product that refuses everything keeps every promise, too."""
    counted: dict[str, int] = {}
    with psycopg.connect(server.url("pair_target"), autocommit=True) as connection:
        connection.execute(WRAPPER)

    @drawn(examples)
    @given(world=worlds(), readers=st.sampled_from(["stay", "wait"]))
    def attempt(world: list[Piece], readers: str) -> None:
        try_one(pair, world, readers, counted)

    try:
        attempt()
    finally:
        with psycopg.connect(server.url("pair_target"), autocommit=True) as connection:
            connection.execute("DROP FOREIGN DATA WRAPPER IF EXISTS nowhere CASCADE")
    assert counted.get("loaded", 0) >= sum(counted.values()) / 3, counted


def test_a_load_keeps_its_promises_or_is_refused_by_the_plan(pair: Pairs, server: Any) -> None:
    """Kept columns arrive, the rest stays or is emptied as the policy specifies, and no planted value is found."""
    if isinstance(server, Debian):
        pytest.skip("the drill tries both servers")
    run_all(pair, server, EXAMPLES)


@pytest.mark.drill
@pytest.mark.timeout(3600)
def test_a_load_keeps_its_promises_on_very_many_databases(pair: Pairs, server: Any) -> None:
    """The same for very many pairs of databases."""
    run_all(pair, server, DRILLED // 2)
