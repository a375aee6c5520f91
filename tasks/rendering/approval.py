"""What people read: the approval form's text, the question about arrival, and the report. The only place that formats.

Values that come from outside (titles, domains, reasons) are made harmless for Markdown before they are shown.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tasks.estate.plans import Comparison, CopyOptions, Evidence, Intent, Plan, Receipt, Severity
from tasks.estate.sites import Direction, Install
from tasks.ledger.ledger import Fact
from tasks.rendering.markdown import _when, plain
from tasks.signoff.gate import Waiting

ARROWS = {
    Direction.DOWN: "REFRESH (down)",
    Direction.UP: "PROMOTION TO PRODUCTION (up)",
    Direction.BACK: "RESTORE (back)",
}


def what_travels(options: CopyOptions) -> str:
    """The options in words."""
    if not options.database:
        return "files only, no database"
    tables = f"database tables {', '.join(map(plain, options.tables))} only" if options.tables else "the whole database"
    return f"files and {tables}" if options.files else tables


def _named(install: Install, title: str | None) -> str:
    shown = f", titled “{plain(title)}”" if title else ", title unknown"
    domain = plain(install.primary_domain or "no domain")
    return f"**{plain(install.name)}** ({install.environment.value}, {domain}{shown})"


def gate_lines(plan: Intent, waiting: Waiting) -> list[str]:
    """What the gate demands, who has said yes, and why the last answer did not count."""
    risk = plan.risk
    people = "one person" if risk.people == 1 else f"{risk.people} different people"
    lines = [f"* Risk: **{risk.grade.value.upper()}**, {people} must approve"]
    lines += [f"    * {plain(reason, 300)}" for reason in risk.reasons]
    if risk.cool_down:
        lines.append(f"    * nobody before {_when(waiting.asked_at + timedelta(seconds=risk.cool_down))}")
    if risk.signatures:
        lines.append(f"    * {risk.signatures} of them by SSH signature")
    lines += [f"* **{plain(yes.name)}** said yes ({yes.proof}, {_when(yes.answered_at)})" for yes in waiting.yes]
    if waiting.refused:
        lines.append(
            f"* **The last answer did not count: {plain(waiting.refused, 300)}** Attempts left: {waiting.attempts_left}"
        )
    return lines


def approval_text(
    plan: Plan,
    comparison: Comparison,
    *,
    answer_by: datetime,
    notes: tuple[str, ...] = (),
    gate: Sequence[str] = (),
) -> str:
    """The Markdown above the approval form: direction, both sites, the diff, the losses, the backup, the deadline."""
    source, destination = plan.pair.source, plan.pair.destination
    lines = [f"## {ARROWS[plan.direction]}", ""]
    if plan.direction is Direction.BACK:
        lines.append(
            f"Put backup `{plan.restore_backup_id}` back onto {_named(destination, comparison.destination.content.title)}."
        )
    else:
        lines.append(f"From {_named(source, comparison.source.content.title)}")
        lines.append(f"**onto** {_named(destination, comparison.destination.content.title)}, which is **overwritten**.")
    lines += ["", f"* What travels: **{what_travels(plan.options)}**"]
    if comparison.destination_is_newer and plan.direction is not Direction.BACK:
        lines.append(
            f"* **The destination is NEWER than the source.** {plain(destination.name)} has changes that the source lacks."
        )
    lines += [f"* Lost for good: {plain(loss)}" for loss in comparison.losses]
    lines.append(
        f"* Backup of {plain(destination.name)}: `{plan.backup.id}`, completed {_when(plan.backup.completed_at)}"
    )
    lines.append(f"* Requested by: {plain(plan.requested_by) or 'not said'} · plan **{plan.code}**")
    lines.append(f"* Answer by: **{_when(answer_by)}**; silence means no")
    lines += gate
    if plan.break_glass:
        lines.append(f"* **Break-glass, during a freeze: {plain(plan.break_glass, 300)}**")
    lines += [f"* Stands against it: **{plain(mark)}**" for mark in plan.overrides]
    lines += [f"* **{plain(note, 400)}**" for note in notes]
    lines += ["", *difference_table(comparison)]
    gaps = (*comparison.source.gaps, *comparison.destination.gaps)
    lines += [f"* Could not be looked up: {plain(gap)}" for gap in gaps]
    return "\n".join(lines)


def difference_table(comparison: Comparison, *, all_rows: bool = False) -> list[str]:
    """The comparison as a Markdown table: what differs or is not known, or every row."""
    rows = [
        d for d in comparison.differences if all_rows or d.source != d.destination or d.severity is Severity.UNKNOWN
    ]
    if not rows:
        return ["No difference was found."]
    head = [
        f"| | {plain(comparison.source.install.name)} | {plain(comparison.destination.install.name)} | |",
        "|---|---|---|---|",
    ]
    return head + [
        f"| {d.aspect} | {plain(d.source, 90)} | {plain(d.destination, 90)} | {d.severity.value} {plain(d.note)} |"
        for d in rows
    ]


def arrival_text(plan: Plan, receipt: Receipt, evidence: Evidence, *, answer_by: datetime, refused: str = "") -> str:
    """The question that only the host's e-mail can answer."""
    rows = [
        f"* rank {s.rank}, {s.name}: {'seen' if s.seen else 'not seen'} ({plain(s.detail)})" for s in evidence.signals
    ]
    return "\n".join(
        [
            f"## Did the {plan.verb} of {plain(plan.pair.destination.name)} arrive?",
            "",
            f"It was sent at {_when(receipt.sent_at)} (answer of the host: {receipt.answer}). The evidence is "
            f"**{evidence.verdict.value}**, which is not enough for production. The host's e-mail decides.",
            "",
            f"* Plan **{plan.code}** · answer by **{_when(answer_by)}**",
            *([f"* **The last answer did not count: {plain(refused, 300)}**"] if refused else []),
            *rows,
        ]
    )


def settle_text(call: Fact, about: str, your_name: str, *, answer_by: datetime, refused: str = "") -> str:
    """Return the question what became of a call whose outcome is unknown. `about` names its verb and destination."""
    return "\n".join(
        [
            f"## What became of the {plain(about)}?",
            "",
            f"Run {call.run_id} sent its call at {_when(call.at)}, and its outcome is unknown. Say **arrived** or **failed** only if "
            "you know: by the host's e-mail, or by what you saw on the site.",
            "",
            f"* Plan {call.plan[:8]} · asked by {plain(your_name)} · answer by **{_when(answer_by)}**",
            *([f"* **The last answer did not count: {plain(refused, 300)}**"] if refused else []),
        ]
    )
