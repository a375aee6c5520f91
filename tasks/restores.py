"""Restores: find what a promotion recorded, and put it back, once."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx
from prefect import get_run_logger, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException

from tasks.estate.errors import NotFound
from tasks.estate.form_choices import chosen_code
from tasks.estate.plans import Approval, Backup, Plan, Receipt, code_of
from tasks.estate.polling import utc_now
from tasks.estate.sites import Direction, Pair, Survey
from tasks.ledger.facts import BackupRenewed, Planned, RestoreStarted, Sending
from tasks.ledger.ledger import AlreadyRecorded
from tasks.runtime.notices import send_notice
from tasks.runtime.permission import require_permission
from tasks.runtime.resources import clients_of, hosting_account, open_clients, open_ledger
from tasks.runtime.retries import BELOW_THE_GATE, BRIEF, ONCE
from tasks.runtime.step_results import kept_in_ledger
from tasks.runtime.undo_choices import RESTORE, create_run, renew_undo_choices
from tasks.signoff import preauthorised
from tasks.signoff.sending import install_call, send_once
from tasks.surveys.recheck import recheck
from tasks.surveys.survey import to_install


def start_restore(parameters: Mapping[str, Any]) -> None:
    """Start the deployment of `restore`. The run to undo need not be in the list of its form, which may be older."""
    with get_client(sync_client=True) as client:
        create_run(client, client.read_deployment_by_name(RESTORE).id, parameters)


@task(name="Offer the runs that can be undone", **BELOW_THE_GATE)
def offer_runs() -> None:
    """Renew the list in the form of `restore`, if `understudy deploy` made that form."""
    renew_undo_choices()


def resolve_run(promotion: str) -> str:
    """Return the id of the run to undo: the one that was named, or the one whose plan code is in the choice of a form.

    Raises `NotFound` if no call with that code was made.
    """
    code = chosen_code(promotion)
    if not code:
        return promotion
    for sending in reversed(open_ledger().facts(kind=Sending.KIND)):
        if code_of(sending.plan) == code:
            return sending.run_id
    raise NotFound(
        f"The ledger has no call of plan {code}; expected one that was sent.",
        next_step="Nothing was changed. Pick another run, or name it by the id in its report.",
    )


@task(name="Find what the run recorded", task_run_name="Find the recorded backup", **BRIEF)
@kept_in_ledger
def resolve_recorded(run_id: str) -> Plan:
    """Return the plan of the run to undo. Raises `NotFound` if it sent nothing.

    Retried 4 times on `Transient`, backing off with jitter.
    """
    ledger = open_ledger()
    planned = ledger.facts(run_id=run_id, kind=Planned.KIND)
    if not planned or ledger.receipt(run_id) is None:
        raise NotFound(
            f"The ledger has no copy sent by run {run_id!r}; expected the id of a promotion or refresh that sent one.",
            next_step="Nothing was changed. The report of the promotion shows its run id.",
        )
    plan = planned[-1].as_(Planned).draft
    renewed = ledger.facts(run_id=run_id, kind=BackupRenewed.KIND)
    return plan.model_copy(update={"backup": renewed[-1].as_(BackupRenewed).backup}) if renewed else plan


@task(name="Verify the destination", task_run_name="Verify {recorded.pair.destination.name}", **BRIEF)
@kept_in_ledger
def resolve_destination(recorded: Plan) -> Pair:
    """Return the recorded destination as it is now, as both sides of a restore. Raises `NotFound`. Retried on `Transient`."""
    with open_clients(recorded.pair.destination.name) as (client, _):
        install = to_install(client.install(recorded.pair.destination.id), client.sites())
    return Pair(source=install, destination=install, direction=Direction.BACK)


def state_before(run_id: str) -> Survey:
    """Return the survey of the destination right before that run's call: what a restore should bring back."""
    receipt = open_ledger().receipt(run_id)
    if receipt is None:
        raise NotFound(f"The ledger has no copy sent by run {run_id!r}.")
    return receipt.baseline.destination


@task(name="Re-check, then send the restore once", task_run_name="Restore {plan.pair.destination.name}", **ONCE)
def send_restore(plan: Plan, approval: Approval, backup: Backup) -> Receipt:
    """Put the recorded backup back: re-check, use the approval up, journal, send. Never retried; see `send_copy`.

    The host is also asked for a checkpoint. Raises what `send_copy` raises; `HostRefused` or `NotFound` if the host offers no
    restore (API 1.10): then people must use its portal, with the backup id in the message.
    """
    ledger, destination = open_ledger(), plan.pair.destination
    account = hosting_account(destination.name)
    with clients_of(account) as (client, prober):
        call = install_call(
            ledger,
            plan,
            recheck=lambda: recheck(
                client, prober, plan, backup, generation=ledger.generation(destination.id), other_site=True
            ),
            request=lambda: client.send_restore(
                destination.id,
                plan.restore_backup_id or "",
                database=plan.options.database,
                emails=[account.notify],
            ),
        )
        return send_once(ledger, approval, call, permit=lambda: require_permission(plan, approval), clock=utc_now)


def start_allowed_restore(plan: Plan, approval: Approval, ended: State[Any]) -> State[Any]:
    """Start the restore as a run of its own if the promotion's verification failed and its approval permits it.

    Returns the promotion's end unchanged. Happens once: a retry of the promotion starts no second restore. A restore that cannot
    be started is an alert, not an error: the promotion's own end must stay readable.
    """
    ledger = open_ledger()
    if ended.name != preauthorised.FAILED or not approval.restore_within:
        return ended
    with suppress(AlreadyRecorded):
        ledger.record(RestoreStarted(), run_id=plan.run_id, once=f"restore-started:{plan.run_id}")
        parameters = {
            "promotion": plan.run_id, "approval": "pre-authorised", "database": plan.options.database,
            "requested_by": "the promotion's approval",
        }  # fmt: skip
        try:
            start_restore(parameters)
        except (httpx.HTTPError, PrefectException, ValueError) as error:
            subject = f"The restore of {plan.pair.destination.name} could not be started"
            send_notice(
                "alert",
                subject,
                [f"{type(error).__name__}. Start `restore` with run {plan.run_id} manually."],
                run_id=plan.run_id,
            )
            get_run_logger().error("%s: %s", subject, type(error).__name__)
    return ended
