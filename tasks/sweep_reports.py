"""Upkeep: report what needs attention, verify the ledger, and send the daily digest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.client.schemas.objects import State
from sqlalchemy import make_url

from tasks.configuration.settings import load_settings
from tasks.estate.errors import LedgerBroken, Misconfigured, UnderstudyError
from tasks.estate.outcomes import SWEPT
from tasks.estate.plans import fingerprint
from tasks.estate.polling import utc_now
from tasks.ledger.approval_requests import open_requests
from tasks.ledger.facts import (
    BrokenReported,
    DigestSent,
    FindingReported,
    NoticeSent,
    Recorded,
    StuckReported,
)
from tasks.ledger.ledger import AlreadyRecorded
from tasks.rendering.sweep import describe_request, digest_lines, sweep_text
from tasks.rendering.times_and_tables import head_words, plain
from tasks.runtime.current_run import this_run
from tasks.runtime.notices import send_notice
from tasks.runtime.other_runs import RETRY_WITHIN, is_over, state_of
from tasks.runtime.publish_report import publish_text
from tasks.runtime.resources import open_ledger, read_rules, scaled
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.signoff.standing import expiring, load_standing
from tasks.signoff.unattended_runs import unfinished

STUCK_AFTER = 86400.0  # seconds; no refresh, promotion, restore or load takes a day
REPORTED_FOR = 30 * 86400.0  # seconds; older runs were reported often enough
UNDELIVERED_FOR = 2 * 86400.0  # seconds; older notices show nothing about the places as they are now
DIGEST_FROM = 7  # o'clock UTC
BROKEN_STEP = (
    "The sweep took no action. Approve nothing; compare the ledger with the heads in earlier notices, and find out who changed "
    "its database (docs/operating.md)."
)


@task(name="Report what is stuck", **BELOW_THE_GATE)
def report_stuck() -> list[str]:
    """Return a sentence for everything that needs a person, and send one alert about what is new.

    That is: a run with a plan and no outcome, a day after its plan, or an hour after Prefect ended it; an approval request past
    its deadline whose run no worker takes; a lock whose run is over while its call is not proven. Runs older than 30 days are
    left out.
    """
    now = utc_now()
    stuck = [*_stuck_runs(now), *_stuck_requests(now), *_stuck_locks()]
    new = [
        sentence
        for run_id, what, sentence in stuck
        if _is_new(StuckReported(what=what), f"stuck:{run_id}:{what}", run_id)
    ]
    if new:
        subject = "1 item needs attention" if len(new) == 1 else f"{len(new)} items need attention"
        send_notice("alert", subject, [*new, "docs/operating.md describes what to do about each."])
    return [sentence for _, _, sentence in stuck]


def _is_new(fact: Recorded, once: str, run_id: str = "") -> bool:
    """Record a fact once; return False if it is recorded already."""
    try:
        open_ledger().record(fact, run_id=run_id or this_run(), once=once)
    except AlreadyRecorded:
        return False
    return True


def _stuck_runs(now: datetime) -> list[tuple[str, str, str]]:
    waiting, found = {request.run_id for request in open_requests(open_ledger())}, []
    for run in unfinished(open_ledger()):
        age = now - run.planned.at
        if run.run_id in waiting or age > scaled(REPORTED_FOR):
            continue
        state = state_of(run.run_id)
        gone = state is not None and state.is_final() and now - state.timestamp >= scaled(RETRY_WITHIN)
        if gone or age >= scaled(STUCK_AFTER):
            sent = "its call was SENT and is not proven" if run.sending else "nothing was sent"
            known = state.name if state else "not known to Prefect"
            name = f"{plain(run.verb)} of {plain(run.destination)}"
            found.append((run.run_id, "run", f"{name} (run {run.run_id}) has no outcome: {known}, {sent}."))
    return found


def _stuck_requests(now: datetime) -> list[tuple[str, str, str]]:
    """Return the approval requests that the sweep leaves open because their run should continue, and does not."""
    late = [request for request in open_requests(open_ledger()) if now >= request.answer_by + scaled(RETRY_WITHIN)]
    return [
        (
            each.run_id,
            "question",
            f"{describe_request(each)} is past its deadline, and no worker continues run {each.run_id}.",
        )
        for each in late
    ]


def _stuck_locks() -> list[tuple[str, str, str]]:
    return [
        (
            lock.run_id,
            f"lock:{lock.install_id}",
            f"{lock.install_id} is held by run {lock.run_id}, which is over; its call is not proven.",
        )
        for lock in open_ledger().locks()
        if is_over(lock.run_id)
    ]


@task(name="Find notices that nobody received", **BELOW_THE_GATE)
def find_undelivered() -> list[str]:
    """Return one sentence if a place for notices did not take the last one that was sent, or the setting names none."""
    settings, ledger = load_settings(), open_ledger()
    if not settings.notices.get_secret_value().split():
        return []  # notices are off: docs/settings.md
    since = utc_now() - scaled(UNDELIVERED_FOR)
    sent = [fact for fact in ledger.facts(kind=NoticeSent.KIND) if fact.at >= since]
    if not sent or not (last := sent[-1].as_(NoticeSent)).failed:
        return []
    where = "no place" if not last.sent else "not every place"
    return [
        f"The last notice reached {where} of UNDERSTUDY_NOTICES. Check the places; the log of the run that sent it names the "
        "kind of place that failed."
    ]


@task(name="Report findings", **BELOW_THE_GATE)
def report_findings(findings: list[str]) -> list[str]:
    """Send one alert a day about each finding that is not about a run, and return all of them."""
    today = utc_now().date()
    new = [
        each for each in findings if _is_new(FindingReported(what=each), f"finding:{today}:{fingerprint(each)[:12]}")
    ]
    if new:
        send_notice("alert", "The sweep found something", new)
    return findings


@task(name="Verify the ledger", **BELOW_THE_GATE)
def verify_ledger() -> list[str]:
    """Return what shows that the ledger was changed, compared with the head that the last sweep stored in Prefect.

    Sends one alert a day.
    """
    try:
        problems = open_ledger().verify(_anchor())
    except Misconfigured as error:  # somebody wrote over the anchor
        problems = [f"the artifact {_anchor_key()} in Prefect is no anchor any more: {error.message}"]
    if problems and _is_new(BrokenReported(problems=tuple(problems)), f"ledger-broken:{utc_now().date()}"):
        send_notice("alert", "the ledger was changed", [*(plain(each, 600) for each in problems), BROKEN_STEP])
    return problems


def _anchor_key() -> str:
    """Return the key of the artifact with this ledger's newest head; each ledger has its own."""
    address = make_url(load_settings().ledger_url).render_as_string(hide_password=True)
    return f"ledger-head-{fingerprint(address)[:12]}"


