"""Read a public WordPress site: its REST surface, feed and sitemap, its pages, its asset versions and files."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from tasks.estate.sites import Content
from tasks.probes import markup
from tasks.probes.addresses import to_host
from tasks.probes.fetching import Fetcher, Page

__all__ = ["Page", "Prober"]

COLLECTIONS = ("posts", "pages", "media", "comments")
MOST_ASSETS = 6  # files whose bytes are compared

# Plugins that collect data of visitors, by the namespace under which each registers its routes (the version left out).
# Gravity Forms and MemberPress list theirs only where their REST API is switched on.
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
    """Reads public sites as any visitor sees them."""

    def content(self, domain: str) -> Content:
        """Public content by the REST surface, else by feed, sitemap or the front page, whichever the site offers.

        Never raises: what cannot be read is `reachable=False` with the reason.
        """
        for root in ("/wp-json", "/?rest_route="):
            index = self.page(domain, f"{root}/", fresh=True)
            told = _json(index)
            if isinstance(told, dict) and "name" in told:
                seen = self._collections(domain, root, told)
                return seen if seen.totals else self._from_pages(domain, seen)
        front = self.page(domain, fresh=True)
        if front.status != 200:
            why = "the site asks for a login" if front.protected else front.detail or f"HTTP {front.status}"
            return Content(reachable=False, detail=why)
        home = markup.api_root(front.body, front.headers.get("link", "")) or markup.canonical(front.body)
        return self._from_pages(domain, Content(reachable=True, home=_text(home), detail=_why(index)))

    def _from_pages(self, domain: str, seen: Content) -> Content:
        """Add what feed and sitemap tell, where the REST surface tells no collection."""
        feed = self.page(domain, "/feed/", fresh=True)
        totals, newest = dict[str, int](), dict[str, datetime]()
        items = markup.feed_items(feed.body) if feed.status == 200 else None
        if items is not None:
            totals["feed items"] = items[0]
            if items[1]:
                newest["feed items"] = items[1]
        entries = self._sitemap(domain)
        if entries is not None:
            totals["sitemap entries"] = entries[0]
            if entries[1]:
                newest["sitemap entries"] = entries[1]
        home = seen.home or (markup.feed_home(feed.body) if items is not None else None)
        return seen.model_copy(update={"totals": totals, "newest": newest, "home": home})

    def _sitemap(self, domain: str) -> tuple[int, datetime | None] | None:
        """How many pages the sitemap lists (of an index: of all its parts on the site's own domains), and its newest change."""
        for path in ("/wp-sitemap.xml", "/sitemap_index.xml", "/sitemap.xml"):
            page = self.page(domain, path, fresh=True)
            listed = markup.sitemap(page.body) if page.status == 200 else None
            if listed is None:
                continue
            addresses, newest, is_index = listed
            if not is_index:
                return len(addresses), newest
            paths = {each: urlsplit(each).path for each in addresses[:20]}
            parts = self.each({url: lambda path=path: self.page(domain, path) for url, path in paths.items()})  # type: ignore[misc]  # a default binds the loop's value
            read = [part for part in (markup.sitemap(p.body) for p in parts.values() if p.status == 200) if part]
            if len(read) == len(addresses):
                stamps = [part[1] for part in read if part[1]] + ([newest] if newest else [])
                return sum(len(part[0]) for part in read), max(stamps, default=None)
        return None

    def _collections(self, domain: str, root: str, told: dict[str, Any]) -> Content:
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
            if page.headers.get("x-wp-total", "").isdigit():
                totals[kind] = int(page.headers["x-wp-total"])
            moment = _moment(listed)
            if moment is not None:
                newest[kind] = moment
        return Content(
            reachable=True,
            home=_text(told.get("home")),
            site_url=_text(told.get("url")),
            title=_text(told.get("name")),
            totals=totals,
            newest=newest,
            live_data=_live_data(told.get("namespaces")),
        )

    def files_marker(self, domain: str) -> str | None:
        """The versions in the front page's asset URLs, sorted and joined. Two readings tell which of them vary by request."""
        first, second = (markup.asset_versions(self.page(domain, fresh=True).body) for _ in range(2))
        versions = sorted({version for path, version in first.items() if version and second.get(path) == version})
        return ",".join(versions)[:200] or None

    def assets(self, domain: str) -> dict[str, str]:
        """The digest of the bytes of some stylesheets and scripts that the front page uses, by path below wp-content.

        Files are served from the disk, whatever the database says: they show which files are there.
        """
        named = sorted(markup.asset_versions(self.page(domain, fresh=True).body))[:MOST_ASSETS]
        read = self.each({path: lambda path=path: self.asset(domain, path) for path in named})  # type: ignore[misc]  # a default binds the loop's value
        return {path: digest for path, digest in sorted(read.items()) if digest}

    def asset(self, domain: str, path: str) -> str | None:
        """The digest of one file below wp-content; empty if it is not there, None if that cannot be told."""
        page = self.page(domain, f"/wp-content/{path}", fresh=True)
        if page.status in (404, 410):
            return ""
        html = "html" in page.headers.get("content-type", "")
        return (
            hashlib.sha256(b"".join(page.body.split())).hexdigest()[:16]
            if page.status == 200 and not html and not page.cut
            else None
        )

    def pages(self, domain: str, *, limit: int = 5) -> list[Page]:
        """The front page and pages of the site's own that it links to, `limit` at most, past every cache; then its feed."""
        front = self.page(domain, fresh=True)
        own = self.own_names(domain)
        paths: dict[str, None] = {}
        for url in markup.page_links(front.body, front.url):
            parts = urlsplit(url)
            if own.is_own(to_host(url) or "") and (
                parts.path not in ("", "/") or parts.query.startswith(("p=", "page_id="))
            ):
                paths.setdefault(f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        chosen = [*list(paths)[: limit - 1], "/feed/"]
        read = self.each({path: lambda path=path: self.page(domain, path, fresh=True) for path in chosen})  # type: ignore[misc]  # a default binds the loop's value
        return [front, *(read[path] for path in chosen if path in read)]


def _json(page: Page) -> Any:
    if page.status != 200:
        return None
    try:
        return httpx.Response(200, content=page.body).json()
    except (ValueError, RecursionError):
        return None


def _why(page: Page) -> str:
    return page.detail or f"the REST surface answers {page.status}"


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) else None


def _live_data(namespaces: object) -> tuple[str, ...] | None:
    """The plugins of `LIVE_DATA` behind a site's namespaces, sorted; None if this is not WordPress' own, whole list."""
    if not isinstance(namespaces, list) or "wp/v2" not in namespaces:
        return None
    listed = [f"{name}/".casefold() for name in namespaces if isinstance(name, str)]
    return tuple(sorted(plugin for root, plugin in LIVE_DATA.items() if any(n.startswith(f"{root}/") for n in listed)))


def _moment(listed: list[Any]) -> datetime | None:
    """The `modified_gmt` (or `date_gmt`) of the first item: WordPress writes it without a zone, in UTC."""
    item = listed[0] if listed and isinstance(listed[0], dict) else {}
    try:
        return datetime.fromisoformat(str(item.get("modified_gmt") or item.get("date_gmt"))).replace(tzinfo=UTC)
    except ValueError:
        return None
