"""Copies: send one, once, and wait for the evidence that a copy or restore arrived."""

from datetime import timedelta

from prefect import task

from tasks.configuration.settings import load_settings
from tasks.estate.errors import OutcomeUnknown
from tasks.estate.plans import Approval, Backup, Evidence, Plan, Receipt, Signal, Verdict
from tasks.estate.polling import utc_now
from tasks.estate.sites import Survey
from tasks.ledger.facts import ArrivalAnswered, Settled, StepsBegun
from tasks.runtime.permission import require_permission
from tasks.runtime.progress import Progress
from tasks.runtime.resources import clients_of, hosting_account, open_clients, open_ledger, scaled
from tasks.runtime.retries import BELOW_THE_GATE, ONCE
from tasks.signoff.answers import where
from tasks.signoff.sending import install_call, send_once
from tasks.surveys.arrival_watch import Watch, watch
from tasks.surveys.recheck import recheck

TYPICAL = 1200.0  # seconds; 10 to 30 minutes, more above 5 GB


@task(
    name="Re-check, then send the copy once",
    task_run_name="Send {plan.pair.source.name} to {plan.pair.destination.name}",
    **ONCE,
)
def send_copy(plan: Plan, approval: Approval, backup: Backup, *, other_site: bool = False) -> Receipt:
    """Overwrite the destination: re-check the approved facts, use the approval up, journal the intent, send. Never retried.

    `backup` is what `restore` would put back: the plan's own, or a newer one if the answer came late. A second call in the same
    run, in any process, sends nothing and returns the journaled receipt. Raises `PlanIsStale`, `WrongDestination`, `Frozen`,
    `OnHold`, `NotApproved` and its kinds, `HostRefused`, or `Transient` if the call was provably not sent.
    """
    ledger = open_ledger()
    source, destination = plan.pair.source, plan.pair.destination
    account = hosting_account(source.name, destination.name)
    with clients_of(account) as (client, prober):
        call = install_call(
            ledger,
            plan,
            recheck=lambda: recheck(
                client,
                prober,
                plan,
                backup,
                generation=ledger.generation(source.id, destination.id),
                other_site=other_site,
            ),
            request=lambda: client.send_copy(
                source.id,
                destination.id,
                files=plan.options.files,
                database=plan.options.database,
                tables=list(plan.options.tables),
                emails=[account.notify],
            ),
        )
        return send_once(ledger, approval, call, permit=lambda: require_permission(plan, approval), clock=utc_now)


@task(name="Wait for the arrival", task_run_name="Wait for {plan.pair.destination.name}", **BELOW_THE_GATE)
def await_arrival(
    plan: Plan, receipt: Receipt, expected: Survey | None = None, *, enough: Verdict = Verdict.CONFIRMED
) -> Evidence:
    """Watch the evidence until its verdict is `enough`; at the deadline return what there is. Raises nothing else.

    `expected` is what the destination should become: the source before the call, unless a restore names another state. The
    deadline counts from `receipt.sent_at`, so a resumed run does not restart it, but looks at least twice. An `active` status is
    recorded and never counted. If the steps after the copy have begun, returns the evidence that they began with: they change
    the site. Retried 4 times on `Transient`, backing off with jitter.
    """
    begun = open_ledger().facts(run_id=plan.run_id, plan=plan.fingerprint, kind=StepsBegun.KIND)
    if begun:
        return begun[0].as_(StepsBegun).evidence
    settings = load_settings()
    gap = scaled(settings.settle_gap)
    host_done = receipt.sent_at + scaled(settings.copy_within)
    deadline = max(host_done, utc_now() + 2 * gap + timedelta(seconds=1))
    progress = Progress("restore" if plan.verb == "restore" else "copy", typical=TYPICAL)
    with open_clients(plan.pair.source.name, plan.pair.destination.name) as (client, prober):
        expected = expected or receipt.baseline.source
        watching = Watch(client, prober, plan, receipt, expected, gap=gap, host_done=host_done)
        evidence = watch(
            watching, enough=enough, started=receipt.sent_at, deadline=deadline, pace=settings.pace, show=progress.show
        )
    progress.done(f"{plan.pair.destination.name}: {evidence.verdict.value}")
    return evidence


def require_arrival(plan: Plan, evidence: Evidence, *, enough: Verdict = Verdict.CONFIRMED) -> Evidence:
    """Return the evidence if it is good enough for a destination that is not production. Raises `OutcomeUnknown`."""
    answers = open_ledger().facts(run_id=plan.run_id, plan=plan.fingerprint, kind=ArrivalAnswered.KIND)
    answer = answers[-1].as_(ArrivalAnswered) if answers else None
    if answer and answer.email == "completed":  # a lead settled it with proof: `understudy settle`
        detail = f"{answer.approver}: {answer.words}"
        person = Signal(rank=0, name="a lead settled it", seen=True, detail=detail, observed_at=utc_now())
        evidence = evidence.model_copy(update={"verdict": Verdict.CONFIRMED, "signals": (person, *evidence.signals)})
    if evidence.verdict not in (Verdict.CONFIRMED, Verdict.UNCHANGED, enough):
        raise OutcomeUnknown(
            f"The copy to {plan.pair.destination.name} was sent, and after {evidence.took_seconds} s its arrival is "
            f"{evidence.verdict.value}; expected {enough.value}."
            + (
                f" {plan.pair.destination.name} is NOT NEUTRALISED: if the copy arrived, it reaches people."
                if plan.after_copy
                else ""
            ),
            evidence=evidence.verdict.value,
        )
    open_ledger().record(Settled(how=f"evidence: {evidence.verdict.value}"), **where(plan))
    return evidence