def _anchor() -> str | None:
    wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[_anchor_key()]))
    with get_client(sync_client=True) as client:
        newest = client.read_latest_artifacts(artifact_filter=wanted, limit=1)
    return str(newest[0].data) if newest else None


@task(name="Send the daily digest", **BELOW_THE_GATE)
def send_digest(stuck: list[str]) -> list[str]:
    """Send, once a day from 07:00 UTC, what ended, what waits and what ends soon; return the lines."""
    now = utc_now()
    if now.hour < DIGEST_FROM or not _is_new(DigestSent(), f"digest:{now.date()}"):
        return []
    lines = digest_lines(open_ledger(), now, standing=_expiring_approvals(now), stuck=stuck)
    send_notice("digest", f"{now:%Y-%m-%d}", lines)
    return lines


def _expiring_approvals(now: datetime) -> list[str]:
    try:
        soon = expiring(load_standing(load_settings().standing_file), now.date(), read_rules().standing_notice)
    except UnderstudyError as error:  # an invalid file stops the runs that need it, not this one
        return [plain(error.message, 400)]
    return [f"{plain(entry.pair)}: until {entry.until.isoformat()}, signed by {plain(entry.issuer)}" for entry in soon]


def report_sweep(
    *,
    closed: Sequence[str],
    ended: Sequence[str],
    corrected: Sequence[str],
    found: Sequence[str],
    reminded: Sequence[str],
    released: Sequence[str],
    stuck: Sequence[str],
    suspended: Sequence[str],
    digest: Sequence[str],
) -> State[Any]:
    """Finish a sweep: `Swept`, with what was done, and the ledger's head as anchor for the next one.

    A sweep has no outcome in the ledger: ninety-six empty ones a day would bury the rest, and what it did is recorded.
    """
    head = str(open_ledger().head() or "")
    if head:
        create_markdown_artifact(head, key=_anchor_key(), description="The ledger's head at the last sweep")
    done = {
        "Approval requests closed": ("closed", closed),
        "Runs ended": ("ended", ended),
        "States corrected": ("corrected", corrected),
        "Findings": ("found", found),
        "Reminders": ("reminded", reminded),
        "Locks released": ("released", released),
        "Stuck": ("stuck", stuck),
        "Leads suspended": ("suspended", suspended),
    }
    parts = {title: sentences for title, (_, sentences) in done.items()} | {
        "Digest": digest,
        "Ledger head": [f"`{head_words(head) or 'empty'}`"],
    }
    text = sweep_text(SWEPT, {title: sentences for title, sentences in parts.items() if sentences})
    counts = [f"{len(sentences)} {what}" for what, sentences in done.values() if sentences]
    return publish_text("sweep", SWEPT, text, f"{', '.join(counts) or 'Nothing to do'}.")


def report_broken_ledger(problems: Sequence[str]) -> State[Any]:
    """Finish a sweep that found the ledger changed and took no action."""
    text = sweep_text(LedgerBroken.outcome, {"The ledger was changed": [plain(each, 600) for each in problems]})
    return publish_text("sweep", LedgerBroken.outcome, text, f"{'; '.join(problems)}. {BROKEN_STEP}")
