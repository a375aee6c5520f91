"""Dumps that are written whole or not at all, and read back as they were written."""

import os
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tasks.dumps import dump_files
from tasks.dumps.compression import Compression
from tasks.dumps.dump_files import assemble, dump_name
from tasks.dumps.dump_reader import Segment, check, read
from tasks.dumps.segment_writer import Part, SegmentWriter
from tasks.estate.dumps import DumpFacts, Header, Trailer
from tasks.estate.errors import DumpRefused, NotExported
from tasks.estate.schema import Name

USERS = Name(schema_name="public", name="users")


def copied(facts: DumpFacts, **options: Any) -> dict[str, bytes]:
    """Per table the blocks that a reader yields, joined."""
    found: dict[str, bytes] = {}
    for event in read(facts.url, **options):
        if isinstance(event, Segment):
            found[str(event.table)] = found.get(str(event.table), b"") + b"".join(event.blocks)
    return found


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_what_went_in_comes_out(make_dump: Any, compression: Compression) -> None:
    """COPY text comes back byte for byte, per table in order of its segments, and a check finds what was written."""
    facts = make_dump(compression=compression)
    assert copied(facts) == {
        "users": b'1\tAnna\t\\N\n2\tBernd "B"\ttab\\there\n3\tJ\xc3\xbcrgen\tC:\\\\users\\\\v\n',
        "billing.invoices": b"10\t\\\\N\n11\tnull\n",
        "Empty Table": b"",
        "bare": b"\n\n\n",
    }
    assert check(facts.url) == facts
    assert (facts.trailer.rows, facts.compression, facts.encrypted) == (8, compression, False)
    assert facts.bytes == Path(facts.url).stat().st_size


def test_rows_are_given_as_they_stand(make_dump: Any) -> None:
    """Who wants to look at values gets the row lines themselves."""
    assert copied(make_dump(), as_rows=True)["billing.invoices"] == b'[\t"10",\t"\\\\N"]\n[\t"11",\t"null"]\n'


def test_events_come_in_order(make_dump: Any) -> None:
    """Header first, then every segment with its number, and the trailer last: only then was everything true."""
    events = list(read(make_dump().url))
    assert isinstance(events[0], Header)
    assert isinstance(events[-1], Trailer)
    segments = [event for event in events[1:-1] if isinstance(event, Segment)]
    assert [(str(segment.table), segment.number) for segment in segments] == [
        ("users", 0), ("users", 1), ("billing.invoices", 0), ("Empty Table", 0), ("bare", 0),
    ]  # fmt: skip


def test_unread_rows_are_checked_all_the_same(make_dump: Any) -> None:
    """A reader that skips a segment, or stops in the middle and closes it, still meets the lie inside it."""
    facts = make_dump(compression="none")
    path = Path(facts.url)
    path.write_bytes(path.read_bytes().replace(b"Bernd", b"Berta"))
    with pytest.raises(DumpRefused, match="SegmentEnd"):
        list(read(facts.url))
    with pytest.raises(DumpRefused, match="SegmentEnd"):
        [event.blocks.close() for event in read(facts.url) if isinstance(event, Segment)]  # type: ignore[attr-defined]  # generators


@pytest.mark.parametrize("number", [1, 1000])
def test_how_the_rows_were_handed_over_does_not_matter(make_dump: Any, tmp_path: Path, number: int) -> None:
    """Row by row or in one block: counts and digests are the same."""
    block = b"".join(b"%d\tname\t\\N\n" % i for i in range(number))
    parts = []
    for name, pieces in (("one", [block]), ("many", block.splitlines(keepends=True))):
        with SegmentWriter(tmp_path / name, USERS, 0, compression="none") as writer:
            for piece in pieces:
                writer.write_copy(piece)
        parts.append(writer.part)
    assert parts[0].model_copy(update={"path": parts[1].path}) == parts[1]
    assert parts[0].rows == number
    assert parts[0].uncompressed == parts[0].bytes == (tmp_path / "one").stat().st_size


def test_only_the_owner_may_read(make_dump: Any, tmp_path: Path) -> None:
    """Parts and dumps have the mode 0600, whatever the umask allows."""
    before = os.umask(0)
    try:
        make_dump()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_failed_segment_leaves_nothing(tmp_path: Path) -> None:
    """After an exception there is no part, under no name; and a part is no part before its end."""
    writer = SegmentWriter(tmp_path / "part", USERS, 0, compression="gzip")
    with pytest.raises(ValueError, match="whole lines"), writer:
        [writer.write_copy(block) for block in (b"1\n" * 2_000_000, b"cut")]
    with pytest.raises(ValueError, match="not finished"):
        _ = writer.part
    assert not list(tmp_path.iterdir())


def test_an_existing_dump_is_never_overwritten(make_dump: Any, tmp_path: Path) -> None:
    """A target that exists is left as it is."""
    (tmp_path / "1.dump").write_bytes(b"old")
    with pytest.raises(NotExported, match=r"already.*expected a new name"):
        make_dump()
    assert (tmp_path / "1.dump").read_bytes() == b"old"


