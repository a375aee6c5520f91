"""Small dumps to read, to break and to compare."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deployments.sandbox.postgres import Postgres
from tasks.dumps.compression import Compression
from tasks.dumps.dump_files import assemble
from tasks.dumps.segment_writer import SegmentWriter
from tasks.estate.dumps import DumpedColumn, DumpedTable, DumpFacts, Header
from tasks.estate.schema import Name

USERS, INVOICES = Name(schema_name="public", name="users"), Name(schema_name="billing", name="invoices")
EMPTY, BARE = Name(schema_name="public", name="Empty Table"), Name(schema_name="public", name="bare")
# Per table its columns, and per segment its COPY text.
CONTENT: dict[Name, tuple[int, list[bytes]]] = {
    USERS: (3, [b'1\tAnna\t\\N\n2\tBernd "B"\ttab\\there\n', b"3\tJ\xc3\xbcrgen\tC:\\\\users\\\\v\n"]),
    INVOICES: (2, [b"10\t\\\\N\n11\tnull\n"]),
    EMPTY: (2, [b""]),
    BARE: (0, [b"\n\n\n"]),
}
MakeDump = Callable[..., DumpFacts]


def header_of(content: Mapping[Name, tuple[int, Sequence[bytes]]], **changes: Any) -> Header:
    """A header for these tables."""
    tables = tuple(
        DumpedTable(
            name=name, columns=tuple(DumpedColumn(name=f"c{i}", type="text", rule="keep") for i in range(columns))
        )
        for name, (columns, _) in content.items()
    )
    fields: dict[str, Any] = {
        "app": "schulportal", "schema_version": 42, "source_host": "db.example", "source_system": "7", "tables": tables,
        "source_database": "app", "server_version": 180004, "exported_at": datetime(2026, 11, 21, 3, tzinfo=UTC),
        "run_id": "run", "policy": "p" * 16, "key": "k" * 16,
    }  # fmt: skip
    return Header.model_validate(fields | changes)


@pytest.fixture
def content() -> dict[Name, tuple[int, list[bytes]]]:
    """The content of a dump, for a test to change."""
    return {name: (columns, list(blocks)) for name, (columns, blocks) in CONTENT.items()}


@pytest.fixture
def new_header() -> Callable[..., Header]:
    """A function that makes the header of a dump of such content."""
    return header_of


@pytest.fixture
def make_dump(tmp_path: Path) -> MakeDump:
    """A function that writes a dump of the content above, or of other content, and returns its facts."""
    made = 0

    def make(
        content: Mapping[Name, tuple[int, Sequence[bytes]]] = CONTENT,
        *,
        compression: Compression = "gzip",
        header: Mapping[str, Any] | None = None,
        **sealing: Any,
    ) -> DumpFacts:
        nonlocal made
        made += 1
        parts = []
        for name, (columns, segments) in content.items():
            for number, block in enumerate(segments):
                path = tmp_path / f"{made}-{len(parts)}.part"
                with SegmentWriter(path, name, number, compression=compression, columns=columns) as writer:
                    writer.write_copy(block)
                parts.append(writer.part)
        target = str(tmp_path / f"{made}.dump")
        return assemble(target, header_of(content, **(header or {})), parts, compression=compression, **sealing)

    return make


Lines = list[bytes]


@pytest.fixture
def lines(make_dump: MakeDump) -> Lines:
    """The lines of a dump that is not compressed, to be moved about and put together again."""
    return Path(make_dump(compression="none").url).read_bytes().splitlines(keepends=True)


@pytest.fixture
def true_again() -> Callable[[Lines], Lines]:
    """A function that makes every count and digest of changed lines agree: what only other checks can refuse."""
    return recomputed


def recomputed(lines: Lines) -> Lines:
    """Written from the page that describes the format, not from our code."""
    result, overall, tables = [], hashlib.sha256(), {}
    rows, digest = 0, hashlib.sha256()
    for line in lines:
        if not line.startswith(b"{"):
            rows += 1
            digest.update(line)
            result.append(line)
            continue
        fields = json.loads(line)
        if fields["kind"] == "segment":
            rows, digest = 0, hashlib.sha256()
        elif fields["kind"] == "end":
            fields |= {"rows": rows, "digest": digest.hexdigest()}
            of_table = tables.setdefault(tuple(fields["table"]), [0, hashlib.sha256()])
            of_table[0] += rows
            of_table[1].update(digest.hexdigest().encode())
        elif fields["kind"] == "trailer":
            names = [{"schema_name": schema, "name": name} for schema, name in tables]
            counted = [{"rows": count, "digest": of_table.hexdigest()} for count, of_table in tables.values()]
            fields["tables"] = [name | count for name, count in zip([{"name": n} for n in names], counted, strict=True)]
            fields |= {"rows": sum(count for count, _ in tables.values()), "digest": overall.hexdigest()}
        line = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        overall.update(line)
        result.append(line)
    return result


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database for this module, which each test fills anew."""
    with psycopg.connect(postgres.create(request.path.stem), autocommit=True) as connection:
        yield connection
