"""What every step is given: the recipe, both sides of the copy, and the facts of the WordPress that it changes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tasks.estate.errors import CommandRefused, Unreachable
from tasks.estate.recipes import Recipe
from tasks.wpcli.commands import Command
from tasks.wpcli.wordpress import QUIET

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

KEY_BYTES = 32  # of the masking key
LOCALE = "de_DE"  # of the pools of names, as in a masking policy without a locale
SiteOptions = Mapping[str, str | bool]  # of WP-CLI: which site of a network is meant
PREFIX = re.compile(r"[A-Za-z0-9_$]{1,64}")


@dataclass(frozen=True)
class Context:
    """The facts that a step needs. Domains are lower case, the primary one first.

    `install` is the install that the steps change, `source` the other side, in the words that the banner shows. `key` masks
    people: the same key masks the same address to the same replacement. `password_hash` is a bcrypt hash
    (`mask_people.hashed_password`). `visit` returns the headers of the site's front page as a visitor sees them, or None if it
    does not answer; without it, nothing is read from the outside.
    """

    recipe: Recipe
    install: str
    source: str
    own_domains: tuple[str, ...]
    other_domains: tuple[str, ...]
    moment: datetime
    run: str
    key: bytes = field(repr=False)
    password_hash: str = field(repr=False)
    prefix: str = "wp_"
    is_network: bool = False
    locale: str = LOCALE
    visit: Callable[[], Mapping[str, str] | None] | None = field(default=None, repr=False)


def table_prefix(connection: "Connection") -> str:
    """Return the prefix of the site's tables. Raise as `Connection.run`, and `CommandRefused` for one that SQL cannot quote."""
    prefix = connection.run(Command(("config", "get"), ("table_prefix",), QUIET)).last_line
    if not PREFIX.fullmatch(prefix):
        raise CommandRefused(
            "wp config get: the table prefix contains characters that are not letters, digits, _ or $."
        )
    return prefix


def is_network(connection: "Connection") -> bool:
    """Return whether the WordPress is a network of sites. Raise as `Connection.run`."""
    command = Command(("core", "is-installed"), options={**QUIET, "network": True})
    return connection.run(command, accepted=(0, 1)).status == 0


def sites(connection: "Connection", context: Context) -> tuple[SiteOptions, ...]:
    """Return the options that address each site: one set for a plain WordPress, and one for each site of a network.

    Raise as `Connection.run`, and `Unreachable` if the list of sites cannot be read.
    """
    if not context.is_network:
        return (QUIET,)
    urls = connection.run(Command(("site", "list"), options={**QUIET, "field": "url"})).output.split()
    if not urls or not all(url.startswith(("http://", "https://")) for url in urls):
        raise Unreachable("wp site list: the answer is not a list of URLs.")
    return tuple({**QUIET, "url": url} for url in urls)
