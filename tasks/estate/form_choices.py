"""Choices of start forms: texts that people pick from a list, and the names that each of them contains.

Prefect's forms show a value as it is, so a choice is a sentence. It is read from its own text and not looked up: what a person
picked is what happens, also if the estate was changed in the meantime.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Estate
from tasks.estate.sites import Environment

DURATIONS = ("1 hour", "2 hours", "4 hours", "8 hours", "1 day", "2 days", "7 days")
UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
DURATION = re.compile(r"([0-9]{1,4}) (minute|hour|day)s?")
PAIR = re.compile(r".+: (?P<source>\S+) to (?P<destination>\S+)")
CODE = re.compile(r".+, (?:plan )?([0-9A-Z]{4}-[0-9A-Z]{4})")  # older forms have `plan` before the code
PICK = "Nothing was started. Pick an entry of the list, or start the run with the names of both sides."


def promotions(estate: Estate) -> list[str]:
    """Return a choice for each way up: `Schulfest: schulstage to schulprod`."""
    return [f"{site.name}: {lower} to {site.production}" for site, lower in estate.pairs()]


def refreshes(estate: Estate) -> list[str]:
    """Return a choice for each way down: `Schulfest: schulprod to schulstage`."""
    return [f"{site.name}: {site.production} to {lower}" for site, lower in estate.pairs()]


def loads(estate: Estate) -> list[str]:
    """Return a choice for each database with a target: `schulportal: schule.example to staging.schule.example`."""
    return [f"{each.policy}: {each.source_hostname} to {each.hostname}" for each in estate.databases if each.hostname]


def productions(estate: Estate) -> list[str]:
    """Return a choice for each production install: `schulprod (production of Schulfest)`."""
    return [f"{site.production} ({Environment.PRODUCTION.value} of {site.name})" for site in estate.sites]


def installs(estate: Estate) -> list[str]:
    """Return a choice for each install: `schulstage (staging of Schulfest)`."""
    return [f"{name} ({role.value} of {site.name})" for site in estate.sites for name, role in site.installs]


def destinations(estate: Estate) -> list[str]:
    """Return a choice for each place that a run may overwrite: installs and staging databases."""
    return [
        *installs(estate),
        *(f"{each.hostname} (database of {each.name})" for each in estate.databases if each.hostname),
    ]


def policies(estate: Estate) -> list[str]:
    """Return the policy of each database."""
    return [each.policy for each in estate.databases]


def undo_choice(verb: str, destination: str, sent_at: datetime, code: str) -> str:
    """Return a choice for a run that can be undone: `schulprod: promote 25 Nov 22:31, 7K3F-92QD`.

    It fits on a phone: the form states that times are UTC, and only runs of the last month are offered.
    """
    return f"{destination}: {verb} {sent_at.astimezone(UTC):%-d %b %H:%M}, {code}"


def chosen_pair(choice: str, source: str, destination: str) -> tuple[str, str]:
    """Return source and destination of a choice, or those that were named without one. Raise `Misconfigured`."""
    if not choice and source and destination:
        return source, destination
    found = PAIR.fullmatch(choice)
    if found is None:
        raise Misconfigured(
            f"Neither a pair of installs nor a site was chosen: found {choice or 'nothing'!r}; expected a choice like "
            "'Schulfest: schulstage to schulprod'.",
            next_step=PICK,
        )
    names = (found["source"], found["destination"])
    if (source, destination) not in (("", ""), names):
        raise Misconfigured(
            f"The site is {choice!r}, and the installs are {source!r} and {destination!r}; expected one or the other.",
            next_step=PICK,
        )
    return names


def chosen_database(choice: str, policy: str, hostname: str) -> tuple[str, str]:
    """Return policy and hostname of a choice, or those that were named without one. Raise `Misconfigured`."""
    if not choice and hostname:
        return policy, hostname
    found = PAIR.fullmatch(choice)
    if found is None or hostname not in ("", found["destination"]):
        raise Misconfigured(
            f"No staging database was chosen: found {choice or 'nothing'!r} and the hostname {hostname!r}; expected a choice like "
            "'schulportal: schule.example to staging.schule.example'.",
            next_step=PICK,
        )
    return choice.rpartition(": ")[0], found["destination"]


def chosen_name(choice: str) -> str:
    """Return the name that a choice like `schulstage (staging of Schulfest)` begins with; any other text unchanged."""
    return choice.partition(" (")[0].strip()


def chosen_code(choice: str) -> str:
    """Return the plan code of a choice of a run, or "" for any other text, such as a run's id."""
    found = CODE.fullmatch(choice)
    return found[1] if found else ""


def duration(value: object) -> object:
    """Return `8 hours` as a duration; anything else unchanged, for pydantic, which reads ISO 8601 (PT8H)."""
    found = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(found[1]) * UNITS[found[2]] if found else value


def matching(choices: Iterator[str] | list[str], *names: str) -> str:
    """Return the choice that contains exactly these names: a pair, or the one name at its beginning. "" if no choice does."""
    for choice in choices:
        pair = PAIR.fullmatch(choice)
        if names == (pair.groups() if pair else (chosen_name(choice),)):
            return choice
    return ""
