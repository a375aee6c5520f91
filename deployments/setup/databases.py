"""A PostgreSQL database and its staging instance: the addresses, tried at once, and their entry in the estate."""

import re
from collections.abc import Callable, Iterator

from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr, ValidationError

from deployments.doctor.databases import examine_source, examine_target
from deployments.doctor.examination import Finding
from tasks.configuration.setting_addresses import database_address
from tasks.configuration.settings import Settings, load_settings
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Database, Estate

SOURCE, TARGET = "UNDERSTUDY_SOURCE_DATABASE", "UNDERSTUDY_TARGET_DATABASE"
HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def try_source(address: str) -> list[Finding]:
    """Connect to production and return what was found. Raise if the address is wrong, or its role cannot read."""
    return _tried(SOURCE, address, "source_database", examine_source)


def try_target(address: str, source: str) -> list[Finding]:
    """Connect to staging and return what was found. Raise if it is production, or its role cannot write."""
    if _place(database_address(TARGET, address)) == _place(database_address(SOURCE, source)):
        raise Misconfigured(
            "This is the address of production's database; expected that of a staging instance.",
            next_step="Nothing was changed. Enter the address of the database that may be overwritten.",
        )
    return _tried(TARGET, address, "target_database", examine_target)


def _tried(variable: str, address: str, field: str, check: Callable[[Settings], Iterator[Finding]]) -> list[Finding]:
    settings = load_settings().model_copy(update={field: SecretStr(database_address(variable, address))})
    found = list(check(settings))
    for finding in found:
        if finding.passed is False:
            raise Misconfigured(finding.detail, next_step=finding.remedy)
    return found


def _place(address: str) -> tuple[str, ...]:
    """Return which database an address names, whoever logs in."""
    parts = conninfo_to_dict(address)
    host = str(parts.get("host") or parts.get("hostaddr") or "localhost")
    return host.casefold(), str(parts.get("port") or "5432"), str(parts.get("dbname") or parts.get("user") or "")


def hostname_of(address: str) -> str:
    """Return the hostname of an address, or "" if it names none, such as a Unix socket."""
    host = str(conninfo_to_dict(database_address(SOURCE, address)).get("host") or "")
    return host if HOSTNAME.fullmatch(host) else ""


def application_of(address: str) -> str:
    """Return a name for the application, derived from that of its database; "" if nothing can be derived."""
    name = str(conninfo_to_dict(database_address(SOURCE, address)).get("dbname") or "")
    return re.sub(r"[^a-z0-9_-]+", "-", name.casefold()).strip("-_")[:40]


def setting_names(estate: Estate, application: str) -> tuple[str, str]:
    """Return the names of the settings for both addresses. The first database of an estate has the worker's own settings."""
    if not {SOURCE, TARGET} & {name for each in estate.databases for name in (each.source, each.target)}:
        return SOURCE, TARGET
    word = re.sub(r"[^A-Z0-9]+", "_", application.upper()).strip("_")
    return f"UNDERSTUDY_{word}_SOURCE", f"UNDERSTUDY_{word}_TARGET"


def describe(estate: Estate, application: str, source: str, *, hostname: str = "") -> Database:
    """Return the entry of a database. Without a hostname of staging it is only exported.

    Raise `Misconfigured` if the estate's rules refuse one of the names.
    """
    names = setting_names(estate, application)
    entry = {
        "name": application, "application": application, "policy": application,
        "source": names[0], "source_hostname": hostname_of(source) or "localhost",
    } | ({"target": names[1], "hostname": hostname} if hostname else {})  # fmt: skip
    try:
        return Database.model_validate(entry)
    except ValidationError as error:
        key = str(error.errors(include_url=False)[-1]["loc"][0])
        expected = Database.model_fields[key].description
        raise Misconfigured(
            f"{entry[key]!r} cannot be used for the database.", next_step=f"Expected {expected}."
        ) from None
