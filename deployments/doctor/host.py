"""What the worker needs of the hosting API: a login that sees every install of every pair, and a clock that agrees with ours."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from deployments.doctor.examination import Finding, bad, examine, good, unknown
from tasks.capi.client import Client
from tasks.capi.models import Installation
from tasks.configuration.settings import load_settings
from tasks.estate.polling import utc_now
from tasks.runtime.resources import open_clients
from tasks.surveys.survey import public_content, to_install
from tasks.websites.wordpress_site import Prober

APART = timedelta(seconds=30)  # the length of one code: a clock further off refuses codes that are right
CLOCK_REMEDY = "Let this machine set its time automatically (NTP): codes, deadlines and windows depend on it."


def examine_host(pairs: Sequence[tuple[str, str]], accounts: int = 1) -> Iterator[Finding]:
    """Yield the findings about the login, the clock, and both sides of every pair (source, destination).

    `accounts`: how many logins the estate has. With several, installs that one login does not see prove nothing.
    """
    settings = load_settings()
    if accounts > 1:
        remedy = "Start `diagnose` in Prefect for one install of each account."
        yield unknown("API login", f"The estate has {accounts} accounts; their logins are not checked here.", remedy)
        return
    if not settings.api_user.get_secret_value() and not pairs:
        return  # a worker for databases only
    with open_clients() as (client, prober):
        installs = {install.name: install for install in client.installs()}
        yield good("API login", f"It sees {len(installs)} installs at {settings.api_url}.")
        yield from examine("clock", lambda: _clock(client))
        for name in dict.fromkeys(name for pair in pairs for name in pair):
            yield from examine(f"install {name}", lambda name=name: _install(client, prober, name, installs))  # type: ignore[misc]  # mypy infers no type for a default of a lambda
        for source, destination in pairs:
            yield from _pair(source, installs.get(source), destination, installs.get(destination))


def _clock(client: Client) -> Iterator[Finding]:
    before = utc_now()
    apart = client.server_time() - before
    detail = f"This machine and the host are {abs(apart.total_seconds()):.0f} s apart."
    yield good("clock", detail) if abs(apart) <= APART else bad("clock", detail, CLOCK_REMEDY)


def _install(client: Client, prober: Prober, name: str, installs: dict[str, Installation]) -> Iterator[Finding]:
    check = f"install {name}"
    seen = installs.get(name)
    if seen is None:
        remedy = "Check the name, and that the API user may see the install."
        yield bad(check, "The API login does not see it.", remedy)
        return
    install = to_install(client.install(seen.id))
    if install.status != "active":
        yield bad(check, f"Its status is {install.status}; expected active.", "Look at it in the host's portal.")
    backups = client.backups(seen.id)  # whoever may not read these cannot be given a backup to restore
    content = public_content(prober, install)
    if content.reachable:
        yield good(check, f"{install.environment.value}, its website answers, {len(backups)} backups are listed.")
    else:
        remedy = f"Start `understudy diagnose {name}`. A site behind a login needs UNDERSTUDY_SITE_LOGINS."
        yield unknown(check, f"Its website cannot be read: {content.detail}.", remedy)


def _pair(source: str, one: Installation | None, destination: str, other: Installation | None) -> Iterator[Finding]:
    """Yield whether a nightly refresh of this pair would go down from production, if the host knows both sides."""
    if one is None or other is None:
        return
    check, above, below = f"pair {source} → {destination}", to_install(one), to_install(other)
    if below.environment.may_be_production:
        remedy = "Remove the pair from the standing approvals and the schedules: it would be refused."
        yield bad(check, f"{destination} may be production ({below.environment.value}).", remedy)
    elif above.account_id != below.account_id:
        yield bad(check, "They belong to different accounts.", "Choose two installs of one account.")
    else:
        yield good(check, f"{above.environment.value} → {below.environment.value}, in one account.")
