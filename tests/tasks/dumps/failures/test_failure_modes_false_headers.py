"""Failure mode 20 again: a header is only a claim, so the values are looked at before the commit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.dumps import dump_files, dump_reader, segment_writer
from tasks.dumps.dump_reader import Segment
from tasks.estate.dumps import Anonymizer, Choices, DumpFacts, Header
from tasks.estate.errors import LeakFound, WrongTarget

Pairs = Callable[..., Any]
SCHEMA = "CREATE TABLE t (id bigint PRIMARY KEY, v text)"
ROWS = "INSERT INTO t VALUES (1, 'anna.berger@example.org'), (2, '$2b$10$abcdefghijklmnopqrstuv')"


def forged(facts: DumpFacts, rule: str, folder: Path, **changes: Any) -> DumpFacts:
    """The same rows under a header that claims that they were masked: whole, with true digests."""
    parts, header = [], facts.header
    for event in dump_reader.read(facts.url):
        if isinstance(event, Header):
            columns = tuple(
                replace(column, rule=rule if column.name == "v" else column.rule, raw=False)
                for column in event.tables[0].columns
            )
            header = event.model_copy(
                update={"tables": (event.tables[0].model_copy(update={"columns": columns}),), **changes}
            )
        elif isinstance(event, Segment):
            with segment_writer.SegmentWriter(
                folder / "forged.part", event.table, event.number, compression="none"
            ) as writer:
                for block in event.blocks:
                    writer.write_copy(block)
            parts.append(writer.part)
    return dump_files.assemble(str(folder / f"forged-{rule}.json"), header, parts, compression="none")


@pytest.mark.parametrize(
    ("rule", "claimed"),
    [
        ("email", "email"), ("{maker: email, form: hash}", "email"), ("password", "password"), ("scrub", "scrub"),
        ("scrub", "unread"), ("{maker: blank, nulls: keep}", "blank"), ("'null'", "null"),
    ],
)  # fmt: skip
def test_mode_20_clear_values_under_a_false_header_are_rolled_back(
    pair: Pairs, policy: Callable[[str], Any], tmp_path: Path, rule: str, claimed: str
) -> None:
    """The header claims that the column was masked, or never read. Its values show that it was not, and nothing stays."""
    made = pair(SCHEMA, "t: {id: keep, v: keep}", ROWS, old="INSERT INTO t VALUES (9, 'old')")
    lie = forged(made.export(), claimed, tmp_path)
    made.policy = policy(f"t: {{id: keep, v: {rule}}}")
    before = made.contents()
    with pytest.raises(LeakFound, match=r"t\.v"):
        made.load(lie, searched=False)
    assert made.contents() == before


def test_mode_20_other_options_than_at_the_export_are_refused_with_that_reason(
    pair: Pairs, policy: Callable[[str], Any]
) -> None:
    """A policy that was changed in between cannot be distinguished from a leak: the load is refused, and the message explains it."""
    made = pair(SCHEMA, "t: {id: keep, v: scrub}", ROWS)
    facts = made.export()
    made.policy = policy("t: {id: keep, v: {maker: scrub, text: gone}}")
    with pytest.raises(LeakFound, match="expected none, under a policy with the same options as at the export"):
        made.load(facts)


def test_mode_20_an_expression_of_the_policy_is_not_computed_over_its_own_result(pair: Pairs) -> None:
    """md5(md5(x)) is not md5(x): what cannot be checked like this must not be called a leak."""
    made = pair(SCHEMA, "t: {id: keep, v: {maker: sql, expression: 'md5({column})'}}", ROWS)
    made.load(made.export())
    assert made.ask("SELECT length(v) FROM t") == [(32,), (32,)]


def test_mode_20_a_raw_dump_that_was_masked_by_the_load_is_searched(pair: Pairs) -> None:
    """Values of other columns are searched for all the same. If personal data is expected, nothing is searched."""
    made = pair(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text, n text)",
        "t: {id: keep, v: email, n: {maker: hash, chars: 32}}",
        "INSERT INTO t VALUES (1, 'anna.berger@example.org', 'number 4711')",
    )
    facts = made.export(Choices(opted_out=(Anonymizer.EMAIL,)))
    assert "1 values of the source searched for" in dict(made.load(facts).checks)["leak search"]
    result = dict(made.load(facts, opted_out=(Anonymizer.EMAIL,)).checks)["leak search"]
    assert result.startswith("not run: anonymizers were switched off")


def test_mode_17_the_source_itself_is_never_a_target(pair: Pairs) -> None:
    """Same server and database as in the dump: refused, whatever name was typed, and nothing is written."""
    made = pair(SCHEMA, "t: {id: keep, v: keep}", ROWS)
    facts = made.export()
    own = facts.header.model_copy(update={"source_database": "pair_target"})
    before = made.contents()
    with pytest.raises(WrongTarget, match="is the database from which the dump was exported"):
        made.load(facts.model_copy(update={"header": own}))
    assert made.contents() == before


def test_w13_a_column_that_staging_lacks_never_reaches_its_disk(pair: Pairs) -> None:
    """It is left out in the worker's stream: no temporary table, and its values need no type there."""
    made = pair(
        "CREATE TYPE mood AS ENUM ('glad'); CREATE TABLE t (a mood, id bigint PRIMARY KEY, v text, z text[])",
        "t: keep",
        "INSERT INTO t VALUES ('glad', 1, E'tab\\there \\\\N', '{x}'), (NULL, 2, NULL, NULL)",
    )
    facts = made.export()
    made.change("ALTER TABLE t DROP COLUMN a, DROP COLUMN z")
    made.load(facts)
    assert made.ask("SELECT id, v FROM t ORDER BY id") == [(1, "tab\there \\N"), (2, None)]
    made.change("ALTER TABLE t DROP COLUMN id, DROP COLUMN v; ALTER TABLE t ADD fresh integer DEFAULT 5")
    made.load(facts)
    assert made.ask("SELECT fresh FROM t") == [(5,), (5,)]
