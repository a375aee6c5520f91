"""The leak search and its proof: what was written is searched, and the result belongs to the dump."""

import base64
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.dumps.connections import connected_to
from tasks.dumps.dump_reader import SealedProof
from tasks.dumps.leak_search import HashedValues
from tasks.dumps.leak_search_proof import open_proof, prove_dump, unproven_reason
from tasks.dumps.masking_preview import overlaps_in_sample
from tasks.estate.dumps import Header, LeakSearchResult, Proof
from tasks.estate.errors import DumpRefused, NotLoaded, PolicyRefused
from tasks.masking.keyring import Keyring

Pairs = Callable[..., Any]
KEPT = """CREATE TYPE face AS (mail text, n int); CREATE TYPE span AS RANGE (subtype = text, collation = "C");
CREATE TABLE users (id int PRIMARY KEY, email text, phone text, login text, subject text);
CREATE TABLE kept (id int PRIMARY KEY, note text, doc jsonb, list text[], one face, reach span, page text,
  words tsvector, category text);"""
MASKED = """users: {id: keep, email: email, phone: phone, login: hash, subject: scrub}
kept: keep"""
USER = "INSERT INTO users VALUES (1, 'Anna.MÜLLER@firma.example', '+43 664 1234567', 'annaxy', 'Invoice');"
HEALTHY = """INSERT INTO kept VALUES (1, 'Please call the office on Monday.', '{"a": 1}', '{x}', NULL, NULL, NULL,
  to_tsvector('simple', 'the invoice of may'), 'Order');"""
CATEGORY = "INSERT INTO kept (id, category) VALUES (1, 'Invoice');"
PLANTED = {
    "note": "'write to ANNA.Müller@firma.example.'",
    "doc": """'{"a": "{\\"b\\": \\"anna.m\\\\u00fcller%40firma.example\\"}"}'""",
    "list": "ARRAY['x', '(0664) 123 45 67']",
    "one": "ROW('anna.müller@firma.example', 1)::face",
    "reach": "span('anna.müller@firma.example', 'z')",
    "page": "'<u><m>anna.m&#252;ller@firma.example</m></u>'",
    "words": "to_tsvector('simple', 'x anna.müller@firma.example y')",
    "category": "'@AnnaXY'",
}
NOT_FOR_THE_SERVER = {"words"}  # its parser splits an address that is not ASCII; it is tried with one that is


@pytest.mark.parametrize("column", PLANTED)
def test_a_value_is_found_in_every_type_of_column(pair: Pairs, column: str) -> None:
    """A masked value in a kept column of any type is found when the dump is written."""
    value = PLANTED[column]
    user = USER.replace("MÜLLER", "Mueller") if column in NOT_FOR_THE_SERVER else USER
    value = value.replace("müller", "mueller") if column in NOT_FOR_THE_SERVER else value
    made = pair(KEPT, MASKED, f"{user} INSERT INTO kept (id, {column}) VALUES (7, {value});")  # noqa: S608  # the test's own text
    made.export()
    assert {each.found for each in made.found} == {f"kept.{column}"}


@pytest.mark.parametrize(("rows", "found"), [(CATEGORY, [("users.subject", "kept.category")]), (HEALTHY, [])])
def test_a_preview_finds_what_an_export_would(pair: Pairs, rows: str, found: list[tuple[str, str]]) -> None:
    """The leak search over a sample of masked rows finds the same pairs as the export, and none in healthy rows."""
    made = pair(KEPT, MASKED, "\n".join((USER, rows)))
    with connected_to(made.url("source", "pair_reader"), name="preview", statement_within=60) as connection:
        overlaps = overlaps_in_sample(connection, made.plan(), made.session())
    assert [(each.source, each.found) for each in overlaps] == found
    made.export()
    assert [(each.source, each.found) for each in made.found] == found


def test_nothing_is_found_in_healthy_rows(pair: Pairs) -> None:
    """Ordinary rows next to masked people are not findings, and the dump is proven."""
    made = pair(KEPT, MASKED, "\n".join((USER, HEALTHY)))
    facts = made.export()
    assert made.found == ()
    assert facts.unproven == ""
    assert "none found" in dict(made.load(facts).checks)["leak search"]


def test_a_word_that_is_kept_elsewhere_is_a_pair(pair: Pairs) -> None:
    """A common word is found as a whole value; the policy's `accept` takes the pair out of the load."""
    rows = "\n".join((USER, CATEGORY))
    made = pair(KEPT, MASKED, rows)
    made.export()
    assert [(each.source, each.found) for each in made.found] == [("users.subject", "kept.category")]
    more = "accept:\n  - {source: users.subject, found: kept.category, reason: categories are words}\n"
    accepting = pair(KEPT, MASKED, rows, more=more)
    result = dict(accepting.load(accepting.export()).checks)["leak search"]
    assert "accepted by the policy: kept.category holds" in result


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{source: users.id, found: kept.category, reason: a reason}", "does not look for values of users.id"),
        ("{source: users.subject, found: kept.id, reason: a reason}", "does not search in kept.id"),
        ("{source: users.gone, found: kept.category, reason: a reason}", "does not look for values of users.gone"),
        ("{source: users.subject, found: kept.category}", "reason"),
        ("users.subject", "accept: expected source, found and reason"),
    ],
)
def test_an_entry_that_reaches_nothing_is_a_fault(pair: Pairs, entry: str, message: str) -> None:
    """A policy is refused if it accepts a pair that the leak search cannot find, or without a reason."""
    with pytest.raises(PolicyRefused, match=message):
        pair(KEPT, MASKED, USER, more=f"accept:\n  - {entry}\n").plan()


