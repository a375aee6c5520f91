"""What people read of an audit: who asked, who approved, when, and what came of it."""

from datetime import datetime

from tasks.rendering.markdown import plain
from tasks.signoff.history import History, Said, Undertaking

NONE = "–"


def history_text(history: History) -> str:
    """The history as Markdown tables; the ledger's own state comes first, because everything below rests on it."""
    about = f" of {plain(history.destination)}" if history.destination else ""
    return "\n".join(
        [
            f"Who approved what{about}, from {_when(history.since)} to {_when(history.until)}.",
            "",
            *_ledger_lines(history),
            *_section("Runs", RUN_HEAD, [_run_row(entry) for entry in history.runs]),
            *_section("Answers that did not count", ("name", "why", "how many"), _refused_rows(history)),
            *_section("Holds", HOLD_HEAD, _hold_rows(history)),
            *_section("Leads suspended", ("since", "lead", "why", "until"), _suspended_rows(history)),
            *_section("Standing approvals used", ("when", "run", "destination", "by"), _standing_rows(history)),
            "",
        ]
    )


RUN_HEAD = (
    "when", "verb", "destination", "class", "requested by", "plan", "who answered", "decision", "outcome", "backup", "run",
)  # fmt: skip
HOLD_HEAD = ("placed", "destination", "until", "by", "reason", "ended by")


def _ledger_lines(history: History) -> list[str]:
    lines = ["## The ledger", ""]
    if history.problems:
        lines.append("**The ledger is broken. What stands below may not be what happened.**")
        lines += [f"* {plain(problem, 400)}" for problem in history.problems]
    else:
        lines.append(
            "* The hash chain is whole, as far as it goes; a tail that was cut off is found with an anchor only."
        )
    lines += [f"* {history.signatures}"] if history.signatures else []
    return [*lines, f"* Head, to be kept elsewhere: `{history.head or 'none'}`"]


def _section(title: str, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    if not rows:
        return ["", f"## {title}", "", "None."]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return ["", f"## {title}", "", *lines, *(f"| {' | '.join(_cell(value) for value in row)} |" for row in rows)]


def _cell(value: object) -> str:
    """One value, or a tuple of them on lines of their own. What stands in a cell may come from outside."""
    lines = value if isinstance(value, tuple) else (value,)
    return "<br>".join(plain(line, 300) for line in lines if line not in ("", None)) or NONE


def _run_row(entry: Undertaking) -> tuple[object, ...]:
    graded = [entry.grade, *entry.reasons, *entry.overrides]
    if entry.break_glass:
        graded.append(f"break-glass: {entry.break_glass}")
    decision = [entry.decision or "none", *([f"by {entry.approval}"] if entry.approval else [])]
    return (
        _when(entry.at),
        entry.verb,
        f"{entry.destination} from {entry.source}" if entry.source else entry.destination,
        tuple(graded),
        entry.requested_by,
        entry.code,
        tuple(map(_said, entry.answers)) or (entry.approver if entry.approval else ""),
        " ".join(decision),
        entry.outcome or "not ended",
        entry.backup,
        entry.run_id,
    )


def _said(said: Said) -> str:
    why = f": {said.reason}" if said.reason else ""
    return f"{said.name} ({said.proof}, {_when(said.at)}) {said.decision}{why}"


def _refused_rows(history: History) -> list[tuple[object, ...]]:
    return [(refused.name, refused.kind, refused.count) for refused in history.refused]


def _hold_rows(history: History) -> list[tuple[object, ...]]:
    return [(_when(h.at), h.destination, h.until, h.by, h.reason, h.ended_by) for h in history.holds]


def _suspended_rows(history: History) -> list[tuple[object, ...]]:
    return [(_when(s.at), s.name, s.why, _when(s.ended) if s.ended else "") for s in history.suspended]


def _standing_rows(history: History) -> list[tuple[object, ...]]:
    return [(_when(entry.at), entry.run_id, entry.destination, entry.approver) for entry in history.standing]


def _when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