def test_a_dump_that_appears_meanwhile_is_not_overwritten(
    make_dump: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two exports may aim at one name; the second to finish keeps its hands off, and leaves nothing behind."""
    link = os.link

    def late(source: str, target: str) -> None:
        Path(target).write_bytes(b"theirs")
        link(source, target)

    monkeypatch.setattr(dump_files.os, "link", late)
    with pytest.raises(NotExported, match="appeared"):
        make_dump()
    assert (tmp_path / "1.dump").read_bytes() == b"theirs"
    assert not list(tmp_path.glob("*.unfinished"))


@pytest.mark.parametrize("target", ["{folder}/x.dump", "memory://x.dump"])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_failed_dump_leaves_nothing(make_dump: Any, tmp_path: Path, target: str, sealed: bool) -> None:
    """A part that changed since it was written stops the dump, and what had been written of it is gone."""
    facts = make_dump()
    parts = parts_of(facts, tmp_path)
    with parts[-1].path.open("ab") as file:
        file.write(b"more")
    url = target.format(folder=tmp_path)
    recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"] if sealed else []
    with pytest.raises(NotExported, match="expected the"):
        assemble(url, facts.header, parts, compression="gzip", recipients=recipients)
    filesystem, path = fsspec.core.url_to_fs(url)
    assert not [name for name in filesystem.ls(os.path.dirname(path) or "/", detail=False) if "x.dump" in name]


def parts_of(facts: DumpFacts, folder: Path) -> list[Part]:
    """Parts that hold what a dump holds, one per segment."""
    parts = []
    for event in read(facts.url):
        if isinstance(event, Segment):
            path = folder / f"again-{len(parts)}"
            width = next(len(table.columns) for table in facts.header.tables if table.name == event.table)
            with SegmentWriter(path, event.table, event.number, compression="gzip", columns=width) as writer:
                for block in event.blocks:
                    writer.write_copy(block)
            parts.append(writer.part)
    return parts


def test_parts_may_come_in_any_order(make_dump: Any, tmp_path: Path) -> None:
    """Workers finish when they finish; the dump is the same bytes."""
    facts = make_dump()
    parts = parts_of(facts, tmp_path)
    again = assemble(str(tmp_path / "x.dump"), facts.header, parts[::-1], compression="gzip")
    assert (again.sha256, again.trailer) == (facts.sha256, facts.trailer)


@pytest.mark.parametrize("change", ["missing", "doubled", "gap", "strange", "none"])
def test_incomplete_parts_make_no_dump(make_dump: Any, tmp_path: Path, change: str) -> None:
    """A segment too few or too many, or of a table that the header does not know, is found before anything is written."""
    facts = make_dump()
    parts = parts_of(facts, tmp_path)
    other = parts[0].model_copy(update={"table": Name(schema_name="public", name="other")})
    changed = {
        "missing": parts[1:],
        "doubled": [*parts, parts[0]],
        "gap": parts[:1] + parts[2:],
        "strange": [*parts, other],
    }
    changed["gap"] = [part.model_copy(update={"number": 2}) if part == parts[1] else part for part in parts]
    changed["none"] = [part for part in parts if part.table != USERS]
    with pytest.raises(NotExported, match="expected"):
        assemble(str(tmp_path / "x.dump"), facts.header, changed[change], compression="gzip")
    assert not (tmp_path / "x.dump").exists()


def test_any_store_will_do(make_dump: Any, tmp_path: Path) -> None:
    """A dump is written to and read from any address that fsspec knows; a login in it is not remembered."""
    facts = make_dump()
    url = "memory://someone:secret@deep/folder/x.dump"
    stored = assemble(url, facts.header, parts_of(facts, tmp_path), compression="gzip")
    assert stored.url == "memory://deep/folder/x.dump"
    assert check(url) == stored.model_copy(update={"url": url})
    fsspec.filesystem("memory").rm("/", recursive=True)


def test_names_say_when_in_utc() -> None:
    """The name has the snapshot's time in UTC, and how the file is packed."""
    when = datetime(2026, 11, 21, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    assert dump_name("app", when, "gzip", False) == "app-export-20261120-230203.json.gz"
    assert dump_name("app", when.astimezone(UTC), "zstd", True) == "app-export-20261120-230203.json.zst.age"
    with pytest.raises(ValueError, match="time zone"):
        dump_name("app", when.replace(tzinfo=None), "gzip", False)


def test_a_missing_dump_is_named(tmp_path: Path) -> None:
    """The error names the file that was not found."""
    with pytest.raises(DumpRefused, match=r"nothing\.dump cannot be opened"):
        check(str(tmp_path / "nothing.dump"))


def test_a_dump_that_was_checked_is_read_again_without_proving_its_spelling(
    make_dump: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the digest of an earlier check the rows are hashed and not parsed, and come out the same."""
    facts = make_dump()
    whole = copied(facts)
    monkeypatch.setattr("tasks.dumps.dump_reader.require_rows", lambda block, columns: pytest.fail("parsed again"))
    assert copied(facts, proven=facts.trailer.digest) == whole


def test_another_dump_under_the_name_of_the_checked_one_is_refused(make_dump: Any) -> None:
    """A whole dump that is not the one that was checked raises before its trailer is out."""
    first, second = make_dump(), make_dump(header={"run_id": "another"})
    events: list[Any] = []
    with pytest.raises(DumpRefused, match="not the one that was checked"):
        events.extend(read(second.url, proven=first.trailer.digest))
    assert not any(isinstance(event, Trailer) for event in events)
