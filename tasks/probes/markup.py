"""What the markup of public pages tells: pure functions from bodies to facts. Nothing is executed, no entity is expanded."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from urllib.parse import urljoin, urlsplit

COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
META = re.compile(rb"<meta\b[^>]*>", re.IGNORECASE)
LINK_TAG = re.compile(rb"<link\b[^>]*>", re.IGNORECASE)
ATTRIBUTE = re.compile(rb"""([a-zA-Z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
HREF = re.compile(rb"""<a\b[^>]*?\bhref\s*=\s*["']([^"'<>\s]+)["']""", re.IGNORECASE)
ASSET = re.compile(
    rb"""/wp-content/((?:themes|plugins|mu-plugins)/[^\s"'<>?\\]+\.(?:css|js))(?:\?(?:[^\s"'<>]*?&)?ver=([A-Za-z0-9._-]{1,40}))?"""
)
THEME = re.compile(rb"""/wp-content/themes/([A-Za-z0-9._-]+)/""")
ITEM = re.compile(rb"<(?:item|entry)\b.*?</(?:item|entry)>", re.DOTALL | re.IGNORECASE)
STAMP = re.compile(rb"<(?:pubDate|updated|published)>([^<]+)<", re.IGNORECASE)
FEED_HOME = re.compile(rb"<channel\b.*?<link>([^<]+)</link>", re.DOTALL | re.IGNORECASE)
LOC = re.compile(rb"<(?:\w+:)?loc>\s*([^<\s]+)\s*</", re.IGNORECASE)
LASTMOD = re.compile(rb"<(?:\w+:)?lastmod>\s*([^<\s]+)\s*</", re.IGNORECASE)
MAINTENANCE = re.compile(rb"briefly unavailable for scheduled maintenance", re.IGNORECASE)
NOT_PAGES = re.compile(
    r"/(feed|wp-json|wp-admin|wp-login\.php|xmlrpc\.php|comments/feed|cart|checkout|my-account)(/|$)"
)
TIME_AS_VERSION = re.compile(r"1\d{9}(\d{3})?")  # seconds or milliseconds since 1970: says when, not which


def _attributes(tag: bytes) -> dict[str, str]:
    found = {}
    for name, double, single, bare in ATTRIBUTE.findall(tag):
        found[name.decode().lower()] = unescape((double or single or bare).decode("utf-8", errors="replace"))
    return found


def visible(body: bytes) -> bytes:
    """Return the markup without its comments."""
    return COMMENT.sub(b"", body)


def meta_refresh(body: bytes) -> str | None:
    """Return the URL to which a `<meta http-equiv="refresh">` sends every visitor, or None."""
    for tag in META.findall(visible(body)):
        seen = _attributes(tag)
        target = re.search(r"url\s*=\s*['\"]?([^'\"\s]+)", seen.get("content", ""), re.IGNORECASE)
        if seen.get("http-equiv", "").lower() == "refresh" and target:
            return target[1]
    return None


def hides_from_search(body: bytes, header: str) -> bool:
    """Return whether a robots tag or header of the page says noindex; a comment says nothing."""
    named = [_attributes(tag) for tag in META.findall(visible(body))]
    robots = [seen.get("content", "") for seen in named if seen.get("name", "").lower() in ("robots", "googlebot")]
    words = re.split(r"[\s,;:]+", " ".join([*robots, header]).lower())
    return "noindex" in words or "none" in words


def canonical(body: bytes) -> str | None:
    """Return the URL that the page calls canonical, or None."""
    for tag in LINK_TAG.findall(visible(body)):
        seen = _attributes(tag)
        if "canonical" in seen.get("rel", "").lower().split():
            return seen.get("href") or None
    return None


def api_root(body: bytes, header: str) -> str | None:
    """Return the address of the REST surface that WordPress writes into each page and header: it carries the home URL."""
    told = re.search(r"<([^>]+)>;\s*rel=\"https://api\.w\.org/\"", header)
    if told:
        return told[1]
    tags = (_attributes(tag) for tag in LINK_TAG.findall(visible(body)))
    return next((tag.get("href") for tag in tags if tag.get("rel") == "https://api.w.org/"), None)


def asset_versions(body: bytes) -> dict[str, str]:
    """Return each public stylesheet and script of themes and plugins with the version in its URL ("" without one).

    A time as version says nothing: it may change with each request.
    """
    found: dict[str, str] = {}
    for path, version in ASSET.findall(visible(body)):
        seen = version.decode()
        found[path.decode(errors="replace")] = "" if TIME_AS_VERSION.fullmatch(seen) else seen
    for theme in THEME.findall(visible(body)):
        found.setdefault(f"themes/{theme.decode()}/style.css", "")
    return found


def page_links(body: bytes, base: str) -> list[str]:
    """Return the absolute URLs of pages that a page links to, each once, in its order; feeds and forms of login are none."""
    found: dict[str, None] = {}
    for link in HREF.findall(visible(body)):
        url = urljoin(base, unescape(link.decode("utf-8", errors="replace")))
        parts = urlsplit(url)
        last = parts.path.rsplit("/", 1)[-1]
        if parts.scheme in ("http", "https") and "." not in last and not NOT_PAGES.search(parts.path):
            found.setdefault(parts._replace(fragment="").geturl())
    return list(found)


def feed_items(body: bytes) -> tuple[int, datetime | None] | None:
    """Return how many items a feed has and when the newest was published; None if this is no feed."""
    if b"<rss" not in body[:2000] and b"<feed" not in body[:2000]:
        return None
    items = ITEM.findall(body)
    stamps = [moment for item in items for moment in (_moment(stamp) for stamp in STAMP.findall(item)[:1]) if moment]
    return len(items), max(stamps, default=None)


def feed_home(body: bytes) -> str | None:
    """Return the home URL that a feed names."""
    told = FEED_HOME.search(body)
    return unescape(told[1].decode("utf-8", errors="replace")).strip() if told else None


def sitemap(body: bytes) -> tuple[list[str], datetime | None, bool] | None:
    """Return a sitemap's addresses, its newest change and whether it lists other sitemaps; None if this is no sitemap."""
    if b"<urlset" not in body[:4000] and b"<sitemapindex" not in body[:4000]:
        return None
    stamps = [moment for moment in (_moment(stamp) for stamp in LASTMOD.findall(body)) if moment]
    addresses = [unescape(loc.decode("utf-8", errors="replace")) for loc in LOC.findall(body)]
    return addresses, max(stamps, default=None), b"<sitemapindex" in body[:4000]


def _moment(stamp: bytes) -> datetime | None:
    text = stamp.decode("ascii", errors="replace").strip()
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text)
        except (ValueError, TypeError):
            continue
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
