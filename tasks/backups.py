"""Backups: request one, and wait until the host has completed it."""

from prefect import task

from tasks.capi.client import Client
from tasks.capi.models import Backup as HostBackup
from tasks.configuration.settings import load_settings
from tasks.estate.errors import BackupAborted, BackupOverdue, NotFound
from tasks.estate.plans import Backup, Plan
from tasks.estate.polling import utc_now
from tasks.estate.sites import Install
from tasks.ledger.facts import BackupRenewed, BackupRequested, Sending
from tasks.runtime.current_run import this_run
from tasks.runtime.progress import Progress
from tasks.runtime.resources import clients_of, hosting_account, open_clients, open_ledger, read_rules, scaled
from tasks.runtime.retries import ABOVE_THE_GATE, BRIEF, poll
from tasks.runtime.step_results import kept_in_ledger
from tasks.signoff.answers import where

BACKUP_TYPICAL = 300.0  # seconds; usually 2 to 10 minutes


@task(name="Request a backup", task_run_name="Back up {install.name}", **BRIEF)
@kept_in_ledger
def request_backup(install: Install, why: str) -> Backup:
    """Request a backup of `install` from the host; return it unfinished.

    The description names the run, and every attempt looks for it first: after a lost answer no second backup is made if the host
    lists backups. If it does not, a duplicate costs time, never data. Retried 4 times on `Transient`.
    """
    description = f"Understudy {why} {this_run()}"
    account = hosting_account(install.name)
    with clients_of(account) as (client, _):
        requested = _find(client, install.id, description)
        if requested is None:
            requested = client.request_backup(install.id, description, [account.notify])
    open_ledger().record(BackupRequested(backup=requested.id, why=why), run_id=this_run(), destination_id=install.id)
    return Backup(id=requested.id, install_id=install.id, install_name=install.name, requested_at=utc_now())


def _find(client: Client, install_id: str, description: str) -> HostBackup | None:
    try:
        return next((b for b in client.backups(install_id) if b.description == description), None)
    except NotFound:  # API 1.10 lists no backups
        return None


@task(name="Wait for the backup", task_run_name="Wait for the backup of {ticket.install_name}", **ABOVE_THE_GATE)
@kept_in_ledger
def await_backup(ticket: Backup) -> Backup:
    """Return this backup once the host reports it as `completed`.

    The deadline counts from `ticket.requested_at`, so a retry does not restart the clock. Raises `BackupAborted`, or
    `BackupOverdue` with the last status. Source: hosting API, "backups": `completed` and `aborted` are final; any other
    status, known or not, means that the wait continues, as it does after `Transient`.
    """
    within = scaled(load_settings().backup_within)
    progress = Progress("backup", typical=BACKUP_TYPICAL)
    last = "not seen"

    with open_clients(ticket.install_name) as (client, _):

        def look() -> Backup | None:
            nonlocal last
            try:
                seen = client.backup(ticket.install_id, ticket.id)
            except NotFound:
                last = "not found"
                return None
            last = seen.status or "no status"
            progress.show((utc_now() - ticket.requested_at).total_seconds(), f"backup of {ticket.install_name}: {last}")
            if last == "aborted":
                raise BackupAborted(f"The host aborted backup {ticket.id} of {ticket.install_name}.", backup=ticket.id)
            return (
                ticket.model_copy(update={"completed_at": seen.complete_time or utc_now()})
                if last == "completed"
                else None
            )

        done = poll(look, started=ticket.requested_at, within=within)
    if done is None:
        raise BackupOverdue(
            f"Backup {ticket.id} of {ticket.install_name} is {last!r} after {within}; expected 'completed'."
        )
    progress.done(f"backup {ticket.id} of {ticket.install_name} is completed")
    return done


def fresh_backup(plan: Plan) -> Backup:
    """Return the backup that `restore` would put back: the plan's own, or a second one if that one is too old now.

    After the call was sent, returns the recorded backup, whatever its age. Raises what `await_backup` raises.
    """
    ledger = open_ledger()
    facts = ledger.facts(run_id=plan.run_id)
    renewed = [fact.as_(BackupRenewed).backup for fact in facts if fact.kind == BackupRenewed.KIND]
    backup = renewed[-1] if renewed else plan.backup
    old = utc_now() - (backup.completed_at or backup.requested_at) > read_rules().backup_fresh
    if any(fact.kind == Sending.KIND for fact in facts) or not old:
        return backup
    backup = await_backup(request_backup(plan.pair.destination, f"once more, {len(renewed) + 1}, for a late answer"))
    ledger.record(BackupRenewed(backup=backup), **where(plan))
    return backup
