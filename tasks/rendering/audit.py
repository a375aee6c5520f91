"""What people read of an audit: who requested, who approved, when, and with what outcome."""

from collections.abc import Sequence

from tasks.rendering.markdown import bullets, plain, section, table, utc_time
from tasks.signoff.history import AnswerRecord, History, RunRecord

NONE = "–"
RUN_HEAD = (
    "when", "verb", "destination", "class", "requested by", "plan", "who answered", "decision", "outcome", "backup", "run",
)  # fmt: skip
HOLD_HEAD = ("placed", "destination", "until", "by", "reason", "ended by")


def history_text(history: History) -> str:
    """Return the history as tables. The state of the ledger comes first, because everything below depends on it."""
    about = f" of {plain(history.destination)}" if history.destination else ""
    holds = [(utc_time(h.at), h.destination, h.until, h.by, h.reason, h.ended_by) for h in history.holds]
    suspended = [(utc_time(s.at), s.name, s.why, utc_time(s.ended) if s.ended else "") for s in history.suspended]
    standing = [(utc_time(s.at), s.run_id, s.destination, s.approver) for s in history.standing]
    return "\n".join(
        [
            f"Who approved what{about}, from {utc_time(history.since)} to {utc_time(history.until)}.",
            *section("The ledger", _ledger_lines(history)),
            *_table("Runs", RUN_HEAD, [_run_row(entry) for entry in history.runs]),
            *_table(
                "Answers that did not count",
                ("name", "why", "how many"),
                [(r.name, r.kind, r.count) for r in history.refused],
            ),
            *_table("Holds", HOLD_HEAD, holds),
            *_table("Leads suspended", ("since", "lead", "why", "until"), suspended),
            *_table("Standing approvals used", ("when", "run", "destination", "by"), standing),
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


def _table(title: str, head: tuple[str, ...], rows: Sequence[Sequence[object]]) -> list[str]:
    return section(title, table(head, [[_cell(value) for value in row] for row in rows]) if rows else ())


def _cell(value: object) -> str:
    """Return one value, or a tuple of them on lines of their own, as inert Markdown."""
    lines = value if isinstance(value, tuple) else (value,)
    return "<br>".join(plain(line, 300) for line in lines if line not in ("", None)) or NONE


def _run_row(entry: RunRecord) -> tuple[object, ...]:
    graded = [entry.grade, *entry.reasons, *entry.overrides]
    if entry.break_glass:
        graded.append(f"break-glass: {entry.break_glass}")
    decision = entry.decision or "none"
    return (
        utc_time(entry.at),
        entry.verb,
        f"{entry.destination} from {entry.source}" if entry.source else entry.destination,
        tuple(graded),
        entry.requested_by,
        entry.code,
        tuple(map(_answer, entry.answers)) or (entry.approver if entry.approval else ""),
        f"{decision} by {entry.approval}" if entry.approval else decision,
        entry.outcome or "not ended",
        entry.backup,
        entry.run_id,
    )


def _answer(answer: AnswerRecord) -> str:
    why = f": {answer.reason}" if answer.reason else ""
    return f"{answer.name} ({answer.proof}, {utc_time(answer.at)}) {answer.decision}{why}"
