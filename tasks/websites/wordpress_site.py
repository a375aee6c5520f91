"""Reads a public WordPress site: REST API, feed, sitemap, pages, asset versions and files."""

import hashlib
import re
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

from tasks.estate.sites import FEED, Content
from tasks.websites import markup
from tasks.websites.fetcher import Fetcher, Page
from tasks.websites.hosts_and_urls import joined, to_host

__all__ = ["Page", "Prober"]

ROOTS = ("/wp-json", "/?rest_route=")  # of the REST API: with pretty permalinks, and always
FEEDS = ("/feed/", "/?feed=rss2")
SITEMAPS = ("/wp-sitemap.xml", "/?sitemap=index", "/sitemap_index.xml", "/sitemap.xml")
TEXTS = 30  # posts, and pages, whose text is searched for URLs
COUNT = re.compile(r"\d{1,12}", re.ASCII)
COLLECTIONS = ("posts", "pages", "media", "comments")
MOST_ASSETS = 6  # files whose bytes are compared

# Plugins that collect data of visitors, by the namespace of their routes, without the version.
# Gravity Forms and MemberPress list theirs only if their REST API is switched on.
LIVE_DATA = {
    "wc": "WooCommerce",
    "mp": "MemberPress",
    "pmpro": "Paid Memberships Pro",
    "rcp": "Restrict Content Pro",
    "ldlms": "LearnDash",
    "llms": "LifterLMS",
    "tribe/tickets": "Event Tickets",
    "gf": "Gravity Forms",
    "contact-form-7": "Contact Form 7",
    "wpforms": "WPForms",
    "frm": "Formidable Forms",
    "ninja-forms-submissions": "Ninja Forms",
    "mailpoet": "MailPoet",
}


