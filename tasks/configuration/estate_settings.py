"""What the estate names, with the values of its settings: the login of an account, a database, the logins of sites.

Values of the estate come first. What the estate does not describe has the worker's own settings, which name one account and
one database.
"""

from dataclasses import dataclass

from pydantic import SecretStr

from tasks.configuration.estate_file import load_estate
from tasks.configuration.secret_settings import secret_setting
from tasks.configuration.setting_addresses import database_address
from tasks.configuration.settings import Settings, load_settings
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Database, Estate, HostingAccount

SET = "Set these environment variables on the worker, or name their files with …_FILE. docs/estate.md describes them."


@dataclass(frozen=True)
class AccountLogin:
    """The login of a hosting account, and the address that the host notifies. `name` "": that of the worker's own settings."""

    name: str
    user: SecretStr
    password: SecretStr
    notify: str


def read_estate() -> Estate:
    """Return the estate of the reviewed file as it is now. Raise `Misconfigured`."""
    return load_estate(load_settings().estate_file)


def account_of(*installs: str) -> AccountLogin | None:
    """Return the account of these installs; None if the estate names none of them and there are several accounts.

    An install that the estate does not name, such as a new one, belongs to the account of the others. Raise `Misconfigured` if
    they belong to different accounts, which no copy can join, or if a setting is missing.
    """
    estate = read_estate()
    sites = {name: site for name in installs if (site := estate.site_of(name))}
    named = {account.name if account else "": account for account in map(estate.account_of, sites.values())}
    if len(named) > 1:
        raise Misconfigured(
            f"{' and '.join(sites)} belong to different accounts in the estate ({', '.join(sorted(named))}); expected one account.",
            next_step="Nothing was sent. Choose installs of one account, or correct the estate file.",
        )
    for account in named.values():
        return _login(account)
    accounts = hosting_accounts()
    return accounts[0] if len(accounts) == 1 else None


def hosting_accounts() -> list[AccountLogin]:
    """Return every account that this worker has: those of the estate, then that of its own settings, if it has one."""
    found = [_login(account) for account in read_estate().accounts]
    settings = load_settings()
    users = {account.user.get_secret_value() for account in found}
    if not found or settings.api_user.get_secret_value() not in ("", *users):
        found.append(_login(None))
    return found


def _login(account: HostingAccount | None) -> AccountLogin:
    settings = load_settings()
    if account is None:
        settings.require("api_user", "api_password", "notify")
        return AccountLogin("", settings.api_user, settings.api_password, settings.notify)
    values = {name: secret_setting(name) for name in (account.user, account.password)}
    notify = account.notify or settings.require("notify").notify
    _require_values(values, f"the account {account.name!r}")
    return AccountLogin(account.name, SecretStr(values[account.user]), SecretStr(values[account.password]), notify)


def has_account() -> bool:
    """Return whether this worker may ask a host at all: a worker for databases only has no login."""
    settings = load_settings()
    own = settings.api_user.get_secret_value() and settings.api_password.get_secret_value()
    return bool(own or read_estate().accounts)


def site_logins() -> dict[str, tuple[str, str]]:
    """Return user and password of each install behind Basic authentication. Raise `Misconfigured`."""
    found = load_settings().logins()
    for site in read_estate().sites:
        if site.login is None or all(name in found for name in site.lower):
            continue
        values = {name: secret_setting(name) for name in (site.login.user, site.login.password)}
        _require_values(values, f"the login of {site.name!r}")
        login = (values[site.login.user], values[site.login.password])
        found = {name: login for name in site.lower} | found
    return found


def source_settings(policy: str) -> Settings:
    """Return the settings for reading production's database that has this policy. Raise `Misconfigured`."""
    database = _database(policy)
    if database is None:
        return load_settings().require("source_database")
    return _with(database, "source", database.source, database.source_hostname)


def target_settings(policy: str) -> Settings:
    """Return the settings for loading into the staging database that has this policy. Raise `Misconfigured`."""
    database = _database(policy)
    if database is None:
        return load_settings().require("target_database")
    if database.target is None or database.hostname is None:
        raise Misconfigured(
            f"The estate names no target for the database {database.name!r}; expected target and hostname.",
            next_step="Nothing was loaded. Add both to its entry in the estate file, and have it reviewed.",
        )
    return _with(database, "target", database.target, database.hostname)


def _database(policy: str) -> Database | None:
    """Return the database of this policy, or None if the estate lists no databases. Raise `Misconfigured` if it lists others."""
    databases = read_estate().databases
    if not databases:
        return None
    found = next((each for each in databases if each.policy == policy), None)
    if found is None:
        raise Misconfigured(
            f"The estate lists no database with the policy {policy!r}; expected one of "
            f"{', '.join(each.policy for each in databases)}.",
            next_step="Nothing was read. Choose one of them, or add the database to the estate file.",
        )
    return found


def _with(database: Database, side: str, setting: str, hostname: str) -> Settings:
    value = secret_setting(setting)
    _require_values({setting: value}, f"the database {database.name!r}")
    address = SecretStr(database_address(setting, value))
    return load_settings().model_copy(update={f"{side}_database": address, f"{side}_hostname": hostname})


def _require_values(values: dict[str, str], what: str) -> None:
    if missing := [name for name, value in values.items() if not value]:
        raise Misconfigured(f"Settings of {what} are missing: {', '.join(missing)}.", next_step=SET)
