"""What the settings name outside of this process: hosting API, websites, ledger, reviewed files and masking keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from tasks.capi.client import Client
from tasks.configuration.estate_settings import AccountLogin, account_of, hosting_accounts, read_estate, site_logins
from tasks.configuration.settings import load_settings
from tasks.estate.recipes import Recipe
from tasks.estate.sites import Direction, Install
from tasks.ledger.ledger import Ledger
from tasks.masking.keyring import Keyring
from tasks.masking.policy import Policy
from tasks.masking.session_settings import Session
from tasks.runtime.retries import honouring_retry_after
from tasks.safeguards.risk_rules import RiskRules, load_rules
from tasks.signoff.lead_suspensions import suspended_now
from tasks.signoff.leads import Leads, load_leads
from tasks.websites.wordpress_site import Prober
from tasks.wpcli.access import access_to, has_access
from tasks.wpcli.wordpress import WordPress

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection


@contextmanager
def open_clients(*installs: str) -> Iterator[tuple[Client, Prober]]:
    """Open the hosting API, with the login of these installs' account, and the public sites; close them at the end."""
    with clients_of(hosting_account(*installs)) as clients:
        yield clients


@contextmanager
def clients_of(account: AccountLogin) -> Iterator[tuple[Client, Prober]]:
    """Do the same for an account that is known already: to find it may take requests to the host."""
    settings = load_settings()
    with (
        Client(settings.api_url, account.user, account.password) as client,
        open_sites() as prober,
        honouring_retry_after(),
    ):
        yield client, prober


@contextmanager
def open_sites() -> Iterator[Prober]:
    """Open the public sites alone; close their connections at the end."""
    settings = load_settings()
    with Prober(settings.site_scheme, settings.site_gateway, logins=site_logins()) as prober:
        yield prober


@contextmanager
def open_connection(install: str) -> Iterator["Connection"]:
    """Connect to the SSH gateway of an install, as the settings describe; close the connection at the end."""
    from tasks.wpcli.connection import Connection  # loads asyncssh: only when it is needed

    with Connection(access_to(install, load_settings())) as connection:
        yield connection


@contextmanager
def open_wordpress(install: str) -> Iterator[WordPress]:
    """Open WP-CLI on an install; close the connection at the end."""
    with open_connection(install) as connection:
        yield WordPress(connection)


def recipe_after(direction: Direction, source: str, destination: Install) -> Recipe | None:
    """Return the recipe for the steps after a copy, as estate and settings are now. For a promotion it is staging's.

    None if this worker has no WP-CLI access to the destination, or if production gets its own backup back.
    """
    estate = read_estate()
    back = direction is Direction.BACK and destination.environment.may_be_production
    if back or not has_access(destination.name, load_settings(), estate):
        return None
    return estate.recipe_of(source if direction is Direction.UP else destination.name)


def each_account() -> Iterator[Client]:
    """Open the hosting API with the login of every account of this worker, one after the other."""
    yield from (client for _, client in _accounts())


def hosting_account(*installs: str) -> AccountLogin:
    """Return the account of these installs. If the estate names none of them, ask the host which account has the first one.

    If no account has it, returns the first account, whose host then answers that there is no such install.
    """
    known = account_of(*installs)
    if known is not None:
        return known
    wanted = installs[0].casefold() if installs else ""
    for account, client in _accounts() if wanted else ():
        if any(install.name.casefold() == wanted for install in client.installs()):
            return account
    return hosting_accounts()[0]


def _accounts() -> Iterator[tuple[AccountLogin, Client]]:
    for account in hosting_accounts():
        with Client(load_settings().api_url, account.user, account.password) as client, honouring_retry_after():
            yield account, client


_ledgers: dict[str, Ledger] = {}


def open_ledger() -> Ledger:
    """Return the ledger that the settings name; one per process and URL."""
    url = load_settings().ledger_url
    if url not in _ledgers:
        _ledgers[url] = Ledger(url)
    return _ledgers[url]


def read_leads() -> Leads:
    """Return who may approve now: the reviewed file, without leads whom the hosting account suspends if that rule is on.

    Raises `Misconfigured`.
    """
    settings = load_settings()
    leads = load_leads(settings.leads_file, settings.codes_file)
    return leads.without(suspended_now(open_ledger())) if read_rules().leads_are_users else leads


def read_rules() -> RiskRules:
    """Return the risk rules of the reviewed file as they are now."""
    return load_rules(load_settings().risk_file)


def scaled(seconds: float) -> timedelta:
    """Return a duration in seconds, scaled by the setting `pace`."""
    return timedelta(seconds=seconds * load_settings().pace)


def masking_session(policy: Policy, run_id: str, server_version: int = 0) -> Session:
    """Return the keyed session of a run's masking, the same in every worker. The key stays in this process.

    `server_version`: of the server that will evaluate the expressions, if it is known.
    """
    return Session(run_keyring(run_id), policy.locale, server_version=server_version)


def run_keyring(run_id: str) -> Keyring:
    """Return the keyring of a run's masking, the same in every worker. Raises `Misconfigured` without a masking key."""
    settings = load_settings().require("masking_key")
    key = settings.masking_key.get_secret_value().encode()
    return Keyring(key, run=run_id if settings.masking_key_rotates else None)


def proof_keyrings(run_id: str) -> tuple[Keyring, ...]:
    """Return the keyrings that may have sealed the dump of this run; no keyring if this worker has no masking key.

    A key that rotates and one that does not are both tried, because another worker may have other settings.
    """
    key = load_settings().masking_key.get_secret_value().encode()
    return (Keyring(key, run=run_id), Keyring(key, run=None)) if key else ()
