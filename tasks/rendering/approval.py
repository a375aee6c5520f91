"""What people read before they answer: the texts of the approval, arrival and settle forms, and the notice of a request."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from tasks.estate.plans import Comparison, CopyOptions, Evidence, Intent, Plan, Receipt, Severity
from tasks.estate.sites import Direction, Install
from tasks.ledger.ledger import Fact
from tasks.rendering.times_and_tables import bullets, plain, utc_time
from tasks.signoff.gate import Waiting

HEADINGS = {
    Direction.DOWN: "REFRESH (down)",
    Direction.UP: "PROMOTION TO PRODUCTION (up)",
    Direction.BACK: "RESTORE (back)",
}


def what_travels(options: CopyOptions, *, shown: Callable[[str], str] = plain) -> str:
    """Return the options in words; `shown` escapes the names of tables."""
    if not options.database:
        return "files only, no database"
    tables = f"database tables {', '.join(map(shown, options.tables))} only" if options.tables else "the whole database"
    return f"files and {tables}" if options.files else tables


def _install(install: Install, title: str | None) -> str:
    shown = f", titled “{plain(title)}”" if title else ", title unknown"
    domain = plain(install.primary_domain or "no domain")
    return f"**{plain(install.name)}** ({install.environment.value}, {domain}{shown})"


def requester(name: str) -> str:
    """Return who requested a plan, as inert Markdown."""
    return plain(name) or "unknown"


def refused_line(why: str, attempts_left: int | None = None) -> list[str]:
    """Return the item about the last answer if it did not count."""
    left = "" if attempts_left is None else f" Attempts left: {attempts_left}"
    return [f"* **The last answer did not count: {plain(why, 300)}**{left}"] if why else []


def gate_lines(plan: Intent, waiting: Waiting) -> list[str]:
    """Return what the approval gate requires, who has approved, and why the last answer did not count."""
    risk = plan.risk
    who = "1 person" if risk.people == 1 else f"{risk.people} different people"
    details = [plain(reason, 300) for reason in risk.reasons]
    if risk.cool_down:
        details.append(f"nobody before {utc_time(waiting.asked_at + timedelta(seconds=risk.cool_down))}")
    if risk.signatures:
        details.append(f"{risk.signatures} of them by passkey or SSH signature")
    return [
        f"* Risk: **{risk.grade.value.upper()}**, {who} must approve",
        *(f"    {line}" for line in bullets(details)),
        *(f"* **{plain(yes.name)}** approved ({yes.proof}, {utc_time(yes.answered_at)})" for yes in waiting.yes),
        *refused_line(waiting.refused, waiting.attempts_left),
    ]


def plan_lines(plan: Intent, answer_by: datetime, gate: Sequence[str]) -> list[str]:
    """Return requester, plan code, deadline, what the gate requires, and what an approval overrides."""
    return [
        f"* Plan **{plan.code}**",
        f"* Requested by: {requester(plan.requested_by)}",
        f"* Answer by: **{utc_time(answer_by)}**; without an answer nothing is overwritten",
        *gate,
        *(f"* Overrides: **{plain(mark)}**" for mark in plan.overrides),
    ]


def approval_text(
    plan: Plan, comparison: Comparison, *, answer_by: datetime, notes: tuple[str, ...] = (), gate: Sequence[str] = ()
) -> str:
    """Return the text of the approval form: direction, both sites, what is lost, backup, deadline and differences."""
    source, destination = plan.pair.source, plan.pair.destination
    overwritten = _install(destination, comparison.destination.content.title)
    back = plan.direction is Direction.BACK
    lines = [f"## {HEADINGS[plan.direction]}", ""]
    if back:
        lines.append(f"Put backup `{plan.restore_backup_id}` back onto {overwritten}.")
    else:
        lines.append(f"From {_install(source, comparison.source.content.title)}")
        lines.append(f"**onto** {overwritten}, which is **overwritten**.")
    lines += ["", f"* What travels: **{what_travels(plan.options)}**"]
    if comparison.destination_is_newer and not back:
        lines.append(
            f"* **The destination is NEWER than the source.** {plain(destination.name)} has changes that the source lacks."
        )
    lines += [f"* Permanently lost: {plain(loss)}" for loss in comparison.losses]
    lines.append(
        f"* Backup of {plain(destination.name)}: `{plan.backup.id}`, completed {utc_time(plan.backup.completed_at)}"
    )
    lines += plan_lines(plan, answer_by, gate)
    if plan.break_glass:
        lines.append(f"* **Break-glass, during a freeze: {plain(plan.break_glass, 300)}**")
    lines += [f"* **{plain(note, 400)}**" for note in notes]
    lines += ["", *difference_lines(comparison)]
    gaps = (*comparison.source.gaps, *comparison.destination.gaps)
    lines += [f"* Could not be looked up: {plain(gap)}" for gap in gaps]
    return "\n".join(lines)


def difference_lines(comparison: Comparison, *, all_rows: bool = False) -> list[str]:
    """Return the comparison as a list: what differs or is not known, or everything.

    Not as a table: a table makes Prefect's dialog wider than a phone, and cuts the whole form. Each side has a line of its own,
    because a value may be a list. If both sides are one install (a restore), it is shown once.
    """
    source, destination = comparison.source.install, comparison.destination.install
    lines = []
    for d in comparison.differences:
        if all_rows or d.source != d.destination or d.severity is Severity.UNKNOWN:
            weight = "" if d.severity is Severity.INFO else d.severity.value
            marks = ": ".join(filter(None, (weight, plain(d.note))))
            lines.append(f"* {d.aspect}{f' ({marks})' if marks else ''}")
            lines += [f"    * {plain(source.name)}: {plain(d.source)}"] if source.id != destination.id else []
            lines.append(f"    * {plain(destination.name)}: {plain(d.destination)}")
    return lines or ["No difference was found."]


def arrival_text(plan: Plan, receipt: Receipt, evidence: Evidence, *, answer_by: datetime, refused: str = "") -> str:
    """Return the text of the form that asks what the host's e-mail about a copy reported."""
    return "\n".join(
        [
            f"## Did the {plan.verb} of {plain(plan.pair.destination.name)} arrive?",
            "",
            f"It was sent at {utc_time(receipt.sent_at)} (answer of the host: {receipt.answer}). The evidence is "
            f"**{evidence.verdict.value}**, which is not enough for production. The host's e-mail decides.",
            "",
            f"* Plan **{plan.code}** · answer by **{utc_time(answer_by)}**",
            *refused_line(refused),
            *(
                f"* rank {s.rank}, {s.name}: {'seen' if s.seen else 'not seen'} ({plain(s.detail)})"
                for s in evidence.signals
            ),
        ]
    )


