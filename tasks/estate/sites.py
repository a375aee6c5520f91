"""Installs, what we know of them, and the direction of a copy.

An *install* is one running copy of a *site*; its *environment* is its role. Whatever is not proven to be staging or
development counts as production.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Environment(StrEnum):
    """The role of an install. `UNKNOWN` covers null, absent and any word we do not know."""

    PRODUCTION = "production"
    STAGING = "staging"
    DEVELOPMENT = "development"
    UNKNOWN = "unknown"

    @property
    def may_be_production(self) -> bool:
        """True unless the host says staging or development: unknown counts as production."""
        return self not in (Environment.STAGING, Environment.DEVELOPMENT)


class Direction(StrEnum):
    """Which way a copy goes."""

    DOWN = "down"  # refresh, provision: production → staging
    UP = "up"  # promote: staging → production
    BACK = "back"  # restore: a backup → the install it was made of


class Immutable(BaseModel):
    """Base of our plain-data types: immutable, no unknown fields, safe to persist."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Storage(Immutable):
    """Measured size of an install. Bytes and counts; None = the host did not say. `measured_at` is UTC."""

    file_bytes: int | None = None
    database_bytes: int | None = None
    tables: int | None = None
    measured_at: datetime | None = None


FEED = "feed items"


class Content(Immutable):
    """Public content of a site, as its REST surface tells. `reachable=False`: nothing else is known.

    `totals` maps a collection (posts, pages, media, comments; of a site whose REST surface is closed: feed items, sitemap
    entries) to its public count; `newest` to the newest change (UTC). `feed_items` and `feed_newest` tell the feed of any site.
    `live_data` names the plugins seen that collect data of visitors (shops, members, forms), sorted. None = not told. A
    plugin without a public REST namespace is not seen, so an empty tuple means "none seen", not "none there".
    """

    reachable: bool
    home: str | None = None
    # Where WordPress itself lies; another host than `home` on a site with a separate front end.
    site_url: str | None = None
    title: str | None = None
    totals: dict[str, int] = {}
    newest: dict[str, datetime] = {}
    files_marker: str | None = None  # versions in the public asset URLs: the one trace of the files that HTTP shows
    assets: dict[str, str] = {}  # digests of some public files, by path below wp-content
    live_data: tuple[str, ...] | None = None
    feed_items: int | None = None
    feed_newest: datetime | None = None
    detail: str = ""

    def comparable_with(self, other: "Content") -> "Content":
        """Return this content as it is if both tell a collection, else what its feed tells.

        One of two sites may have closed its REST surface: then their feeds are what they have in common.
        """
        if self.totals.keys() & other.totals.keys():
            return self
        items, newest_item = self.feed_items, self.feed_newest
        if items is None:
            items, newest_item = self.totals.get(FEED), self.newest.get(FEED)
        totals = {} if items is None else {FEED: items}
        newest = {} if newest_item is None else {FEED: newest_item}
        return self.model_copy(update={"totals": totals, "newest": newest})

    @property
    def newest_change(self) -> datetime | None:
        """The newest public change of any kind, or None if nothing is known."""
        return max(self.newest.values(), default=None)


class DomainName(Immutable):
    """One domain of an install. `tls` is the host's word for its certificate on the network, None = not said."""

    name: str
    primary: bool = False
    verified: bool | None = None
    redirects_to: str | None = None
    tls: str | None = None
    points_to: tuple[str, ...] = ()  # the CNAME and addresses that the host wants in DNS; empty = not said


class CertificateFact(Immutable):
    """One certificate the host holds for an install. `domains`: every name that it covers. `expires_at` is UTC."""

    common_name: str
    status: str
    expires_at: datetime | None = None
    domains: tuple[str, ...] = ()


class Install(Immutable):
    """One install, as far as the hosting API identifies it. `status` is "active", "pending" or "unknown"."""

    id: str
    name: str
    account_id: str
    site_id: str | None
    site_name: str | None = None
    environment: Environment
    status: str
    primary_domain: str | None
    php_version: str | None = None
    wp_version: str | None = None
    multisite: bool | None = None


class Survey(Immutable):
    """Everything we could learn about one install at one moment. None = could not be looked up, see `gaps`."""

    install: Install
    domains: tuple[DomainName, ...] | None = None
    certificates: tuple[CertificateFact, ...] | None = None
    storage: Storage | None = None
    content: Content
    taken_at: datetime
    gaps: tuple[str, ...] = ()


class Pair(Immutable):
    """A source and a destination that the rules of one direction allow."""

    source: Install
    destination: Install
    direction: Direction
