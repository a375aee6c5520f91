"""What people read before they answer: the texts of the approval, arrival and settle forms, and the notice of a request."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tasks.estate.dumps import LoadPlan
from tasks.estate.plans import Comparison, Evidence, Intent, Plan, Receipt
from tasks.estate.sites import Direction
from tasks.ledger.ledger import Fact
from tasks.rendering.after_copy import planned_lines
from tasks.rendering.request_words import sentence, shown_differences, turn
from tasks.rendering.times_and_tables import bullets, local_time, plain, utc_time
from tasks.signoff.gate import Waiting


def requester(name: str) -> str:
    """Return who requested a plan, as inert Markdown."""
    return plain(name) or "unknown"


def refused_line(why: str, attempts_left: int | None = None) -> list[str]:
    """Return the item about the last answer if it did not count."""
    left = "" if attempts_left is None else f" Attempts left: {attempts_left}"
    return [f"* **The last answer did not count: {plain(why, 300)}**{left}"] if why else []


def opening_lines(plan: Plan | LoadPlan, waiting: Waiting | None) -> list[str]:
    """Return what matters first, as at the desk: what is overwritten by what, whose turn it is, why the last answer did not count."""
    lines = [f"**{plain(sentence(plan), 2000)}**", ""]
    if waiting is None:
        return lines
    return [*lines, plain(turn(plan, waiting), 1000), "", *refused_line(waiting.refused, waiting.attempts_left)]


def gate_lines(plan: Intent, waiting: Waiting, *, zone: str = "") -> list[str]:
    """Return what the approval gate requires, and who has approved. `zone`: times are shown in it too."""
    risk = plan.risk
    who = "1 person" if risk.people == 1 else f"{risk.people} different people"
    details = [plain(reason, 300) for reason in risk.reasons]
    if risk.cool_down:
        details.append(f"nobody before {local_time(waiting.asked_at + timedelta(seconds=risk.cool_down), zone)}")
    if risk.signatures:
        details.append(f"{risk.signatures} of them by passkey or SSH signature")
    return [
        f"* Risk: **{risk.grade.value.upper()}**, {who} must approve",
        *(f"    {line}" for line in bullets(details)),
        *(f"* **{plain(yes.name)}** approved ({yes.proof}, {utc_time(yes.answered_at)})" for yes in waiting.yes),
    ]


def plan_lines(plan: Intent, answer_by: datetime, gate: Sequence[str], *, zone: str = "") -> list[str]:
    """Return what the gate requires, what an approval overrides, the deadline, the requester and the plan code."""
    return [
        *gate,
        *(f"* Overrides: **{plain(mark)}**" for mark in plan.overrides),
        f"* Answer by: **{local_time(answer_by, zone)}**; without an answer nothing is overwritten",
        f"* Requested by: {requester(plan.requested_by)}",
        f"* Plan **{plan.code}**",
    ]


def approval_text(
    plan: Plan, comparison: Comparison, waiting: Waiting, *, notes: tuple[str, ...] = (), zone: str = ""
) -> str:
    """Return the text of the approval form: what is overwritten, what is lost, risk, deadline, backup and differences."""
    source, destination = comparison.source, comparison.destination
    lines = opening_lines(plan, waiting)
    if comparison.destination_is_newer and plan.direction is not Direction.BACK:
        name = plain(destination.install.name)
        lines.append(f"* **The destination is NEWER than the source.** {name} has changes that the source lacks.")
    lines += [f"* Permanently lost: {plain(loss)}" for loss in comparison.losses]
    lines += planned_lines(plan)
    if plan.break_glass:
        lines.append(f"* **Break-glass, during a freeze: {plain(plan.break_glass, 300)}**")
    lines += [f"* **{plain(note, 400)}**" for note in notes]
    lines += plan_lines(plan, waiting.answer_by, gate_lines(plan, waiting, zone=zone), zone=zone)
    backup = plan.backup
    lines.append(
        f"* Backup of {plain(destination.install.name)}: `{backup.id}`, completed {local_time(backup.completed_at, zone)}"
    )
    lines.append(f"* Site titles: {_titles(comparison)}")
    lines += ["", "### What differs", "", *difference_lines(comparison)]
    lines += [f"* Could not be looked up: {plain(gap)}" for gap in (*source.gaps, *destination.gaps)]
    return "\n".join(lines)


def _titles(comparison: Comparison) -> str:
    """Return the title of each site, by which people recognize it."""
    sides = {side.install.name: side.content.title for side in (comparison.source, comparison.destination)}
    return ", ".join(f"{plain(name)} {f'“{plain(title)}”' if title else 'unknown'}" for name, title in sides.items())


def difference_lines(comparison: Comparison, *, all_rows: bool = False) -> list[str]:
    """Return the comparison as a list in human units: what differs or is not known, or everything.

    Not as a table: a table makes Prefect's dialog wider than a phone, and cuts the whole form. Each side has a line of its own,
    because a value may be a list. If both sides are one install (a restore), it is shown once.
    """
    source, destination = comparison.source.install, comparison.destination.install
    lines = []
    for each in shown_differences(comparison, every=all_rows):
        lines.append(f"* {each.aspect}{f' ({plain(each.mark)})' if each.mark else ''}")
        lines += [f"    * {plain(source.name)}: {plain(each.source)}"] if source.id != destination.id else []
        lines.append(f"    * {plain(destination.name)}: {plain(each.destination)}")
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
