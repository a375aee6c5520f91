"""Leads: whoever left the hosting account, or logs in to it with a password alone, may no longer approve."""

from collections.abc import Mapping

from prefect import get_run_logger, task

from tasks.capi.client import Client
from tasks.capi.models import AccountUser
from tasks.configuration.estate_settings import has_account
from tasks.estate.errors import Transient, UnderstudyError, Unreachable
from tasks.estate.polling import utc_now
from tasks.ledger.facts import LeadRestored, LeadsChecked, LeadsUnchecked, LeadSuspended
from tasks.ledger.ledger import AlreadyRecorded, Entry
from tasks.rendering.times_and_tables import plain
from tasks.runtime.current_run import this_run
from tasks.runtime.notices import send_notice
from tasks.runtime.resources import each_account, open_ledger, read_leads, read_rules
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.signoff.lead_suspensions import suspended_now
from tasks.signoff.leads import Lead, Leads, plain_name

NEXT_STEP = "Correct it in the host's User Portal (Users), or correct the leads file. Tomorrow's sweep checks again."


@task(name="Compare the leads with the users of the hosting account", **BELOW_THE_GATE)
def compare_leads() -> list[str]:
    """Suspend and restore leads, once a day, if the rule `leads_are_users` is on and the worker has a login for the host.

    A lead may approve who is a user of every account of the installs, has accepted the invitation and uses two-factor login. One
    alert names what changed. Without a complete answer of the host nothing changes, and the next sweep tries again. Returns a
    sentence for each lead who is suspended now.
    """
    try:
        if not read_rules().leads_are_users:
            return []
        if has_account():
            _compare_once_a_day(read_leads())
    except UnderstudyError as trouble:  # the sweep must continue
        _report_trouble(trouble)
    return _suspended()


def _suspended() -> list[str]:
    """Return a sentence for each lead whom the ledger, and not the leads file, suspends."""
    try:
        leads = read_leads()
    except UnderstudyError:  # reported already: the comparison reads the same files
        return []
    fallen = [lead for lead in leads.everybody if not lead.suspended and leads.why_not(lead.name)]
    return [plain(leads.why_not(lead.name), 400) for lead in fallen]


def _compare_once_a_day(leads: Leads) -> None:
    ledger = open_ledger()
    once = f"leads-checked:{utc_now().date()}"
    if any(fact.once == once for fact in ledger.facts(kind=LeadsChecked.KIND)):
        return
    accounts = _users_by_account()
    before, entries, lines = {plain_name(name): why for name, why in suspended_now(ledger).items()}, [], []
    enrolled = [lead for lead in leads.everybody if not lead.suspended]
    for lead in enrolled:
        why = _why_suspended(lead, accounts)
        if why and before.get(plain_name(lead.name)) != why:
            entries.append(Entry(LeadSuspended(name=lead.name, why=why)))
            lines.append(f"{plain(lead.name)} {plain(why, 300)}, and may not approve until that is corrected.")
        elif not why and plain_name(lead.name) in before:
            entries.append(Entry(LeadRestored(name=lead.name)))
            lines.append(f"{plain(lead.name)} may approve again: the reason in the hosting account is gone.")
    counted = LeadsChecked(leads=len(enrolled), accounts=len(accounts))
    try:
        ledger.record_together(this_run(), [Entry(counted, once=once), *entries])
    except AlreadyRecorded:
        return  # another sweep compared at this moment and reports it
    if lines:
        send_notice("alert", "who may approve has changed", [*lines, NEXT_STEP])


def _users_by_account() -> dict[str, dict[str, AccountUser]]:
    """Return the users of every account by e-mail; accounts by the first of their installs, whose name people know.

    Raises `Unreachable` if a login has no account, or an account no users: everybody would be suspended.
    """
    return {known_by: users for client in each_account() for known_by, users in _users_of(client).items()}


def _users_of(client: Client) -> dict[str, dict[str, AccountUser]]:
    accounts: dict[str, str] = {}
    for install in sorted(client.installs(), key=lambda install: install.name):
        if install.account is not None:
            accounts.setdefault(install.account.id, install.name)
    users = {
        known_by: {(user.email or "").strip().casefold(): user for user in client.account_users(account_id)}
        for account_id, known_by in accounts.items()
    }
    if not users or not all(users.values()):
        raise Unreachable("The host names no account, or an account without users; expected at least an owner.")
    return users


def _why_suspended(lead: Lead, accounts: Mapping[str, Mapping[str, AccountUser]]) -> str:
    """Return the first reason to suspend a lead, as words that continue the name; "" if there is no reason."""
    for known_by, users in accounts.items():
        user = users.get(lead.email.strip().casefold())
        if user is None:
            return f"is no user of the hosting account of {known_by}"
        if user.invite_accepted is not True:
            return f"has not accepted the invitation to the hosting account of {known_by}"
        if user.mfa_enabled is not True:
            return f"uses no two-factor login at the hosting account of {known_by}"
    return ""


def _report_trouble(trouble: UnderstudyError) -> None:
    """Log why nothing was compared. Send an alert, once a day, unless the next sweep can expect an answer."""
    get_run_logger().warning("The leads are not compared with the hosting account: %s", trouble.message)
    if isinstance(trouble, Transient):
        return
    try:
        open_ledger().record(LeadsUnchecked(), run_id=this_run(), once=f"leads-unchecked:{utc_now().date()}")
    except AlreadyRecorded:
        return  # reported today
    lines = ["Nobody was suspended or restored; the next sweep tries again.", plain(trouble.message, 600)]
    send_notice(
        "alert", "the leads could not be compared with the hosting account", [*lines, plain(trouble.next_step, 600)]
    )
