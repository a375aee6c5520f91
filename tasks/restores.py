"""Restores: find what a promotion recorded, put it back, once, and wait for evidence."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.exceptions import PrefectException

from tasks.capi.client import Client
from tasks.estate.errors import NotFound
from tasks.estate.plans import Approval, Backup, Evidence, Plan, Receipt, Verdict
from tasks.estate.settings import load_settings
from tasks.estate.sites import Direction, Pair, Survey
from tasks.estate.waiting import utc_now
from tasks.ledger.ledger import AlreadyRecorded
from tasks.runtime.notices import send_notice
from tasks.runtime.permission import require_permission
from tasks.runtime.progress import Progress
from tasks.runtime.resources import open_clients, open_ledger, scaled
from tasks.runtime.results import kept_in_ledger
from tasks.runtime.retries import ABOVE_THE_GATE, BELOW_THE_GATE, ONCE
from tasks.signoff import preauthorised
from tasks.signoff.sending import send_once
from tasks.surveys.recheck import recheck
from tasks.surveys.survey import to_install
from tasks.surveys.watch import Watch, watch

RESTORE = "restore/restore"  # flow and deployment, as prefect.yaml names them
RESTORE_TYPICAL = 1200.0  # seconds


@task(
    name="Find what the run recorded",
    task_run_name="Find the backup of run {run_id}",
    timeout_seconds=120,
    **ABOVE_THE_GATE,
)
@kept_in_ledger
def resolve_recorded(run_id: str) -> Plan:
    """The plan of the run whose destination shall go back. Raises `NotFound` if it never sent anything.

    Retried 4 times on `Transient`, backing off with jitter.
    """
    ledger = open_ledger()
    planned = ledger.facts(run_id=run_id, kind="planned")
    if not planned or ledger.receipt(run_id) is None:
        raise NotFound(
            f"The ledger knows no copy sent by run {run_id!r}; expected the id of a promotion or refresh that sent one.",
            next_step="Nothing was changed. The report of the promotion shows its run id.",
        )
    plan = Plan.model_validate(planned[-1].detail)
    renewed = ledger.facts(run_id=run_id, kind="backup-renewed")
    return plan.model_copy(update={"backup": Backup.model_validate(renewed[-1].detail)}) if renewed else plan


@task(
    name="Verify the destination",
    task_run_name="Verify {recorded.pair.destination.name}",
    timeout_seconds=120,
    **ABOVE_THE_GATE,
)
@kept_in_ledger
def resolve_destination(recorded: Plan) -> Pair:
    """The recorded destination as it is now, as both sides of a restore. Raises `NotFound`. Retried on `Transient`."""
    with open_clients() as (client, _):
        return _pair(client, recorded)


def _pair(client: Client, recorded: Plan) -> Pair:
    install = to_install(client.install(recorded.pair.destination.id), client.sites())
    return Pair(source=install, destination=install, direction=Direction.BACK)


def state_before(run_id: str) -> Survey:
    """What the destination looked like right before that run's call: what a restore should bring back."""
    receipt = open_ledger().receipt(run_id)
    if receipt is None:
        raise NotFound(f"The ledger knows no copy sent by run {run_id!r}.")
    return receipt.baseline.destination


@task(name="Re-check, then send the restore once", task_run_name="Restore {plan.pair.destination.name}", **ONCE)
def send_restore(plan: Plan, approval: Approval, backup: Backup) -> Receipt:
    """Put the recorded backup back: re-check, use the approval up, journal, send. Never retried; see `send_copy`.

    A checkpoint by the host is asked for as well. Raises what `send_copy` raises; `HostRefused` or `NotFound` where the
    host offers no restore (API 1.10): then its portal must be used, with the backup id in the message.
    """
    ledger, settings = open_ledger(), load_settings()
    destination, backup_id = plan.pair.destination, plan.restore_backup_id or ""
    with open_clients() as (client, prober):
        return send_once(
            ledger,
            plan,
            approval,
            recheck=lambda: recheck(
                client, prober, plan, backup, generation=ledger.generation(destination.id), other_site=True
            ),
            last_look=lambda: require_permission(plan, approval),
            call=lambda: client.send_restore(
                destination.id, backup_id, database=plan.options.database, emails=[settings.notify]
            ),
            clock=utc_now,
        )


def start_allowed_restore(plan: Plan, approval: Approval, ended: State[Any]) -> State[Any]:
    """Where the verification of a promotion failed and its approval allows it, start the restore as a run of its own.

    Gives the promotion's end as it is. Once: a retry of the promotion starts no second restore. A restore that cannot be
    started is an alert, not an error: the promotion's own end must stay readable.
    """
    ledger = open_ledger()
    if ended.name != preauthorised.FAILED or not approval.restore_within:
        return ended
    with suppress(AlreadyRecorded):
        ledger.record("restore-started", run_id=plan.run_id, once=f"restore-started:{plan.run_id}")
        parameters = {
            "promotion": plan.run_id, "approval": "pre-authorised", "database": plan.options.database,
            "requested_by": f"the approval of run {plan.run_id}",
        }  # fmt: skip
        try:
            run_deployment(RESTORE, parameters=parameters, timeout=0, as_subflow=False)
        except (httpx.HTTPError, PrefectException, ValueError) as error:
            subject = f"The restore of {plan.pair.destination.name} could not be started"
            send_notice(
                "alert",
                subject,
                [f"{type(error).__name__}. Start `restore` with run {plan.run_id} by hand."],
                run_id=plan.run_id,
            )
            get_run_logger().error("%s: %s", subject, type(error).__name__)
    return ended


@task(name="Wait for the restore", task_run_name="Wait for {plan.pair.destination.name}", **BELOW_THE_GATE)
def await_restore(plan: Plan, receipt: Receipt, expected: Survey) -> Evidence:
    """Watch the same ladder, against the state before the copy. Deadline and retries as for `await_arrival`."""
    settings = load_settings()
    gap = scaled(settings.settle_gap)
    host_done = receipt.sent_at + scaled(settings.copy_within)
    deadline = max(host_done, utc_now() + 2 * gap + timedelta(seconds=1))
    progress = Progress("restore", typical=RESTORE_TYPICAL * settings.pace)
    with open_clients() as (client, prober):
        watching = Watch(client, prober, plan, receipt, expected, gap=gap, host_done=host_done)
        evidence = watch(
            watching,
            enough=Verdict.CONFIRMED,
            started=receipt.sent_at,
            deadline=deadline,
            pace=settings.pace,
            show=progress.show,
        )
    progress.done(f"{plan.pair.destination.name}: {evidence.verdict.value}")
    return evidence
