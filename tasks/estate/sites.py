"""Installs, surveys of them, and the direction of a copy.

An *install* is one running copy of a *site*; its *environment* is its role. Whatever is not proven to be staging or
development counts as production.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Environment(StrEnum):
    """The role of an install. `UNKNOWN`: null, absent, or a value that is not listed here."""

    PRODUCTION = "production"
    STAGING = "staging"
    DEVELOPMENT = "development"
    UNKNOWN = "unknown"

    @property
    def may_be_production(self) -> bool:
        """Whether the role is neither staging nor development: unknown counts as production."""
        return self not in (Environment.STAGING, Environment.DEVELOPMENT)


class Direction(StrEnum):
    """Which way a copy goes."""

    DOWN = "down"  # refresh, provision: production → staging
    UP = "up"  # promote: staging → production
    BACK = "back"  # restore: a backup → the install it was made of


class Immutable(BaseModel):
    """Base of plain-data types: immutable, no unknown fields, safe to persist."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Storage(Immutable):
    """Measured size of an install, in bytes and counts. None: not reported. `measured_at` is UTC."""

    file_bytes: int | None = None
    database_bytes: int | None = None
    tables: int | None = None
    measured_at: datetime | None = None


FEED = "feed items"


class Content(Immutable):
    """Public content of a site. `reachable=False`: nothing else is known.

    `totals` maps a collection (posts, pages, media, comments; if the REST API is closed: feed items, sitemap entries) to its
    public count, `newest` to its newest change (UTC). `feed_items` and `feed_newest` describe the feed. `live_data`: plugins
    that collect data of visitors (shops, members, forms), sorted; None: not known. A plugin without a public REST namespace is
    not seen, so an empty tuple does not prove that there is no such plugin.
    """

    reachable: bool
    home: str | None = None
    site_url: str | None = None  # of WordPress itself; another host than `home` if the front end is separate
    title: str | None = None
    totals: dict[str, int] = {}
    newest: dict[str, datetime] = {}
    files_marker: str | None = None  # versions in the public asset URLs
    assets: dict[str, str] = {}  # digests of some public files, by path below wp-content
    live_data: tuple[str, ...] | None = None
    feed_items: int | None = None
    feed_newest: datetime | None = None
    detail: str = ""

    def comparable_with(self, other: "Content") -> "Content":
        """Return this content if both have a common collection, otherwise only its feed.

        If one of two sites has closed its REST API, only their feeds can be compared.
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
    """One domain of an install. `tls`: state of its certificate on the network, None: not reported."""

    name: str
    primary: bool = False
    verified: bool | None = None
    redirects_to: str | None = None
    tls: str | None = None
    points_to: tuple[str, ...] = ()  # the CNAME and addresses that DNS must contain; empty: not reported


class CertificateFact(Immutable):
    """One certificate of an install at the host. `domains`: all names that it covers. `expires_at` is UTC."""

    common_name: str
    status: str
    expires_at: datetime | None = None
    domains: tuple[str, ...] = ()


class Install(Immutable):
    """One install, from the hosting API. `status` is "active", "pending" or "unknown"."""

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


class Appearance(Immutable):
    """How the front page of an install's primary domain appears to visitors and search engines. None: not known.

    `host`: where a visitor arrives after redirects. `hidden`: whether search engines are asked not to index the site.
    """

    status: int | None = None
    host: str | None = None
    hidden: bool | None = None


class Survey(Immutable):
    """The state of one install at one time. None: could not be read, see `gaps`; `appearance`: or not looked at."""

    install: Install
    domains: tuple[DomainName, ...] | None = None
    certificates: tuple[CertificateFact, ...] | None = None
    storage: Storage | None = None
    content: Content
    appearance: Appearance | None = None
    taken_at: datetime
    gaps: tuple[str, ...] = ()


class Pair(Immutable):
    """A source and a destination that the rules of one direction allow."""

    source: Install
    destination: Install
    direction: Direction
