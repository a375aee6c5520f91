"""What a PostgreSQL database consists of, as far as a dump and its masking need to know. Plain data, no row of it."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from tasks.estate.sites import Immutable

T = TypeVar("T")

# For what a database has tens of thousands of: dataclasses with slots, which take a tenth of the memory of `Immutable`.
STRICT = ConfigDict(extra="forbid")

COUNTING = ("int2", "int4", "int8", "numeric", "float4", "float8")  # types that a sequence's numbers are kept in


class Name(Immutable):
    """A schema-qualified name, as the catalogue spells it: unquoted, any characters."""

    schema_name: str
    name: str

    def __str__(self) -> str:
        """`schema.name`, for people and for policy keys; the schema is left out where it is `public`.

        A part with a dot, a quote or a `*` is in quotes: `public."a.b"` and `a.b` must not look the same, and a name
        must not look like a pattern.
        """
        schema_name, name = (
            '"' + part.replace('"', '""') + '"' if any(sign in part for sign in '."*') else part
            for part in (self.schema_name, self.name)
        )
        return name if self.schema_name == "public" else f"{schema_name}.{name}"


class Kind(StrEnum):
    """What a relation is, in the words of PostgreSQL's manual."""

    ORDINARY = "table"
    PARTITIONED = "partitioned table"
    FOREIGN = "foreign table"
    VIEW = "view"
    MATERIALIZED = "materialized view"


@dataclass(frozen=True, slots=True, config=STRICT)
class Relation:
    """One relation. `parents` are the tables that it inherits from; of a partition, the one that it is part of."""

    name: Name
    kind: Kind
    parents: tuple[Name, ...] = ()
    partition: bool = False
    bound: str = ""  # of a partition: `FOR VALUES …` or `DEFAULT`
    key: str = ""  # of a partitioned table: `RANGE (at)`
    of_extension: bool = False
    unlogged: bool = False
    server: str = ""  # of a foreign table: where its rows are stored
    hidden: bool = False  # row security hides rows from the connected role

    @property
    def holds_rows(self) -> bool:
        """Whether rows of it are stored in this database, in itself or in its partitions."""
        return self.kind in (Kind.ORDINARY, Kind.PARTITIONED)


@dataclass(frozen=True, slots=True, config=STRICT)
class Column:
    """One column. `type` is the declared type in full (`character varying(40)`), `base` the type below any domain or
    array, unqualified (`varchar`, `int4`, `jsonb`, an enum's own name), `category` PostgreSQL's letter for that base
    (S text, N number, D date or time, B boolean, E enum, U other, …).
    """

    name: str
    type: str
    base: str
    category: str
    array: bool = False
    max_length: int | None = None  # characters, of varchar(n) or char(n), also below a domain
    not_null: bool = False  # declared on the column or on its domain, and validated
    not_null_leaves: tuple[Name, ...] = ()  # partitions that alone forbid NULL
    generated: bool = False  # GENERATED ALWAYS AS (…): computed, never copied
    computed_from: tuple[str, ...] = ()  # the columns that a generated column reads
    identity: bool = False
    default: str | None = None
    enum_labels: tuple[str, ...] = ()
    domain: str | None = None
    domain_checks: tuple[str, ...] = ()  # CHECK definitions that speak of VALUE; "… NOT VALID" included
    comment: str | None = None


class KeyKind(StrEnum):
    """What forbids two equal rows."""

    PRIMARY = "primary"
    UNIQUE = "unique"
    EXCLUSION = "exclusion"


@dataclass(frozen=True, slots=True, config=STRICT)
class Key:
    """A primary key, unique constraint, unique index or exclusion constraint. `columns` are the plain ones; `computed`
    are those inside its expressions, `conditions` those inside its predicate, `folded` those that a part of it reads as
    lower(column) or upper(column). `leaf` is the partition that alone has it; it says nothing about the other partitions.
    """

    name: str
    kind: KeyKind
    columns: tuple[str, ...]
    expressions: bool = False
    predicate: bool = False
    computed: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()  # its expressions, as PostgreSQL prints them
    rule: str = ""  # what it forbids, without any name of index or table: equal rules forbid the same rows
    definition: str = ""
    leaf: Name | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class Check:
    """A CHECK constraint: its expression in SQL, and the columns it reads. `leaf` is the partition that alone has it.

    `functions` are the application's own functions that it calls; they may read other tables.
    """

    name: str
    expression: str
    columns: tuple[str, ...]
    validated: bool = True  # False: NOT VALID, rows from before need not satisfy it
    enforced: bool = True
    local: bool = True  # declared on the table itself, and not only inherited
    definition: str = ""
    functions: tuple[str, ...] = ()
    leaf: Name | None = None


