"""What people read of an audit: who requested, who approved, when, and with what outcome."""

from collections.abc import Sequence

from tasks.rendering.times_and_tables import bullets, plain, section, utc_time
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
    return [*lines, f"* Head, to be kept elsewhere: `{history.head or 'none'}`"]


def _items(title: str, head: tuple[str, ...], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a section with one item for each row. A table of so many columns does not fit on a phone."""
    named = (zip(head, row, strict=True) for row in rows)
    return section(title, bullets(" · ".join(f"{name}: {_value(value)}" for name, value in row) for row in named))


def _value(value: object) -> str:
    """Return one value, or a tuple of them, as inert Markdown."""
    parts = value if isinstance(value, tuple) else (value,)
    return "; ".join(plain(part, 300) for part in parts if part not in ("", None)) or NONE


def _run_lines(entry: RunRecord) -> list[str]:
    """Return a heading and the facts of one run."""
    graded = [entry.grade, *entry.reasons, *entry.overrides]
    if entry.break_glass:
        graded.append(f"break-glass: {entry.break_glass}")
    decision = entry.decision or "none"
    source = f" from {plain(entry.source)}" if entry.source else ""
    outcome = plain(entry.outcome or "not ended")
    facts: dict[str, object] = {
        "When": utc_time(entry.at),
        "Class": tuple(graded),
        "Requested by": entry.requested_by,
        "Plan": entry.code,
        "Who answered": tuple(map(_answer, entry.answers)) or (entry.approver if entry.approval else ""),
        "Decision": f"{decision} by {entry.approval}" if entry.approval else decision,
        "Backup": entry.backup,
        "Run": entry.run_id,
    }
    destination = f" of {plain(entry.destination)}" if entry.destination else ""
    title = f"### {plain(entry.verb)}{destination}{source}: {outcome}"
    return ["", title, "", *bullets(f"{name}: {_value(value)}" for name, value in facts.items())]


def _answer(answer: AnswerRecord) -> str:
    why = f": {answer.reason}" if answer.reason else ""
    return f"{answer.name} ({answer.proof}, {utc_time(answer.at)}) {answer.decision}{why}"
