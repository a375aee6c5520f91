"""The outside world as the settings name it: hosting API, websites, ledger, reviewed files and masking keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from tasks.capi.client import Client
from tasks.estate.settings import load_settings
from tasks.ledger.ledger import Ledger
from tasks.masking.keyring import Keyring
from tasks.masking.policy import Policy
from tasks.masking.session import Session
from tasks.probes.websites import Prober
from tasks.runtime.retries import honouring_retry_after
from tasks.safeguards.risk_rules import RiskRules, load_rules
from tasks.signoff.leads import Leads, load_leads
from tasks.signoff.suspensions import suspended_now


@contextmanager
def open_clients() -> Iterator[tuple[Client, Prober]]:
    """The hosting API and the public sites, as the settings name them; closed at the end."""
    settings = load_settings().require("api_user", "api_password", "notify")
    with (
        Client(settings.api_url, settings.api_user, settings.api_password) as client,
        Prober(settings.site_scheme, settings.site_gateway, logins=settings.logins()) as prober,
        honouring_retry_after(),
    ):
        yield client, prober


_ledgers: dict[str, Ledger] = {}


def open_ledger() -> Ledger:
    """The ledger that the settings name; one per process and URL."""
    url = load_settings().ledger_url
    if url not in _ledgers:
        _ledgers[url] = Ledger(url)
    return _ledgers[url]


def read_leads() -> Leads:
    """Who may approve, as the reviewed file says at this moment, and the hosting account too while that rule is on.

    Raises `Misconfigured`.
    """
    settings = load_settings()
    leads = load_leads(settings.leads_file, settings.codes_file)
    return leads.without(suspended_now(open_ledger())) if read_rules().leads_are_users else leads


def read_rules() -> RiskRules:
    """What makes a plan dangerous and what its gate demands, as the reviewed file says at this moment."""
    return load_rules(load_settings().risk_file)


def scaled(seconds: float) -> timedelta:
    """A duration of the settings at the settings' pace."""
    return timedelta(seconds=seconds * load_settings().pace)


def masking_session(policy: Policy, run_id: str) -> Session:
    """The keyed session of a run's masking, the same in every worker. The key stays in this process."""
    settings = load_settings().require("masking_key")
    key = settings.masking_key.get_secret_value().encode()
    return Session(Keyring(key, run=run_id if settings.masking_key_rotates else None), policy.locale)


def proof_keyrings(run_id: str) -> tuple[Keyring, ...]:
    """Return the keyrings that may have sealed the dump of this run: none if this worker has no masking key.

    A key that rotates and one that does not are both tried, because another worker may have other settings.
    """
    key = load_settings().masking_key.get_secret_value().encode()
    return (Keyring(key, run=run_id), Keyring(key, run=None)) if key else ()
