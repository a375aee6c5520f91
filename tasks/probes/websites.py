"""Read a public WordPress site: its REST surface, its pages, its asset versions, its cache headers.

A probed site may be compromised: answers are capped in size and time, redirects are followed only within the site's own
domain, nothing is executed, and no credential is ever sent.
"""

import re
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import httpx

from tasks.estate.sites import Content

COLLECTIONS = ("posts", "pages", "media", "comments")
TIMEOUT = httpx.Timeout(10.0, connect=5.0)  # seconds; a site slower than this is worth a finding
BIGGEST_PAGE = 2 * 1024 * 1024  # bytes
LONGEST_PAGE = 20.0  # seconds for a whole page, however it drips
MOST_REDIRECTS = 5
ASSET = re.compile(rb"""/wp-content/[^\s"'<>?]+\?ver=([A-Za-z0-9._-]{1,40})""")
LINK = re.compile(rb"""href=["'](https?://[^"'<>\s]+|/[^"'<>\s]*)["']""")

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


@dataclass(frozen=True)
class Page:
    """One answer of a public site. `status` None: no answer, and `detail` says why."""

    url: str
    status: int | None
    headers: dict[str, str]
    body: bytes
    detail: str = ""


class Prober:
    """Reads public sites. With `gateway` ("host:port") every site is asked there, as with `curl --connect-to`."""

    def __init__(
        self, scheme: str = "https", gateway: str = "", *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._scheme = scheme
        self._gateway = gateway
        self._http = httpx.Client(timeout=TIMEOUT, follow_redirects=False, transport=transport, trust_env=False)

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool."""
        self._http.close()

    def page(self, domain: str, path: str = "/", *, fresh: bool = False) -> Page:
        """GET one page of a site, following redirects on its own domain. `fresh` adds a unique query to miss every cache."""
        url = f"{self._scheme}://{domain}{path}"
        if fresh:
            url += f"{'&' if '?' in path else '?'}understudy={uuid4().hex}"
        for _ in range(MOST_REDIRECTS):
            page = self._get(url)
            target = page.headers.get("location", "")
            if page.status not in (301, 302, 303, 307, 308) or not target:
                return page
            url = urljoin(url, target)
            if urlsplit(url).hostname != domain.split(":")[0]:
                return Page(url, page.status, page.headers, page.body, f"redirects to {urlsplit(url).hostname}")
        return Page(url, None, {}, b"", "too many redirects")

    def _get(self, url: str) -> Page:
        parts = urlsplit(url)
        asked, headers, extensions = url, {}, {}
        if self._gateway:
            asked = parts._replace(netloc=self._gateway).geturl()
            headers = {"Host": parts.netloc}
            extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
        started, body = time.monotonic(), bytearray()
        try:
            with self._http.stream("GET", asked, headers=headers, extensions=extensions) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > BIGGEST_PAGE or time.monotonic() - started > LONGEST_PAGE:
                        return Page(url, None, {}, b"", "the page is too big or too slow")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return Page(url, None, {}, b"", type(error).__name__)
        return Page(url, response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))

    def content(self, domain: str) -> Content:
        """Public content by the REST surface. Never raises: what cannot be read is `reachable=False` with the reason."""
        for root in ("/wp-json", "/?rest_route="):
            index = self.page(domain, f"{root}/", fresh=True)
            told = _json(index)
            if isinstance(told, dict) and "name" in told:
                return self._collections(domain, root, told)
        return Content(reachable=False, detail=_why(index))

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
            title=_text(told.get("name")),
            totals=totals,
            newest=newest,
            live_data=_live_data(told.get("namespaces")),
        )

    def files_marker(self, domain: str) -> str | None:
        """The versions in the front page's asset URLs, sorted and joined: the trace of the files that HTTP shows."""
        page = self.page(domain, fresh=True)
        versions = sorted({match.decode() for match in ASSET.findall(page.body)})
        return ",".join(versions)[:200] or None

    def pages(self, domain: str, *, limit: int = 5) -> list[Page]:
        """The front page and pages of the site's own that it links to, `limit` at most, past every cache."""
        front = self.page(domain, fresh=True)
        found, seen = [front], {"/"}
        for link in LINK.findall(front.body):
            parts = urlsplit(link.decode(errors="replace"))
            path = parts.path or "/"
            if (
                parts.netloc in ("", domain)
                and path not in seen
                and "." not in path.rsplit("/", 1)[-1]
                and len(found) < limit
            ):
                seen.add(path)
                found.append(self.page(domain, path, fresh=True))
        return found

    def resolves(self, domain: str) -> str:
        """An address that the domain resolves to, or an empty string. With a gateway: the gateway."""
        if self._gateway:
            return self._gateway
        try:
            return str(socket.getaddrinfo(domain, None)[0][4][0])
        except (OSError, UnicodeError):
            return ""


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
