"""Columns of public schemas with the right decision for each, and how far a draft agrees.

`labels/*.csv` has a file per schema: its first line names the source, then follow `table,column,type,label`. Only names and
types are from the source. The columns `id`, `created_at` and `updated_at` of Rails and Prisma are omitted, because any
draft decides them rightly. `labels/README.md` describes how the labels were chosen.
"""

import csv
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from faker import Faker

from tasks.estate.schema import Catalog, Column, DatabaseIdentity, Key, KeyKind, Name, Table
from tasks.masking.classify import Draft, draft

FOLDER = Path(__file__).parent / "labels"
HELD_OUT = ("diaspora", "hitobito")  # labelled, not read when rules were written
KEEP, EITHER, WHOLE = "keep", "either", "*"
CATEGORIES = {
    "bool": "B", "date": "D", "timestamptz": "D", "time": "D", "int2": "N", "int4": "N", "int8": "N", "numeric": "N",
    "float4": "N", "float8": "N", "inet": "I", "enum": "E", "text": "S", "varchar": "S",
}  # fmt: skip
# Makers that are right for a label: its own, and those that keep nothing of a value of any kind.
CLEARING = frozenset({"recompute", "null", "hash", "scrub", "blank", "token", "constant", "choice", "placeholder"})
OWN = {
    "email": {"email", "array", "jsonb"},
    "name": {"first_name", "last_name", "full_name", "username", "array"},
    "phone": {"phone", "array"},
    "address": {"street", "postcode", "city", "address"},
    "ip": {"ip", "array"},
    "text": {"text", "array", "jsonb"},
    "secret": {"password", "uuid", "array", "jsonb", "url"},  # a URL may hold a password
    "birth": {"birth_date", "date_shift"},
    "url": {"url", "array"},
    "company": {"company", "full_name"},
    "other": {"iban", "array", "jsonb", "birth_date", "date_shift", "url", "email", "full_name", "company", "ip", "phone", "uuid",
              "placeholder_size", "placeholder_checksum", "password", "first_name", "last_name"},
}  # fmt: skip


@dataclass(frozen=True)
class Labelled:
    """One column of a schema and its label."""

    table: str
    column: str
    type: str
    label: str


def schemas() -> tuple[str, ...]:
    """Return the labelled schemas, by the names of their files."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))


def labels_of(schema: str) -> list[Labelled]:
    """Return the labelled columns of a schema. A row for the column `*` means that its table need not be copied."""
    lines = (FOLDER / f"{schema}.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [Labelled(**row) for row in rows]


def catalog_of(rows: list[Labelled]) -> Catalog:
    """Return the catalogue of these tables, each with a bigint `id` as its primary key unless it has a column of that name."""
    tables = []
    for table, columns in groupby(rows, key=lambda row: row.table):
        named = [_column(row) for row in columns if row.column != WHOLE]
        own = Column(name="id", type="int8", base="int8", category="N", not_null=True, identity=True)
        key = Key(name=f"{table}_pkey", kind=KeyKind.PRIMARY, columns=("id",))
        tables.append(Table(name=Name(schema_name="public", name=table), columns=(own, *named), unique_keys=(key,)))
    identity = DatabaseIdentity(
        host="db", port=5432, database="app", database_oid=1, system_identifier="1", server_version=180000
    )
    return Catalog(identity=identity, tables=tuple(tables))


def _column(row: Labelled) -> Column:
    base = row.type.removesuffix("[]")
    return Column(
        name=row.column,
        type=row.type,
        base=base,
        array=row.type.endswith("[]"),
        category="A" if row.type.endswith("[]") else CATEGORIES.get(base, "U"),
        enum_labels=("one", "two") if base == "enum" else (),
    )


@dataclass
class Score:
    """The score of a draft on labelled columns. Columns for which both decisions are right do not count."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)

    @property
    def columns(self) -> int:
        """Return the number of columns with a clear label."""
        return self.counts["columns"]

    @property
    def right(self) -> float:
        """Return the share of drafted decisions that are right."""
        return self.counts["right"] / max(1, self.counts["right"] + len(self.wrong))

    @property
    def left_open(self) -> float:
        """Return the share of undecided columns."""
        return len(self.undecided) / max(1, self.columns)

    @property
    def recall(self) -> float:
        """Return the share of personal columns that are not drafted `keep`."""
        return 1 - len(self.leaked) / max(1, self.counts["personal"])

    def add(self, other: "Score") -> None:
        """Add another score."""
        self.counts += other.counts
        self.wrong += other.wrong
        self.undecided += other.undecided
        self.leaked += other.leaked