def settle_text(call: Fact, about: str, your_name: str, *, answer_by: datetime, refused: str = "") -> str:
    """Return the text of the form that asks for the outcome of a call. `about` names its verb and destination."""
    return "\n".join(
        [
            f"## Did the {plain(about)} arrive or fail?",
            "",
            f"Run {call.run_id} sent its call at {utc_time(call.at)}, and the outcome is unknown. Answer **arrived** or **failed** "
            "only if you know: from the host's e-mail, or from what you see on the site.",
            "",
            f"* Plan {call.plan[:8]} · answer by **{utc_time(answer_by)}**",
            f"* Asked by: {plain(your_name)}",
            *refused_line(refused),
        ]
    )


def missing_people(plan: Intent, waiting: Waiting) -> str:
    """Return how many people must still approve, in words."""
    left = plan.risk.people - len(waiting.yes)
    return f"{left}{' more' if waiting.yes else ''} {'person' if left == 1 else 'people'}"


def notice_lines(plan: Intent, waiting: Waiting) -> list[str]:
    """Return the notice of an approval request: no more than the form shows, and nothing that could serve as an answer."""
    return [
        f"{plan.verb} of {plain(plan.destination_name)}, plan {plan.code}, requested by {requester(plan.requested_by)}.",
        f"Risk {plan.risk.grade.value.upper()}: {plain('; '.join(plan.risk.reasons), 600)}",
        f"Answer by {utc_time(waiting.answer_by)}. Without an answer nothing is overwritten.",
    ]