@pytest.mark.parametrize("declared", ["json", "jsonb"])
def test_documents_of_another_shape_are_counted_and_named(pair: Pairs, declared: str) -> None:
    """A document to which no path applies is a fault of the plan, unless the policy has a rule for the rest."""
    schema = f"CREATE TABLE d (id int PRIMARY KEY, doc {declared});"
    rows = """INSERT INTO d VALUES (1, '{"mail": "a@x.example"}'), (2, '[{"mail": "b@x.example"}]'), (3, '"{}"'), (4, NULL),
      (5, '[{"mail": "c@x.example"}]'), (6, '[]');"""
    rule = "d: {id: keep, doc: {maker: jsonb, paths: {$.mail: hash}%s}}"
    with pytest.raises(PolicyRefused) as refused:
        pair(schema, rule % "", rows).plan()
    assert "d.doc (jsonb): no path applies to 3 of the sampled documents ($: array in 2, $: string in 1)" in str(
        refused.value
    )
    assert "x.example" not in str(refused.value)
    for rest in ("keep", "null"):
        assert pair(schema, rule % f", else: {rest}", rows).plan().tables


def test_the_first_of_two_dumps_keeps_its_proof(pair: Pairs, tmp_path: Path) -> None:
    """A later export takes nothing away from an earlier dump, which may be loaded from another folder."""
    made = pair(KEPT, MASKED, USER)
    first = made.export()
    made.export()
    moved = tmp_path / "elsewhere.json"
    moved.write_bytes(Path(first.url).read_bytes())
    facts = made.check(str(moved))
    assert facts.unproven == ""
    assert "values of the source searched for" in dict(made.load(facts).checks)["leak search"]


def test_the_file_contains_no_value_and_no_hash(pair: Pairs) -> None:
    """Neither values nor the key of their hashes nor a column's hashes are in the file."""
    made = pair(KEPT, MASKED, USER)
    text = Path(made.export().url).read_bytes().lower()
    assert b'"lengths"' not in text
    assert not any(value in text for value in (b"annaxy", b"firma.example", b"1234567", b"invoice"))


def test_another_key_leaves_a_dump_unproven(pair: Pairs) -> None:
    """Without the masking key of the export the proof cannot be checked: the dump is unproven, neither passed nor refused."""
    made = pair(KEPT, MASKED, USER)
    facts = made.check(made.export().url, key=b"f" * 31 + b"0")
    assert "does not have" in facts.unproven
    assert "NOT RUN" in dict(made.load(facts, searched=False).checks)["leak search"]


def test_a_proven_plan_is_not_loaded_without_its_proof(pair: Pairs) -> None:
    """The load of a proven dump rolls back if the proof cannot be opened once the rows are loaded."""
    made = pair(KEPT, MASKED, USER)
    facts = made.export()
    with pytest.raises(NotLoaded, match="could not be opened"):
        made.load(facts, searched=False)


def test_a_changed_result_or_row_does_not_fit_the_seal() -> None:
    """Result, hashes and rows are sealed together: any change of one is refused by whoever has the key."""
    keyring = Keyring(bytes(range(32)), run="r")
    header = Header.model_construct(run_id="r", key=keyring.fingerprint, format_version=2, opted_out=())
    result = LeakSearchResult(searched=True, forms=1, columns=1)
    secrets = HashedValues(hashes={"t.c": array("q", [-5, 7])})
    proof = prove_dump(secrets, result, body="b" * 64, header=header, keyring=keyring)
    opened = open_proof("d", header, SealedProof(proof, "b" * 64), [keyring])
    assert opened is not None
    assert (opened.key, list(opened.hashes["t.c"])) == (secrets.key, [-5, 7])
    changed = bytearray(base64.b64decode(proof.sealed))
    changed[20] ^= 1
    for sealed in (
        SealedProof(proof, "c" * 64),
        SealedProof(proof.model_copy(update={"attack": result.model_copy(update={"forms": 2})}), "b" * 64),
        SealedProof(Proof(attack=result, sealed=base64.b64encode(bytes(changed)).decode()), "b" * 64),
        SealedProof(Proof(attack=result, sealed="no base64!"), "b" * 64),
        SealedProof(Proof(attack=result, sealed=""), "b" * 64),
    ):
        with pytest.raises(DumpRefused, match="does not fit"):
            unproven_reason("d", [keyring], header, sealed)
