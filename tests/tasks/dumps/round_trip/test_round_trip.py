"""A dump of any schema and any rows, loaded into the same schema elsewhere, has equal rows in all columns that are not masked.

20 examples by default, always the same ones; `UNDERSTUDY_EXAMPLES=500` draws that many new ones.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from psycopg.sql import Identifier

from tasks.estate.schema import Name
from tasks.masking.makers import parse
from tasks.masking.policy import ColumnRule, Policy, TableRule

EXAMPLES = int(os.environ.get("UNDERSTUDY_EXAMPLES", "20"))
drawn = settings(
    max_examples=EXAMPLES,
    derandomize="UNDERSTUDY_EXAMPLES" not in os.environ,  # a build that fails by chance teaches to run it again
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
OURS = ("public", "kinds", "understudy", "information_schema")  # schemas that are there already
Draw = Any  # hypothesis hands it in


def quoted(*names: str) -> str:
    """A name in SQL, qualified where two are given."""
    return Identifier(*names).as_string(None)


@dataclass
class Column:
    """A column. `pool`: what its rows may contain; None if the database computes it. `to`: the table it points at."""

    name: str
    declared: str
    pool: Any = None
    rule: Any = "keep"
    to: "Shape | None" = None
    place: int = 0  # in the key it points at


@dataclass
class Shape:
    """A table before it is made."""

    schema: str
    name: str
    columns: list[Column] = field(default_factory=list)
    key: list[Column] = field(default_factory=list)
    parent: "Shape | None" = None
    parted: str = ""
    suffix: str = ""
    after: list[str] = field(default_factory=list)

    @property
    def sql(self) -> str:
        return quoted(self.schema, self.name)

    @property
    def all(self) -> list[Column]:
        return [*(self.parent.all if self.parent else []), *self.columns]

    @property
    def ddl(self) -> str:
        lines = [f"{quoted(c.name)} {c.declared}" for c in self.columns]
        if self.key:
            lines.append(f"PRIMARY KEY ({', '.join(quoted(c.name) for c in self.key)})")
        inherits = f" INHERITS ({self.parent.sql})" if self.parent else ""
        return f"CREATE TABLE {self.sql} ({', '.join(lines)}){inherits}{self.parted}{self.suffix}"


def draw_key(draw: Draw, values: Any) -> list[Column]:
    """The columns of a primary key, or none."""
    kind = draw(st.sampled_from(["none", "serial", "serial", "uuid", "masked", "pair"]))
    number = st.one_of(st.integers(-5, 40), st.sampled_from([32767, 32766, 32765]))
    if kind == "serial":
        declared = draw(st.sampled_from(values.serials))
        if "-1000" in declared:
            number = st.one_of(st.integers(-5, 10), st.sampled_from([-1000, -999, 11]))
        if "numeric" in declared:
            number = st.one_of(number, st.sampled_from(["NaN", "Infinity", "7.5", "99999999999999999999"]))
        return [Column("id", declared, number.map(str))]
    if kind in ("uuid", "masked"):
        return [Column("id", "uuid", st.uuids().map(str), "uuid" if kind == "masked" else "keep")]
    both = [Column("part one", "integer", st.integers(0, 9).map(str)), Column('"two"', "text", values.text)]
    return both if kind == "pair" else []


def draw_column(draw: Draw, name: str, values: Any) -> Column:
    """A column of any type, with a few values for its rows, masked where there is a maker for it."""
    declared = draw(st.sampled_from(sorted(values.kinds)))
    rule = draw(st.sampled_from(values.keyed[declared])) if declared in values.keyed and draw(st.booleans()) else "keep"
    full = declared == "kinds.small" or (isinstance(rule, str) and draw(st.integers(0, 3)) == 0)
    some = values.kinds[declared] if full else st.one_of(st.none(), values.kinds[declared])
    pool = draw(st.lists(some, min_size=1, max_size=4))
    return Column(name, f"{declared} NOT NULL" if full else declared, pool, rule)


def draw_shape(draw: Draw, values: Any, where: tuple[str, str], earlier: list[Shape]) -> Shape:
    """A table: with a key or without, of its own or an heir, whole or in partitions."""
    shape = Shape(*where)
    plain = [each for each in earlier if not each.parted]
    if plain and draw(st.integers(0, 4)) == 0:
        shape.parent = draw(st.sampled_from(plain))
    else:
        shape.key = draw_key(draw, values)
        shape.columns = list(shape.key)
    taken = {c.name for c in shape.all} | {"generated", "list", "link"}
    named = draw(st.lists(values.names.filter(lambda n: n not in taken), max_size=5, unique=True))
    shape.columns += [draw_column(draw, name, values) for name in named]
    texts = [c for c in shape.columns if c.declared in ("text", "varchar(12)", "char(7)", "kinds.email")]
    if texts and shape.parent is None and draw(st.booleans()):
        base = draw(st.sampled_from(texts))
        stored = draw(st.sampled_from(["STORED", "VIRTUAL"])) if not base.declared.startswith("kinds") else "STORED"
        expression = f"GENERATED ALWAYS AS (coalesce({quoted(base.name)}, '') || 'x') {stored}"
        shape.columns.append(Column("generated", f"text {expression}", rule="keep" if base.rule == "keep" else "?"))
    if shape.parent is None and draw(st.integers(0, 3)) == 0:
        draw_partitions(draw, shape, len(earlier))
    elif draw(st.integers(0, 2)) == 0:
        shape.suffix = " WITH (fillfactor = 10)"  # rows on many pages, so that there are ranges of them
    return shape


def draw_partitions(draw: Draw, shape: Shape, number: int) -> None:
    """Partitions by list, hash or range, the last of them in two layers."""
    parts = [quoted(shape.schema, f"part {number} {each}") for each in range(3)]
    if not shape.key:
        shape.columns.append(Column("list", "integer", draw(st.lists(st.sampled_from([None, "1", "2"]), min_size=1))))
        shape.parted = " PARTITION BY LIST (list)"
        rules = ["FOR VALUES IN (1, NULL)", "DEFAULT"]
    elif shape.key[0].declared.startswith("uuid"):
        shape.parted = " PARTITION BY HASH (id)"
        rules = [f"FOR VALUES WITH (MODULUS 2, REMAINDER {each})" for each in range(2)]
    else:
        shape.parted = f" PARTITION BY RANGE ({quoted(shape.key[0].name)})"
        rules = ["FOR VALUES FROM (MINVALUE) TO (5)", "DEFAULT"]
        if draw(st.booleans()):
            rules[1] += f" PARTITION BY HASH ({quoted(shape.key[0].name)})"
            shape.after.append(
                f"CREATE TABLE {parts[2]} PARTITION OF {parts[1]} FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
            )
    shape.after[:0] = [f"CREATE TABLE {parts[n]} PARTITION OF {shape.sql} {rule}" for n, rule in enumerate(rules)]


def base_of(declared: str) -> str:
    """The type of a column that points at one of this declaration."""
    serials = {"smallserial": "smallint", "serial": "integer", "bigserial": "bigint"}
    return serials.get(declared, declared.split(" ")[0])


def draw_link(draw: Draw, shapes: list[Shape], number: int) -> list[str]:
    """A foreign key from any table to any table with a key; statements that add it once the rows are there."""
    keyed = [shape for shape in shapes if shape.key]
    if not keyed:
        return []
    child, parent = draw(st.sampled_from(shapes)), draw(st.sampled_from(keyed))
    added = [
        Column(f"link {number}{place}", base_of(c.declared), "linked", c.rule, parent, place)
        for place, c in enumerate(parent.key)
    ]
    child.columns += added
    names = ", ".join(quoted(c.name) for c in added)
    words = draw(st.sampled_from(["", "CASCADE", "RESTRICT", "SET NULL", "DEFERRABLE INITIALLY DEFERRED"]))
    words = f"ON DELETE {words}" if words and "DEFER" not in words else words
    table = child.sql
    if "LIST" in child.parted and draw(st.booleans()):
        table = child.after[0].split(" PARTITION OF ")[0].removeprefix("CREATE TABLE ")  # declared on a leaf only
    return [
        f"ALTER TABLE {table} ADD CONSTRAINT {quoted(f'link {number}')} FOREIGN KEY ({names}) REFERENCES {parent.sql} {words}"
    ]


Rows = dict[str, list[dict[str, str | None]]]


def draw_rows(draw: Draw, shapes: list[Shape], most: int) -> Rows:
    """Rows for every table, with keys that differ and foreign keys that hold."""
    rows: Rows = {}
    for shape in shapes:
        key = [c for c in shape.all if c.pool is not None and not isinstance(c.pool, list | str)]
        unique = st.tuples(*(c.pool for c in key))
        size = draw(st.sampled_from([0, 1, 3, most]))
        keys = draw(st.lists(unique, unique=True, max_size=size)) if key else [()] * size
        rows[shape.sql] = [dict(zip((c.name for c in key), each, strict=True)) for each in keys]
    for shape in shapes:
        step = draw(st.integers(1, 5))
        for number, row in enumerate(rows[shape.sql]):
            for c in shape.all:
                if isinstance(c.pool, list):
                    row[c.name] = c.pool[(number * step + number // len(c.pool)) % len(c.pool)]
                elif c.to is not None:
                    there = [None, *rows[c.to.sql]]
                    found = there[number * step % len(there)]
                    row[c.name] = found and found[c.to.key[c.place].name]
    return rows


def policy_of(shapes: list[Shape]) -> Policy:
    """Rules for the columns a table has of its own; those it inherits have their parent's."""

    def rule(given: Any) -> ColumnRule:
        options = dict(given) if isinstance(given, dict) else {"maker": given}
        nulls = options.pop("nulls", "keep")
        return ColumnRule() if given == "keep" else ColumnRule(maker=parse(options), nulls=nulls)

    tables = {
        str(Name(schema_name=s.schema, name=s.name)): TableRule(
            columns={c.name: rule(c.rule) for c in s.columns if c.pool is not None}
        )
        for s in shapes
    }
    return Policy(app="trip", schema_version=1, tables=tables)