def score_of(schema: str) -> Score:
    """Draft a policy from the schema's names and types alone, and compare it with the labels."""
    rows = labels_of(schema)
    return compare(schema, rows, draft(catalog_of(rows), {}))


def compare(schema: str, rows: list[Labelled], drafted: Draft) -> Score:
    """Compare a draft with the labels."""
    score = Score()
    for row, word in _decisions(rows, drafted):
        if row.label == EITHER:
            continue
        score.counts["columns"] += 1
        score.counts["personal"] += row.label != KEEP
        where = f"{schema}: {row.table}.{row.column} ({row.type}): {word}, expected {row.label}"
        if word is None:
            score.undecided.append(where)
        elif is_right(row.label, word):
            score.counts["right"] += 1
        else:
            score.wrong.append(where)
            if word == KEEP:
                score.leaked.append(where)
    return score


def is_right(label: str, word: str) -> bool:
    """Return whether the drafted word is right for a clear label."""
    if label == KEEP or word == KEEP:
        return label == word
    return word in CLEARING or word in OWN[label]


def _decisions(rows: list[Labelled], drafted: Draft) -> Iterator[tuple[Labelled, str | None]]:
    """Yield each column with the drafted word: `keep`, a maker, None if undecided. If a whole table is drafted and need not be
    copied, its columns count as decided rightly; otherwise the draft is wrong.
    """
    tables = {table.name.name: table for table in drafted.tables}
    spare = {row.table for row in rows if row.column == WHOLE}
    for row in rows:
        if row.column == WHOLE:
            continue
        table = tables[row.table]
        if table.whole in ("drop", "exclude"):
            yield row, ("keep" if row.label == KEEP else "null") if row.table in spare else table.whole
            continue
        column = next(each for each in table.columns if each.name == row.column)
        yield (
            row,
            str(column.rule.get("maker", next(iter(column.rule)))) if isinstance(column.rule, dict) else column.rule,
        )


def several(chosen: tuple[str, ...]) -> tuple[Catalog, dict[tuple[str, str], str]]:
    """Return the tables of several schemas in one catalogue, named after their schemas, and the label of each column."""
    rows = [
        Labelled(f"{schema}_{row.table}", row.column, row.type, row.label)
        for schema in chosen
        for row in labels_of(schema)
        if row.column != WHOLE
    ]
    return catalog_of(rows), {(row.table, row.column): row.label for row in rows}


def invented_values(
    catalog: Catalog, labels: dict[tuple[str, str], str], size: int
) -> dict[tuple[str, str], list[str]]:
    """Return sampled values: fakes for the label, words for kept columns, numbers and times."""
    fake, chance = Faker("de_DE"), random.Random(2)  # the same values each time
    fake.seed_instance(1)
    makers = {
        "email": fake.email, "name": fake.name, "phone": fake.phone_number, "address": fake.street_address, "ip": fake.ipv4,
        "text": lambda: fake.sentence(12), "secret": fake.sha1, "birth": fake.date, "url": fake.url, "company": fake.company,
        "other": lambda: fake.bothify("??##-####"),
    }  # fmt: skip
    pools = {label: [make() for _ in range(2 * size)] for label, make in makers.items()}
    pools["N"] = [str(chance.randrange(1_000_000)) for _ in range(2 * size)]
    pools["D"] = [f"2024-{1 + n % 12:02}-{1 + n % 28:02} 10:00:00+00" for n in range(2 * size)]
    words = ["open", "closed", "draft", "de", "EUR", "1.0", "admin"] * size
    return {
        (str(table.name), column.name): chance.sample(
            pools.get(
                labels.get((table.name.name, column.name), KEEP) if column.category == "S" else column.category, words
            ),
            size,
        )
        for table in catalog.tables
        for column in table.copied
        if column.category in "SND"
    }
