"""Upkeep: locks that ended runs left behind, what is stuck, whether the ledger is whole, and the daily word about it all."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from sqlalchemy import make_url

from tasks.estate.errors import LedgerBroken, Misconfigured, UnderstudyError
from tasks.estate.plans import fingerprint
from tasks.estate.settings import load_settings
from tasks.estate.waiting import utc_now
from tasks.ledger.approval_requests import open_requests
from tasks.ledger.ledger import OLD, AlreadyRecorded, Fact
from tasks.rendering.markdown import plain
from tasks.rendering.sweep import describe_request, digest_lines, sweep_text
from tasks.runtime.current_run import this_run
from tasks.runtime.notices import send_notice
from tasks.runtime.resources import open_clients, open_ledger, read_rules, scaled
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.runtime.states import RETRY_WITHIN, is_over, state_of
from tasks.signoff.leftovers import unfinished
from tasks.signoff.standing import expiring, load_standing
from tasks.surveys.reconcile import has_arrived

SWEPT = "Swept"
STUCK_AFTER = 86400.0  # seconds; no refresh, promotion, restore or load takes a day
STUCK_FOR = 30 * 86400.0  # seconds; what is older was reported often enough
UNDELIVERED_FOR = 2 * 86400.0  # seconds; older notices say nothing about the places as they are now
DIGEST_FROM = 7  # o'clock, UTC
BROKEN_STEP = (
    "Nothing was reminded, ended or released. Approve nothing; compare the ledger with the heads in earlier notices, and find "
    "out who changed its database (docs/approvals.md)."
)


@task(name="Release what ended runs hold", **BELOW_THE_GATE)
def release_locks() -> list[str]:
    """Release every lock of a run that is over and whose call, if it made one, is settled or proven now.

    A copy is proven by the remote side, as in `tasks.locks`, or older than the lock horizon. A load needs no proof: it ends
    with its connection. What stays held is for `report_stuck`. Returns a sentence for each released lock.
    """
    ledger, released = open_ledger(), []
    for lock in ledger.locks():
        if not is_over(lock.run_id):
            continue
        sending = ledger.unsettled(lock.run_id)
        why = "its run is over" if sending is None else _settle(sending)
        if not why or not is_over(lock.run_id):  # reconciling takes a minute: it may have been retried meanwhile
            continue
        ledger.release_lock(lock.install_id, lock.run_id)
        ledger.record("lock-released", run_id=lock.run_id, destination_id=lock.install_id, detail={"why": why})
        released.append(f"{lock.install_id}, held by run {lock.run_id}: {why}")
    return released


def _settle(sending: Fact) -> str:
    """Record that the call of an ended run is settled, and say why; empty where that is not proven."""
    ledger = open_ledger()
    if ledger.facts(run_id=sending.run_id, kind="planned-load"):
        how = "a load ends with its connection, and its run is over"
    elif utc_now() - sending.at > scaled(load_settings().lock_horizon):
        how = OLD
    elif not load_settings().api_user.get_secret_value():  # databases only: nothing here can ask the host
        return ""
    else:
        try:
            settings = load_settings()
            gap, within = scaled(settings.settle_gap), scaled(settings.copy_within)
            if not has_arrived(ledger, sending, connect=open_clients, gap=gap, host_within=within):
                return ""
        except UnderstudyError:  # the host cannot be asked now: the next sweep asks again, until then it is stuck
            return ""
        how = "reconciled: the remote side proves the arrival"
    ledger.settle(sending, how)
    return how


@task(name="Report what is stuck", **BELOW_THE_GATE)
def report_stuck() -> list[str]:
    """A sentence for everything that needs a person; what is new is told in one alert.

    Stuck is: a run with a plan and no outcome, a day after its plan, or an hour after Prefect ended it; a question past
    its deadline whose run is not picked up; a lock whose run is over while its call is not proven. Runs older than
    30 days are left out.
    """
    ledger, now, new = open_ledger(), utc_now(), []
    stuck = [*_stuck_runs(now), *_stuck_questions(now), *_stuck_locks()]
    for run_id, what, sentence in stuck:
        try:
            ledger.record("stuck", run_id=run_id, detail={"what": what}, once=f"stuck:{run_id}:{what}")
            new.append(sentence)
        except AlreadyRecorded:
            continue  # told before
    if new:
        send_notice("alert", f"{len(new)} stuck", [*new, "docs/approvals.md tells what to do about each."])
    return [sentence for _, _, sentence in stuck]


def _stuck_runs(now: datetime) -> list[tuple[str, str, str]]:
    waiting, found = {question.run_id for question in open_requests(open_ledger())}, []
    for run in unfinished(open_ledger()):
        age = now - run.planned.at
        if run.run_id in waiting or age > scaled(STUCK_FOR):
            continue
        state = state_of(run.run_id)
        gone = state is not None and state.is_final() and now - state.timestamp >= scaled(RETRY_WITHIN)
        if gone or age >= scaled(STUCK_AFTER):
            sent = "its call was SENT and is not proven" if run.sending else "nothing was sent"
            known = state.name if state else "not known to Prefect"
            name = f"{plain(run.verb)} of {plain(run.destination)}"
            found.append((run.run_id, "run", f"{name} (run {run.run_id}) has no outcome: {known}, {sent}."))
    return found


def _stuck_questions(now: datetime) -> list[tuple[str, str, str]]:
    """Questions that the sweep leaves alone because their run should go on, and does not."""
    late = [q for q in open_requests(open_ledger()) if now >= q.answer_by + scaled(RETRY_WITHIN)]
    return [
        (
            q.run_id,
            "question",
            f"{describe_request(q)} is past its deadline, and no worker goes on with run {q.run_id}.",
        )
        for q in late
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
        return []  # nobody wants notices: docs/settings.md
    since = utc_now() - scaled(UNDELIVERED_FOR)
    sent = [fact for fact in ledger.facts(kind="notice") if fact.at >= since]
    if not sent or not sent[-1].detail.get("failed"):
        return []
    where = "no place" if not sent[-1].detail.get("sent") else "not every place"
    return [
        f"The last notice reached {where} of UNDERSTUDY_NOTICES. Check the places; the log of the run that sent it names the "
        "kind of place that failed."
    ]


@task(name="Report findings", **BELOW_THE_GATE)
def report_findings(findings: list[str]) -> list[str]:
    """Send one alert a day about each finding that is not about a run, and return all of them."""
    ledger, new = open_ledger(), []
    for finding in findings:
        try:
            key = f"finding:{utc_now().date()}:{fingerprint(finding)[:12]}"
            ledger.record("finding", run_id=this_run(), detail={"what": finding}, once=key)
            new.append(finding)
        except AlreadyRecorded:
            continue  # sent today
    if new:
        send_notice("alert", "The sweep found something", new)
    return findings


@task(name="Verify the ledger", **BELOW_THE_GATE)
def verify_ledger() -> list[str]:
    """What shows that the ledger's past was changed, compared with the head that the last sweep left in Prefect.

    People are told once a day.
    """
    ledger, today = open_ledger(), utc_now().date()
    try:
        problems = ledger.verify(_anchor())
    except Misconfigured as error:  # somebody wrote over the anchor
        problems = [f"the artifact {_anchor_key()} in Prefect is no anchor any more: {error.message}"]
    if problems:
        try:
            ledger.record(
                "ledger-broken",
                run_id=this_run(),
                detail={"problems": problems},
                once=f"ledger-broken:{today}",
            )
            send_notice(
                "alert", "the ledger was changed", [plain(problem, 600) for problem in problems] + [BROKEN_STEP]
            )
        except AlreadyRecorded:
            return problems  # told today
    return problems


def _anchor_key() -> str:
    """The artifact that holds this ledger's newest head; a ledger elsewhere has one of its own."""
    address = make_url(load_settings().ledger_url).render_as_string(hide_password=True)
    return f"ledger-head-{fingerprint(address)[:12]}"


