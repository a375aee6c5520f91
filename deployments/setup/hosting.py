"""The hosting account: its login, tried at once, and the sites that it lists, with their installs by environment."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from tasks.capi.client import Client
from tasks.capi.models import Installation
from tasks.capi.models import Site as HostSite
from tasks.estate.errors import HostRefused, Misconfigured
from tasks.estate.estate import Estate, HostingAccount, Site
from tasks.estate.sites import Environment

LOGIN_REMEDY = "User and password of the API are on the page *API Access* of the host's User Portal; they are not those of a person."
OWN = HostingAccount.model_validate(
    {"name": "the hosting account", "user": "UNDERSTUDY_API_USER", "password": "UNDERSTUDY_API_PASSWORD"}
)
ROLES = (Environment.PRODUCTION, Environment.STAGING, Environment.DEVELOPMENT)
UNAUTHORIZED = 401  # HTTP: wrong user or password


@dataclass(frozen=True)
class Listed:
    """What a login sees: sites that can be described, and why others cannot."""

    sites: tuple[Site, ...]
    left_out: tuple[str, ...]


def list_sites(api_url: str, user: str, password: str) -> Listed:
    """Log in, and return what the account lists.

    Raise `Misconfigured` if the login is refused or sees nothing, and `Transient` if the host does not answer.
    """
    try:
        with Client(api_url, SecretStr(user), SecretStr(password)) as client:
            installs, sites = client.installs(), client.sites()
    except HostRefused as refused:
        if refused.facts.get("status") != UNAUTHORIZED:
            raise
        raise Misconfigured(f"The host at {api_url} refuses this API login.", next_step=LOGIN_REMEDY) from None
    if not installs:
        raise Misconfigured(
            f"The host at {api_url} accepts the API login, which sees no install; expected at least one.",
            next_step="Grant the API user access to an account with installs in the User Portal, or use another API user.",
        )
    return _grouped(installs, sites)


def _grouped(installs: Sequence[Installation], sites: Sequence[HostSite]) -> Listed:
    """Group installs by their site. A site with one production install can be described; the host decides what is production."""
    names = {site.id: site.name for site in sites}
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    left_out = []
    for install in installs:
        if install.site is None:
            left_out.append(f"{install.name}: the host assigns it to no site.")
            continue
        groups[install.site.id][install.environment or Environment.UNKNOWN].append(install.name)
    described: list[Site] = []
    taken: set[str] = set()
    for site_id, found in groups.items():
        roles = {role: found.get(role, []) for role in ROLES}
        name = " ".join(names.get(site_id, "").split())
        if len(roles[Environment.PRODUCTION]) != 1 or any(len(each) > 1 for each in roles.values()):
            seen = ", ".join(f"{install} ({role})" for role, each in found.items() for install in each)
            left_out.append(
                f"{name or 'a site'}: expected one production install and one of each other kind; found {seen}."
            )
            continue
        production = roles[Environment.PRODUCTION][0]
        title = name or production
        title = f"{title} ({production})" if title.casefold() in taken else title
        taken.add(title.casefold())
        described.append(_site(title, {role: each[0] for role, each in roles.items() if each}))
    return Listed(tuple(sorted(described, key=lambda site: site.name.casefold())), tuple(left_out))


def _site(title: str, installs: dict[Environment, str]) -> Site:
    return Site.model_validate({"name": title[:60]} | {role.value: name for role, name in installs.items()})


def new_sites(listed: Sequence[Site], estate: Estate) -> list[Site]:
    """Return the sites of which the estate names no install, with names that it does not use."""
    names = {site.name.casefold() for site in estate.sites}
    return [
        site.model_copy(update={"name": f"{site.name[:40]} ({site.production})"})
        if site.name.casefold() in names
        else site
        for site in listed
        if not any(estate.site_of(name) for name, _ in site.installs)
    ]


def differences(listed: Sequence[Site], estate: Estate) -> list[str]:
    """Return a sentence for each site of the estate that the account lists in another way. Nothing is changed for it."""
    found = []
    for site in listed:
        described = next((known for name, _ in site.installs if (known := estate.site_of(name))), None)
        if described is not None and dict(described.installs) != dict(site.installs):
            found.append(
                f"The estate describes {described.name} as {in_words(described)}; the account lists {in_words(site)}. "
                "The entry stays as it is."
            )
    return found


def in_words(site: Site) -> str:
    """Return the installs of a site with their environments."""
    return ", ".join(f"{name} ({role.value})" for name, role in site.installs)
