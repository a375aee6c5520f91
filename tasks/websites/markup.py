"""Facts from the markup of public pages, by pure functions. Nothing is executed, no entity is expanded.

Bodies may be hostile: every pattern takes linear time.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from tasks.websites.hosts_and_urls import joined

# A comment, an element whose content is not markup (of <noscript>: not for visitors with JavaScript), or a tag of interest.
# Each alternative consumes all that it reads, up to the end of the body if it is not closed.
TOKEN = re.compile(
    rb"<!--(?:-?>|.*?(?:--!?>|\Z))"
    rb"|<(script|style|noscript|template|textarea|title|iframe|xmp)(?=[\s/>]).*?(?:</\1(?=[\s/>])|\Z)"
    rb"|<(meta|link|a)(?=[\s/])((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>",
    re.IGNORECASE | re.DOTALL,
)
COMMENT = re.compile(rb"<!--(?:-?>|.*?(?:--!?>|\Z))", re.DOTALL)
ATTRIBUTE = re.compile(rb"""([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
REFRESH = re.compile(r"\s*[\d.]+\s*[;,\s]\s*(?:url\s*=\s*)?(['\"]?)(.*)", re.IGNORECASE | re.DOTALL)
ASSET = re.compile(
    rb"""/wp-content/((?:themes|plugins|mu-plugins)/[^\s"'<>?\\]+\.(?:css|js))(?:\?(?:[^\s"'<>]*?&)?ver=([A-Za-z0-9._-]{1,40}))?"""
)
THEME = re.compile(rb"""/wp-content/themes/([A-Za-z0-9._-]+)/""")
ITEM = re.compile(rb"<(?:item|entry)(?=[\s/>])", re.IGNORECASE)
STAMP = re.compile(rb"<(?:pubDate|updated|published)>([^<]+)<", re.IGNORECASE)
CHANNEL = re.compile(rb"<channel(?=[\s>])", re.IGNORECASE)
FEED_HOME = re.compile(rb"<link>([^<]+)</link>", re.IGNORECASE)
LOC = re.compile(rb"<(?:\w+:)?loc>\s*(?:<!\[CDATA\[\s*)?([^<\s\]]+)", re.IGNORECASE)
LASTMOD = re.compile(rb"<(?:\w+:)?lastmod>\s*([^<\s]+)\s*</", re.IGNORECASE)
WP_ERROR = re.compile(rb"""class\s*=\s*["']wp-die-message["']""")
MAINTENANCE = re.compile(rb"briefly unavailable for scheduled maintenance", re.IGNORECASE)
NOT_PAGES = re.compile(
    r"/(feed|wp-json|wp-admin|wp-login\.php|xmlrpc\.php|comments/feed|cart|checkout|my-account)(/|$)"
)
PAGE_NAME = re.compile(
    r"[^.]*|.*\.(?:html?|php|aspx?)", re.IGNORECASE
)  # the last part of the path of a page, not of a file
PAGE_QUERY = re.compile(r"|(?:p|page_id|cat|lang)=[\w-]*")  # other queries may do something: add to a cart, log out
TIME_AS_VERSION = re.compile(r"1\d{9}(\d{3})?")  # seconds or milliseconds since 1970: a time, not a version
SEARCH_ENGINES = ("", "*", "robots", "googlebot", "bingbot")
WITH_VALUE = re.compile(r"\b(?:unavailable_after|max-[a-z-]+)\s*:[^,;\n]*")  # `max-image-preview: none` hides nothing


def _tags(body: bytes, name: str) -> list[dict[str, str]]:
    """Return the attributes of each visible tag with this name. The first of repeated attributes counts."""
    found = []
    for _, tag, inside in TOKEN.findall(body):
        if tag.decode().lower() == name:
            attributes: dict[str, str] = {}
            for key, double, single, bare in ATTRIBUTE.findall(inside):
                value = unescape((double or single or bare).decode("utf-8", errors="replace"))
                attributes.setdefault(key.decode(errors="replace").lower(), value)
            found.append(attributes)
    return found


def visible(body: bytes) -> bytes:
    """Return the markup without its comments."""
    return COMMENT.sub(b"", body)


def refresh_target(content: str) -> str | None:
    """Return the URL in `5; url=…`, the value of a `Refresh` header or tag, or None."""
    seen = REFRESH.match(content)
    if seen is None:
        return None
    return (seen[2].split(seen[1])[0] if seen[1] else seen[2]).strip() or None


def meta_refresh(body: bytes) -> str | None:
    """Return the target of a `<meta http-equiv="refresh">`, or None."""
    named = (tag for tag in _tags(body, "meta") if tag.get("http-equiv", "").strip().lower() == "refresh")
    return next(filter(None, (refresh_target(tag.get("content", "")) for tag in named)), None)


def hides_from_search(body: bytes, header: str) -> bool:
    """Return whether a robots tag or header of the page contains noindex for search engines.

    `header`: the X-Robots-Tag headers, one per line. Rules for other crawlers than the large search engines are ignored.
    """
    named = ((tag.get("name", "").strip().lower(), tag.get("content", "")) for tag in _tags(body, "meta"))
    lines = [content for name, content in named if name in SEARCH_ENGINES[2:]]
    return any(_forbids_index(line) for line in [*lines, *header.split("\n")])


def _forbids_index(line: str) -> bool:
    agent = ""
    for part in re.split(r"[,;]", WITH_VALUE.sub("", line.lower())):
        named = re.match(r"\s*([a-z][\w-]*|\*)\s*:", part)
        agent = named[1] if named else agent
        rules = part[named.end() :] if named else part
        if agent in SEARCH_ENGINES and {"noindex", "none"} & set(rules.split()):
            return True
    return False


def forbids_search(robots_txt: bytes) -> bool:
    """Return whether a robots.txt excludes search engines from the whole site."""
    rules = RobotFileParser()
    rules.parse(robots_txt.decode("utf-8", errors="replace").removeprefix("\ufeff").splitlines())
    return not rules.can_fetch("Googlebot", "/")


def canonical(body: bytes) -> str | None:
    """Return the canonical URL of the page, or None."""
    tags = (tag for tag in _tags(body, "link") if "canonical" in tag.get("rel", "").lower().split())
    return next((tag.get("href") or None for tag in tags), None)


def api_root(body: bytes, header: str) -> str | None:
    """Return the address of the REST API, which WordPress writes into each page and header and which contains the home URL."""
    linked = re.search(r"<([^<>]+)>;\s*rel=\"https://api\.w\.org/\"", header)
    if linked:
        return linked[1]
    tags = (tag.get("href") for tag in _tags(body, "link") if tag.get("rel") == "https://api.w.org/")
    return next(tags, None)


def asset_versions(body: bytes) -> dict[str, str]:
    """Return each public stylesheet and script of themes and plugins with the version in its URL ("" without one).

    A time is not a version, because it may change with each request.
    """
    found: dict[str, str] = {}
    for path, version in ASSET.findall(visible(body)):
        seen = version.decode()
        found[path.decode(errors="replace")] = "" if TIME_AS_VERSION.fullmatch(seen) else seen
    for theme in THEME.findall(visible(body)):
        found.setdefault(f"themes/{theme.decode()}/style.css", "")
    return found


def page_links(body: bytes, base: str) -> list[str]:
    """Return the absolute URLs of the pages that a page links to, unique and in order, without feeds and logins."""
    found: dict[str, None] = {}
    for tag in _tags(body, "a"):
        url = joined(base, tag["href"]) if tag.get("href") else None
        if url is None:
            continue
        parts = urlsplit(url)
        page = PAGE_NAME.fullmatch(parts.path.rsplit("/", 1)[-1]) and PAGE_QUERY.fullmatch(parts.query)
        if parts.scheme in ("http", "https") and page and not NOT_PAGES.search(parts.path):
            found.setdefault(parts._replace(fragment="").geturl())
    return list(found)


def feed_items(body: bytes) -> tuple[int, datetime | None] | None:
    """Return how many items a feed has and when the newest was published; None if this is not a feed."""
    if b"<rss" not in body[:2000] and b"<feed" not in body[:2000]:
        return None
    items = ITEM.split(body)[1:]
    stamps = [moment for item in items for moment in (_moment(stamp) for stamp in STAMP.findall(item)[:1]) if moment]
    return len(items), max(stamps, default=None)


def feed_home(body: bytes) -> str | None:
    """Return the home URL in a feed, or None."""
    channel = CHANNEL.search(body)
    home = FEED_HOME.search(body, channel.end()) if channel else None
    return unescape(home[1].decode("utf-8", errors="replace")).strip() if home else None


def sitemap(body: bytes) -> tuple[list[str], datetime | None, bool] | None:
    """Return a sitemap's addresses, its newest change and whether it lists other sitemaps; None if this is not a sitemap."""
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
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None
