"""The structure of a PostgreSQL database, as far as a dump and its masking need it. Contains no rows."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from tasks.estate.sites import Immutable

T = TypeVar("T")

# A database has tens of thousands of columns: dataclasses with slots take a tenth of the memory of `Immutable`.
STRICT = ConfigDict(extra="forbid")

COUNTING = ("int2", "int4", "int8", "numeric", "float4", "float8")  # types that store the numbers of a sequence


class Name(Immutable):
    """A schema-qualified name as in the catalogue: unquoted, any characters."""

    schema_name: str
    name: str

    def __str__(self) -> str:
        """Return `schema.name`, without the schema if it is `public`: for messages and policy keys.

        A part with a dot, a quote or a `*` is quoted, to distinguish `public."a.b"` from `a.b` and a name from a pattern.
        """
        schema_name, name = (
            '"' + part.replace('"', '""') + '"' if any(sign in part for sign in '."*') else part
            for part in (self.schema_name, self.name)
        )
        return name if self.schema_name == "public" else f"{schema_name}.{name}"


class Kind(StrEnum):
    """The kind of a relation, as PostgreSQL's manual calls it."""

    ORDINARY = "table"
    PARTITIONED = "partitioned table"
    FOREIGN = "foreign table"
    VIEW = "view"
    MATERIALIZED = "materialized view"


@dataclass(frozen=True, slots=True, config=STRICT)
class Relation:
    """One relation. `parents`: the tables that it inherits from; of a partition, its partitioned table."""

    name: Name
    kind: Kind
    parents: tuple[Name, ...] = ()
    partition: bool = False
    bound: str = ""  # of a partition: `FOR VALUES …` or `DEFAULT`
    key: str = ""  # of a partitioned table: `RANGE (at)`
    of_extension: bool = False
    unlogged: bool = False
    server: str = ""  # of a foreign table: the server that stores its rows
    hidden: bool = False  # row security hides rows from the connected role

    @property
    def holds_rows(self) -> bool:
        """Whether its rows are stored in this database, in itself or in its partitions."""
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
    not_null_leaves: tuple[Name, ...] = ()  # partitions that forbid NULL although the table does not
    generated: bool = False  # GENERATED ALWAYS AS (…): computed, never copied
    computed_from: tuple[str, ...] = ()  # the columns that a generated column reads
    identity: bool = False
    default: str | None = None
    enum_labels: tuple[str, ...] = ()
    domain: str | None = None
    domain_checks: tuple[str, ...] = ()  # CHECK definitions that use VALUE, also "… NOT VALID"
    comment: str | None = None


class KeyKind(StrEnum):
    """The kind of a constraint on equal rows."""

    PRIMARY = "primary"
    UNIQUE = "unique"
    EXCLUSION = "exclusion"


@dataclass(frozen=True, slots=True, config=STRICT)
class Key:
    """A primary key, unique constraint, unique index or exclusion constraint. `columns` are its plain columns, `computed`
    those in its expressions, `conditions` those in its predicate, `folded` those that it reads as lower(column) or
    upper(column). `leaf`: the only partition that has it, if the table does not.
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
    rule: str = ""  # what it forbids, without the names of index and table: equal rules forbid the same rows
    definition: str = ""
    leaf: Name | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class Check:
    """A CHECK constraint: its SQL expression and the columns that it reads. `leaf`: the only partition that has it.

    `functions`: functions of the application that it calls, which may read other tables.
    """

    name: str
    expression: str
    columns: tuple[str, ...]
    validated: bool = True  # False: NOT VALID, older rows may violate it
    enforced: bool = True
    local: bool = True  # declared on the table itself, not inherited
    definition: str = ""
    functions: tuple[str, ...] = ()
    leaf: Name | None = None


class ForeignKey(Immutable):
    """A foreign key, columns in the order of their pairs. `definition` creates it again (`FOREIGN KEY (…) REFERENCES …`).
    `table` and `references` are logical tables. `partition`: the partition of `table` that declares it, if one does.
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
    watched: bool = True  # False: the triggers that enforce it are disabled

    @property
    def declared_on(self) -> Name:
        """The table for ALTER TABLE."""
        return self.partition or self.table


class Table(Immutable):
    """A logical table: an ordinary table, or a partitioned table with its partitions. `leaves` are the tables that store
    the rows: the table itself, or every leaf partition. Inheritance children (not partitions) are separate tables whose
    `parents` are what they inherit from; their rows are read with ONLY.
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
        """The columns that are copied: all but the generated ones."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def primary(self) -> Key | None:
        """The primary key, or None."""
        return next((key for key in self.unique_keys if key.kind is KeyKind.PRIMARY), None)

    def column(self, name: str) -> Column | None:
        """Return the column with this name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def counts(self, name: str) -> bool:
        """Return whether a column stores the numbers of a sequence, and not text made of them ('A-' || nextval(…))."""
        column = self.column(name)
        return column is not None and column.base in COUNTING and not column.array


class Function(Immutable):
    """A function of the application, not of PostgreSQL or an extension. `volatility` is the catalogue's letter (i immutable,
    s stable, v volatile).
    """

    name: Name
    language: str
    volatility: str
    source: str


class Trigger(Immutable):
    """A user-defined trigger on a table or a partitioned table, with the function that it runs.

    A rewrite rule counts as a trigger in the language `rule`, with its definition as `source`.
    """

    name: str
    table: Name
    state: str = "O"  # as in pg_trigger: O enabled, A always, R on replicas only, D disabled
    partition: bool = False  # on a partition alone
    row: bool = True
    before: bool = True
    insert: bool = True  # whether an INSERT fires it
    conditional: bool = False  # it has a WHEN clause
    language: str = "plpgsql"
    function: str = ""  # without its schema
    source: str = ""
    arguments: tuple[str, ...] = ()
    transitions: tuple[str, ...] = ()  # names of its transition tables


class Sequence(Immutable):
    """A sequence and the column that uses it, preferably its owner. `uses`: all such columns, with their tables."""

    name: Name
    table: Name | None
    column: str | None
    uses: tuple[tuple[Name, str], ...] = ()
    increment: int = 1


class Stray(Immutable):
    """Text outside the rows that may contain personal data: a comment, a default, a view, a function body, an option."""

    where: str
    kind: str  # comment, default, generated, view, function, check, foreign-server
    what: str  # the kind of personal data that it resembles; never the text


class DatabaseIdentity(Immutable):
    """The identity of a database. `system_identifier` is that of the server's data directory. A copy at file level has the
    same one: an equal one refuses a load, a different one alone proves nothing.
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
    """Return the items by name, from an index that is stored with their owner and made once for each tuple.

    Searching the tuple for each name would take quadratic time, and databases with ten thousand tables exist.
    """
    kept: tuple[tuple[T, ...], dict[str, T]] | None = owner.__dict__.get("_by_name")
    if kept is None or kept[0] is not items:  # a changed copy has the index of the original
        kept = (items, {name_of(item): item for item in items})
        owner.__dict__["_by_name"] = kept  # bypasses the frozen model: it is not part of its value
    return kept[1]


class Catalog(Immutable):
    """The structure of a database, as far as a plan needs it."""

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
        """Return the table whose text is `name` (`users`, `billing.invoices`), or None."""
        return by_name(self, self.tables, lambda table: str(table.name)).get(name)
