"""What people read of an audit: who requested, who approved, when, and with what outcome."""

from collections.abc import Iterable, Sequence

from tasks.rendering.times_and_tables import bullets, head_words, plain, section, utc_time
from tasks.signoff.history import AnswerRecord, History, RunRecord

NONE = "–"
HOLD_HEAD = ("placed", "destination", "until", "by", "reason", "ended by")


def history_text(history: History) -> str:
    """Return the history as lists. The state of the ledger comes first, because everything below depends on it."""
    about = f" of {plain(history.destination)}" if history.destination else ""
    holds = [(utc_time(h.at), h.destination, h.until, h.by, h.reason, h.ended_by) for h in history.holds]
    suspended = [(utc_time(s.at), s.name, s.why, utc_time(s.ended) if s.ended else "") for s in history.suspended]
    standing = [(utc_time(s.at), s.run_id, s.destination, s.approver) for s in history.standing]
    return "\n".join(
        [
            f"Who approved what{about}, from {utc_time(history.since)} to {utc_time(history.until)}.",
            *section("The ledger", _ledger_lines(history)),
            *section("Runs", [line for entry in history.runs for line in _run_lines(entry)]),
            *_items(
                "Answers that did not count",
                ("name", "why", "how many"),
                [(r.name, r.kind, r.count) for r in history.refused],
            ),
            *_items("Holds", HOLD_HEAD, holds),
            *_items("Leads suspended", ("since", "lead", "why", "until"), suspended),
            *_items("Standing approvals used", ("when", "run", "destination", "by"), standing),
            "",
        ]
    )


def _ledger_lines(history: History) -> list[str]:
    if history.problems:
        lines = ["**The ledger is broken. The history below may be wrong.**"]
        lines += bullets(plain(problem, 400) for problem in history.problems)
    else:
        lines = ["* The hash chain is complete up to its head. Only an anchor shows whether newer rows were cut off."]
    lines += bullets([history.signatures] if history.signatures else [])
    return [*lines, f"* Head, to be kept elsewhere: `{head_words(history.head) or 'none'}`"]


def _items(title: str, head: tuple[str, ...], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a section with one item for each row. A table of so many columns does not fit on a phone."""
    return section(title, [line for row in rows for line in _item(zip(head, row, strict=True))])


def _item(fields: Iterable[tuple[str, object]]) -> list[str]:
    """Return the first field as an item and the others nested in it.

    Each field has a line of its own: typed text cannot contain a line end, so that it cannot look like another field.
    """
    first, *others = (f"{name}: {NONE if value in ('', None) else plain(value, 300)}" for name, value in fields)
    return [f"* {first}", *(f"    * {other}" for other in others)]


def _run_lines(entry: RunRecord) -> list[str]:
    """Return a heading and the facts of one run."""
    graded = [("Class", entry.grade), *(("reason", why) for why in entry.reasons)]
    graded += [("overrides", mark) for mark in entry.overrides]
    graded += [("break-glass", entry.break_glass)] if entry.break_glass else []
    answers = [_answer(answer) for answer in entry.answers]
    decision = entry.decision or "none"
    source = f" from {plain(entry.source)}" if entry.source else ""
    outcome = plain(entry.outcome or f"No outcome ({entry.state or 'not ended'})")
    items: list[Sequence[tuple[str, object]]] = [
        [("When", utc_time(entry.at))],
        graded,
        [("Requested by", entry.requested_by)],
        [("Plan", entry.code)],
        *(answers or [[("Who answered", entry.approver if entry.approval else "")]]),
        [("Decision", f"{decision} by {entry.approval}" if entry.approval else decision)],
        [("Backup", entry.backup)],
        [("Run", entry.run_id)],
    ]
    destination = f" of {plain(entry.destination)}" if entry.destination else ""
    title = f"### {outcome}: {plain(entry.verb)}{destination}{source}"  # the outcome first: the names may be typed text
    return ["", title, "", *(line for fields in items for line in _item(fields))]


def _answer(answer: AnswerRecord) -> list[tuple[str, object]]:
    return [
        ("Who answered", answer.name),
        ("proof", answer.proof),
        ("at", utc_time(answer.at)),
        ("decision", answer.decision),
        ("reason", answer.reason),
    ]