def require_equal(trip: Any, shape: Shape) -> None:
    """Kept columns equal in every row, masked ones nowhere, and NULL as the rule specifies."""
    kept = ", ".join(f"{quoted(c.name)}::text" for c in shape.all if c.rule == "keep")
    only = "" if shape.parted else "ONLY "
    query = f"SELECT md5(ROW({kept})::text) FROM {only}{shape.sql} ORDER BY 1"  # noqa: S608  # quoted by psycopg.sql
    assert trip.staging.execute(query.encode()).fetchall() == trip.production.execute(query.encode()).fetchall()
    for c in (c for c in shape.all if c.rule not in ("keep", "?")):
        query = f"SELECT md5({quoted(c.name)}::text) FROM {shape.sql}"  # noqa: S608  # quoted by psycopg.sql
        there, here = ([row[0] for row in x.execute(query.encode())] for x in (trip.production, trip.staging))
        assert not {*there} & {*here} - {None}
        nulls = c.rule.get("nulls") if isinstance(c.rule, dict) else "keep"
        assert here.count(None) == {"mask": 0, "equalise": len(here)}.get(nulls, there.count(None))


def require_usable(trip: Any, shape: Shape, shapes: list[Shape], rows: Rows) -> None:
    """The sequence of the key returns a value after all values in use that it can return, or no value at its end."""
    if not shape.key or not any(word in shape.key[0].declared for word in ("serial", "IDENTITY", "nextval")):
        return
    ask = trip.staging.execute
    (sequence,) = ask("SELECT coalesce(pg_get_serial_sequence(%s, 'id'), 'kinds.numbers')", (shape.sql,)).fetchone()
    limits = "SELECT seqmin, seqmax, seqincrement, seqcycle FROM pg_sequence WHERE seqrelid = %s::regclass"
    low, high, step, cycles = ask(limits, (sequence,)).fetchone()
    drawing = [shape]
    if "IDENTITY" not in shape.key[0].declared:  # children inherit a default, and a sequence of its own has many users
        same = (lambda c: "nextval" in c.declared) if sequence == "kinds.numbers" else (lambda c: c is shape.key[0])
        drawing = [each for each in shapes if any(map(same, each.all))]
    ids = (float(row["id"] or "NaN") for s in drawing for row in rows[s.sql])
    used = [each for each in ids if low <= each <= high]
    at_end = bool(used) and not low <= (max(used) if step > 0 else min(used)) + step <= high
    try:
        (following,) = ask("SELECT nextval(%s)", (sequence,)).fetchone()
    except psycopg.errors.SequenceGeneratorLimitExceeded:
        assert at_end  # only then may there be no value
    else:
        assert all((following - each) * step > 0 for each in used) or (at_end and cycles)


