"""Pools of fakes: taken from Faker once for each locale and process, then only indexed. Faker is never called for a row.

Pools are sorted, so that the same Faker produces the same pool on every machine. Another version of Faker may produce
another pool; a stable key then no longer produces the same names.
"""

from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Network
from typing import Any, Literal

from faker import Faker
from faker.config import AVAILABLE_LOCALES

from tasks.estate.errors import Misconfigured

Kind = Literal[
    "first_names", "last_names", "streets", "cities", "companies", "phones", "national_phones", "ipv4_addresses"
]
LONGEST = 63  # bytes of PostgreSQL's type `name`, whose fixed width makes a pool cheap to index
DRAWS = 4000  # if Faker builds an entry from parts: about 30 ms, and some 1,600 to 4,000 different ones
FEWEST = 20  # a shorter list of a provider is a stub (or one of several lists), so entries are drawn instead
LISTS: dict[str, tuple[str, str]] = {  # kind → the provider's own list, and the method that draws one
    "first_names": ("first_names", "first_name"),
    "last_names": ("last_names", "last_name"),
    "streets": ("", "street_address"),  # with the house number: one draw has both
    "cities": ("cities", "city"),
    "companies": ("", "company"),
}
# Never assigned to anyone: "Drama Numbers", Bundesnetzagentur, Mitteilung 148/2021, a thousand in each of five cities.
UNASSIGNED = ("3023125", "6990009", "4066969", "2214710", "8999998")
# Never routed: networks for documentation, RFC 5737.
DOCUMENTATION = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")


@cache
def pool(kind: Kind, locale: str) -> tuple[str, ...]:
    """Return the fakes of a kind, sorted and distinct, at most 63 bytes each. Raise `Misconfigured` for an unknown locale."""
    if locale not in AVAILABLE_LOCALES:
        raise Misconfigured(
            f"Locale {locale!r} is not a locale of Faker; expected e.g. de_DE, de_AT or en_GB.",
            next_step="Nothing was read. Correct `locale` in the policy.",
        )
    entries = _faked(kind, locale) if kind in LISTS else _reserved(kind)
    return tuple(sorted(entry for entry in entries if _fits(entry)))


@cache
def longest(kind: Kind, locale: str) -> int:
    """Return the number of characters of the longest fake of a kind."""
    return max(map(len, pool(kind, locale)))


def _faked(kind: str, locale: str) -> set[str]:
    faker = Faker(locale)
    faker.seed_instance(0)  # the same draws on every worker; the keyed index hides a person, not the pool
    attribute, method = LISTS[kind]
    lists: Iterable[Any] = (getattr(provider, attribute, ()) for provider in faker.get_providers() if attribute)
    entries = {entry for entries in lists for entry in entries if isinstance(entry, str)}
    return entries if len(entries) >= FEWEST else {str(getattr(faker, method)()) for _ in range(DRAWS)}


def _reserved(kind: str) -> set[str]:
    if kind == "ipv4_addresses":
        return {str(host) for network in DOCUMENTATION for host in IPv4Network(network).hosts()}
    prefix = "+49" if kind == "phones" else "0"
    return {f"{prefix}{exchange}{number:03}" for exchange in UNASSIGNED for number in range(1000)}


def _fits(entry: str) -> bool:
    return 0 < len(entry.encode()) <= LONGEST and entry.isprintable() and entry == entry.strip()