class Prober(Fetcher):
    """Reads public WordPress sites as any visitor sees them."""

    def content(self, domain: str) -> Content:
        """Return the public content from the REST API, or else from feed, sitemap or front page.

        Never raises: a site that cannot be read is `reachable=False` with the reason.
        """
        for root in ROOTS:
            index = self.page(domain, f"{root}/", fresh=True)
            listed = _json(index)
            if isinstance(listed, dict) and "name" in listed:
                seen = self._collections(domain, root, listed)
                return self._with_feed(domain, seen) if seen.totals else self._from_pages(domain, seen)
        front = self.page(domain, fresh=True)
        if front.status != 200 or front.protected:
            why = "the site requires a login" if front.protected else front.detail or f"HTTP {front.status}"
            return Content(reachable=False, detail=why)
        home = markup.api_root(front.body, front.headers.get("link", "")) or markup.canonical(front.body)
        home = _address(joined(front.url, home)) if home else None
        return self._from_pages(domain, Content(reachable=True, home=home, detail=_why(index)))

    def _from_pages(self, domain: str, seen: Content) -> Content:
        """Add the counts of feed and sitemap, if the REST API has no collections."""
        seen = self._with_feed(domain, seen)
        totals, newest = dict[str, int](), dict[str, datetime]()
        if seen.feed_items is not None:
            totals[FEED] = seen.feed_items
            if seen.feed_newest:
                newest[FEED] = seen.feed_newest
        entries = self._sitemap(domain)
        if entries is not None:
            totals["sitemap entries"] = entries[0]
            if entries[1]:
                newest["sitemap entries"] = entries[1]
        return seen.model_copy(update={"totals": totals, "newest": newest})

    def _with_feed(self, domain: str, seen: Content) -> Content:
        """Add the feed, which may be all that the other site of a pair offers."""
        feed = self._feed(domain)
        items = markup.feed_items(feed.body) if feed is not None else None
        if feed is None or items is None:
            return seen
        home = seen.home or _address(markup.feed_home(feed.body))
        return seen.model_copy(update={"feed_items": items[0], "feed_newest": items[1], "home": home})

    def _feed(self, domain: str) -> Page | None:
        read = (self.page(domain, path, fresh=True) for path in FEEDS)
        return next((p for p in read if p.status == 200 and markup.feed_items(p.body) is not None), None)

    def _sitemap(self, domain: str) -> tuple[int, datetime | None] | None:
        """Return how many pages the sitemap lists (of an index: all its parts on own domains), and its newest change."""
        for path in SITEMAPS:
            page = self.page(domain, path, fresh=True)
            listed = markup.sitemap(page.body) if page.status == 200 else None
            if listed is None:
                continue
            addresses, newest, is_index = listed
            if not addresses:
                continue  # an empty sitemap proves nothing
            if not is_index:
                return len(addresses), newest
            paths = {each: _path(joined(page.url, each)) for each in addresses[:20]}
            parts = self.in_parallel({url: partial(self.page, domain, path, fresh=True) for url, path in paths.items()})
            read = [part for part in (markup.sitemap(p.body) for p in parts.values() if p.status == 200) if part]
            if len(read) == len(addresses):
                stamps = [part[1] for part in read if part[1]] + ([newest] if newest else [])
                return sum(len(part[0]) for part in read), max(stamps, default=None)
        return None

    def _collections(self, domain: str, root: str, index: dict[str, Any]) -> Content:
        totals: dict[str, int] = {}
        newest: dict[str, datetime] = {}
        for kind in COLLECTIONS:
            order = "orderby=date_gmt" if kind == "comments" else "orderby=modified"
            query = f"per_page=1&{order}&order=desc"
            separator = "&" if "?" in root else "?"
            page = self.page(domain, f"{root}/wp/v2/{kind}{separator}{query}", fresh=True)
            listed = _json(page)
            if not isinstance(listed, list):
                continue
            if COUNT.fullmatch(page.headers.get("x-wp-total", "")):
                totals[kind] = int(page.headers["x-wp-total"])
            moment = _moment(listed)
            if moment is not None:
                newest[kind] = moment
        return Content(
            reachable=True,
            home=_address(index.get("home")),
            site_url=_address(index.get("url")),
            title=_text(index.get("name")),
            totals=totals,
            newest=newest,
            live_data=_live_data(index.get("namespaces")),
        )

    def files_marker(self, domain: str) -> str | None:
        """Return the versions in the front page's asset URLs, sorted and joined, without those that differ in two requests."""
        first, second = (markup.asset_versions(self.page(domain, fresh=True).body) for _ in range(2))
        versions = sorted({version for path, version in first.items() if version and second.get(path) == version})
        return ",".join(versions)[:200] or None

    def assets(self, domain: str) -> dict[str, str]:
        """Return digests of some stylesheets and scripts of the front page, by path below wp-content.

        Web servers deliver these files from disk, whatever the database contains.
        """
        named = sorted(markup.asset_versions(self.page(domain, fresh=True).body))[:MOST_ASSETS]
        read = self.in_parallel({path: partial(self.asset, domain, path) for path in named})
        return {path: digest for path, digest in sorted(read.items()) if digest}

    def asset(self, domain: str, path: str) -> str | None:
        """Return the digest of one file below wp-content; empty if it does not exist, None if that is not known."""
        page = self.page(domain, f"/wp-content/{path}", fresh=True)
        if page.status in (404, 410):
            return ""
        if page.status != 200 or "html" in page.headers.get("content-type", "") or page.cut:
            return None
        return hashlib.sha256(b"".join(page.body.split())).hexdigest()[:16]

    def pages(self, domain: str, *, limit: int = 8) -> list[Page]:
        """Return the front page and own pages that it links to, at most `limit`, without caches; then the feed.

        Each is requested on the domain of its link: the sites of a multisite install have domains of their own.
        """
        front = self.page(domain, fresh=True)
        own, first = self.own_names(domain), to_host(domain)
        chosen: dict[tuple[str, str], None] = {}
        for url in markup.page_links(front.body, front.url):
            host, path = to_host(url), _path(url)
            if host is not None and own.is_own(host) and (path != "/" or host != first):
                chosen.setdefault((host, path))
        asked = {f"{host}{path}": (host, path) for host, path in list(chosen)[: limit - 1]}
        read = self.in_parallel({name: partial(self.page, *one, fresh=True) for name, one in asked.items()})
        feed = self._feed(domain)
        return [front, *(read[name] for name in asked if name in read), *([feed] if feed else [])]

    def texts(self, domain: str) -> list[Page]:
        """Return the newest posts and pages from the REST API, without their guid: any of them may contain a link."""
        asked = f"per_page={TEXTS}&_fields=link,title,excerpt,content"
        for root in ROOTS:
            paths = [f"{root}/wp/v2/{kind}{'&' if '?' in root else '?'}{asked}" for kind in ("posts", "pages")]
            read = self.in_parallel({path: partial(self.page, domain, path, fresh=True) for path in paths})
            listed = [page for page in read.values() if isinstance(_json(page), list)]
            if listed:
                return listed
        return []


def _json(page: Page) -> Any:
    if page.status != 200:
        return None
    try:
        return httpx.Response(200, content=page.body).json()
    except (ValueError, RecursionError):
        return None


def _why(page: Page) -> str:
    return page.detail or f"the REST API answers {page.status}"


def _path(url: str | None) -> str:
    """Return path and query of a URL."""
    parts = urlsplit(url or "")
    return f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"


def _address(value: object) -> str | None:
    """Return a URL without login, query and fragment, because it is stored and shown."""
    text = _text(value)
    if text is None:
        return None
    return re.sub(r"//[^/?#]*@", "//", re.split(r"[?#]", text, maxsplit=1)[0], count=1)


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) else None


def _live_data(namespaces: object) -> tuple[str, ...] | None:
    """Return the plugins of `LIVE_DATA` with these namespaces, sorted; None if this is not the list of WordPress."""
    if not isinstance(namespaces, list) or "wp/v2" not in namespaces:
        return None
    listed = [f"{name}/".casefold() for name in namespaces if isinstance(name, str)]
    return tuple(sorted(plugin for root, plugin in LIVE_DATA.items() if any(n.startswith(f"{root}/") for n in listed)))


def _moment(listed: list[Any]) -> datetime | None:
    """Return the `modified_gmt` or `date_gmt` of the first item, which is UTC without a zone."""
    item = listed[0] if listed and isinstance(listed[0], dict) else {}
    try:
        return datetime.fromisoformat(str(item.get("modified_gmt") or item.get("date_gmt"))).replace(tzinfo=UTC)
    except ValueError:
        return None