@pytest.mark.timeout(max(120, 3 * EXAMPLES))
@drawn
@given(st.data())
def test_what_is_dumped_comes_back(values: Any, trip: Any, data: st.DataObject) -> None:
    """Rows, constraints, triggers and sequences are right after each load, over nothing and over other rows."""
    draw = data.draw
    schemas = ["public", "a" if draw(st.integers(0, 5)) == 0 else draw(values.names.filter(lambda n: n not in OURS))]
    places = draw(st.lists(st.tuples(st.sampled_from(schemas), values.names), min_size=1, max_size=4, unique=True))
    shapes: list[Shape] = []
    for where in places:
        shapes.append(draw_shape(draw, values, where, shapes))
    links = [s for number in range(draw(st.integers(0, 4))) for s in draw_link(draw, shapes, number)]
    rows, other = draw_rows(draw, shapes, 12), draw_rows(draw, shapes, 3)
    trigger = f"CREATE TRIGGER stop BEFORE INSERT ON {shapes[0].sql} FOR EACH ROW EXECUTE FUNCTION kinds.stop()"
    count = f"SELECT count(*) FROM {shapes[-1].sql}"  # noqa: S608  # quoted by psycopg.sql
    view = f'CREATE MATERIALIZED VIEW public."counted 🙂" AS {count}'
    compression, range_bytes = draw(st.sampled_from(["gzip", "zstd", "none"])), draw(st.sampled_from([2**26, 8192]))
    order = draw(st.permutations(["stay", "wait"]))
    note(
        "\n".join(
            [*(each for s in shapes for each in (s.ddl, *s.after)), *links, repr(rows)[:5000], repr(other)[:2000]]
        )
    )
    trip.clear(*schemas)
    for connection, content in ((trip.production, rows), (trip.staging, other)):
        connection.execute("; ".join(each for s in shapes for each in (s.ddl, *s.after)).encode())
        for shape in shapes:
            written = [c.name for c in shape.all if c.pool is not None]
            trip.write(connection, shape.sql, written, content[shape.sql])
        connection.execute("; ".join([*links, trigger, view]).encode())
    structure, policy = trip.structure(), policy_of(shapes)
    facts = trip.dump(policy, compression=compression, range_bytes=range_bytes)
    for readers in order:
        trip.load(facts, policy, readers=readers)
        assert trip.structure() == structure
        for shape in shapes:
            require_equal(trip, shape)
            require_usable(trip, shape, shapes, rows)
        counted = trip.staging.execute('SELECT count FROM public."counted 🙂"').fetchone()
        assert counted == trip.staging.execute(count.encode()).fetchone()
    Path(facts.url).unlink()
