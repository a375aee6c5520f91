"""Dumps in which a load found personal data: they are recognised by their content, not by their file name."""

from tasks.ledger.ledger import Ledger
from tasks.signoff.leaked_dumps import leak_of, record_leak
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import load_plan


def test_a_dump_with_a_leak_is_unproven_under_every_name(book: Ledger) -> None:
    """The digest of the rows identifies the dump; other digests and other facts do not count."""
    record_leak(book, load_plan(digest="d" * 64, run_id="night"), file="school.json.gz")
    book.record(raw_fact("sent", {"digest": "e" * 64}), run_id="day")
    assert "run night found personal data" in leak_of(book, "d" * 64)
    assert leak_of(book, "e" * 64) == ""