class ForeignKey(Immutable):
    """A foreign key, columns in the order of their pairs. `definition` re-creates it (`FOREIGN KEY (…) REFERENCES …`).
    `table` and `references` are logical tables; `partition` is the part of `table` that declares it, where one does.
    """

    name: str
    table: Name
    columns: tuple[str, ...]
    references: Name
    referenced_columns: tuple[str, ...]
    definition: str
    validated: bool = True
    partition: Name | None = None
    comment: str | None = None
    watched: bool = True  # False: somebody switched the triggers off that enforce it

    @property
    def declared_on(self) -> Name:
        """The table that ALTER TABLE must name."""
        return self.partition or self.table


class Table(Immutable):
    """A logical table: an ordinary table, or a partition root with all that is below it. `leaves` are the tables that
    hold the rows: the table itself, or every leaf partition. Inheritance children (not partitions) are tables of their
    own, with `parents` naming what they inherit from; their rows are read with ONLY.
    """

    name: Name
    columns: tuple[Column, ...]
    unique_keys: tuple[Key, ...] = ()
    checks: tuple[Check, ...] = ()
    partitioned: bool = False
    leaves: tuple[Name, ...] = ()
    foreign_leaves: tuple[Name, ...] = ()  # partitions whose rows are stored on another server
    parents: tuple[Name, ...] = ()
    estimated_rows: int = 0
    bytes: int = 0
    comment: str | None = None

    @property
    def copied(self) -> tuple[Column, ...]:
        """The columns that travel: all but the generated ones."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def primary(self) -> Key | None:
        """The primary key, if there is one."""
        return next((key for key in self.unique_keys if key.kind is KeyKind.PRIMARY), None)

    def column(self, name: str) -> Column | None:
        """The column of that name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)

    def counts(self, name: str) -> bool:
        """Whether a column holds a sequence's numbers themselves, and not text made of them ('A-' || nextval(…))."""
        column = self.column(name)
        return column is not None and column.base in COUNTING and not column.array


class Function(Immutable):
    """A function of the application: neither PostgreSQL's own nor an extension's. `volatility` is the catalogue's letter
    (i immutable, s stable, v volatile), `source` its text.
    """

    name: Name
    language: str
    volatility: str
    source: str


class Trigger(Immutable):
    """A trigger of people on a table or on the root of its partitions, with the function that it runs.

    A rewrite rule counts as one in the language `rule`; `source` is then its definition.
    """

    name: str
    table: Name
    state: str = "O"  # as in pg_trigger: O enabled, A always, R on replicas only, D disabled
    partition: bool = False  # on a partition alone
    row: bool = True
    before: bool = True
    insert: bool = True  # whether an INSERT fires it
    conditional: bool = False  # it has a WHEN
    language: str = "plpgsql"
    function: str = ""  # without its schema
    source: str = ""
    arguments: tuple[str, ...] = ()
    transitions: tuple[str, ...] = ()  # names under which its function reads the changed rows as a table


class Sequence(Immutable):
    """A sequence and the column that draws from it, its owner first; `uses` are all such columns, with their tables."""

    name: Name
    table: Name | None
    column: str | None
    uses: tuple[tuple[Name, str], ...] = ()
    increment: int = 1


class Stray(Immutable):
    """Text outside the rows that may hold personal data: a comment, a default, a view, a function body, an option."""

    where: str
    kind: str  # comment, default, generated, view, function, check, foreign-server
    what: str  # which kind of personal data it looks like; never the text itself


class DatabaseIdentity(Immutable):
    """Which database this is. `system_identifier` is that of the server's data directory: a copy at file level has it
    too, so an equal one forbids, but a different one alone proves nothing.
    """

    host: str
    port: int
    database: str
    database_oid: int
    system_identifier: str
    server_version: int  # as server_version_num: 180004
    encoding: str = "UTF8"
    standby: bool = False


def by_name(owner: Immutable, items: tuple[T, ...], name_of: Callable[[T], str]) -> dict[str, T]:
    """Return the items by name, from an index that is kept with their owner and made once for each tuple.

    A search through a tuple for each table makes everything quadratic: ten thousand tables are real.
    """
    kept: tuple[tuple[T, ...], dict[str, T]] | None = owner.__dict__.get("_by_name")
    if kept is None or kept[0] is not items:  # a changed copy carries the index of the original
        kept = (items, {name_of(item): item for item in items})
        owner.__dict__["_by_name"] = kept  # past the frozen model: it is no part of its value
    return kept[1]


class Catalog(Immutable):
    """Everything about a database's structure that a plan needs."""

    identity: DatabaseIdentity
    tables: tuple[Table, ...]
    relations: tuple[Relation, ...] = ()  # all of them, also partitions, foreign tables and views
    foreign_keys: tuple[ForeignKey, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    functions: tuple[Function, ...] = ()
    materialized_views: tuple[Name, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()  # (name, why): foreign tables, extension members, …
    strays: tuple[Stray, ...] = ()

    def table(self, name: str) -> Table | None:
        """Return the table that prints as `name` (`users`, `billing.invoices`), if there is one."""
        return by_name(self, self.tables, lambda table: str(table.name)).get(name)