def _anchor() -> str | None:
    wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[_anchor_key()]))
    with get_client(sync_client=True) as client:
        newest = client.read_latest_artifacts(artifact_filter=wanted, limit=1)
    return str(newest[0].data) if newest else None


@task(name="Send the daily digest", **BELOW_THE_GATE)
def send_digest(stuck: list[str]) -> list[str]:
    """Once a day, from 07:00 UTC: what ended, what waits and what ends soon, of a ledger that is whole."""
    ledger, now = open_ledger(), utc_now()
    if now.hour < DIGEST_FROM:
        return []
    try:
        ledger.record("digest", run_id=this_run(), once=f"digest:{now.date()}")
    except AlreadyRecorded:
        return []
    lines = digest_lines(ledger, now, standing=_standing_that_ends(now), stuck=stuck)
    send_notice("digest", f"{now:%Y-%m-%d}", lines)
    return lines


def _standing_that_ends(now: datetime) -> list[str]:
    try:
        soon = expiring(load_standing(load_settings().standing_file), now.date(), read_rules().standing_notice)
    except UnderstudyError as error:  # a wrong file stops the runs that need it, not this one
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
    """The end of a sweep: `Swept`, with what was done, and the ledger's head as anchor for the next one.

    A sweep has no row of its own in the ledger: ninety-six empty ones a day would bury the rest, and what it did is there.
    """
    head = str(open_ledger().head() or "")
    done = {
        "Questions closed": closed,
        "Runs ended": ended,
        "States corrected": corrected,
        "Findings": found,
        "Reminders": reminded,
        "Locks released": released,
        "Stuck": stuck,
        "Leads suspended": suspended,
        "Digest": digest,
        "Ledger head": [f"`{head or 'empty'}`"],
    }
    _report(SWEPT, {title: sentences for title, sentences in done.items() if sentences})
    if head:
        create_markdown_artifact(head, key=_anchor_key(), description="The ledger's head at the last sweep")
    counted = {
        "closed": closed, "ended": ended, "corrected": corrected, "found": found, "reminded": reminded, "released": released,
        "stuck": stuck, "suspended": suspended,
    }  # fmt: skip
    message = (
        ", ".join(f"{len(sentences)} {what}" for what, sentences in counted.items() if sentences) or "Nothing to do"
    )
    return Completed(name=SWEPT, message=f"{message}.")


def report_broken_ledger(problems: Sequence[str]) -> State[Any]:
    """The end of a sweep that found the ledger changed: it does nothing on its word."""
    _report(LedgerBroken.outcome, {"The ledger was changed": [plain(problem, 600) for problem in problems]})
    return Failed(name=LedgerBroken.outcome, message=f"{'; '.join(problems)}. {BROKEN_STEP}")


def _report(outcome: str, found: Mapping[str, Sequence[str]]) -> None:
    create_markdown_artifact(sweep_text(outcome, found), key=f"report-{this_run()}", description=f"sweep: {outcome}")
