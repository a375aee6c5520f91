"""Ask public sites: one page, or many at once within a budget.

A probed site may be compromised: answers are capped in size and time, redirects are followed only within the site's own
domains, nothing is executed, and a site's login goes to that site's own domains only.
"""

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import httpx

from tasks.probes import markup
from tasks.probes.addresses import Names, Sides, to_host

T = TypeVar("T")
Resolver = Callable[[str], frozenset[str]]

TIMEOUT = httpx.Timeout(10.0, connect=5.0)  # seconds; a site slower than this is worth a finding
BIGGEST_PAGE = 8 * 1024 * 1024  # bytes; what comes after is not read
LONGEST_PAGE = 20.0  # seconds for a whole page, however it drips
MOST_REDIRECTS = 5
AT_ONCE = 16  # requests in parallel
BUDGET = 120.0  # seconds for all domains or pages of one site
PROTECTED = (401, 407)


@dataclass(frozen=True)
class Page:
    """One answer of a public site. `status` None: no answer, and `detail` says why. `url` is where redirects ended."""

    url: str
    status: int | None
    headers: dict[str, str]
    body: bytes
    detail: str = ""
    cut: bool = False  # the body is longer than what was read

    @property
    def host(self) -> str | None:
        """The host on which a visitor ends: after redirects, and after the page's own refresh."""
        target = markup.meta_refresh(self.body) if self.status == 200 else None
        return to_host(urljoin(self.url, target) if target else self.url)

    @property
    def protected(self) -> bool:
        """Whether the site asks for a login."""
        return self.status in PROTECTED

    @property
    def in_maintenance(self) -> bool:
        """Whether this is a maintenance page: it comes with 503 and with a time to come back, or in WordPress' own words."""
        return self.status == 503 and ("retry-after" in self.headers or bool(markup.MAINTENANCE.search(self.body)))


def ask_dns(host: str) -> frozenset[str]:
    """Return the addresses of a host; empty if it has none."""
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(host, None))
    except (OSError, UnicodeError):
        return frozenset()


class Fetcher:
    """Asks public sites, one request or many. With `gateway` ("host:port") every site is asked there, as with `curl --connect-to`."""

    def __init__(
        self,
        scheme: str = "https",
        gateway: str = "",
        *,
        transport: httpx.BaseTransport | None = None,
        logins: Mapping[str, tuple[str, str]] | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """`logins`: user and password of a site behind Basic authentication, by install name. `resolver` replaces DNS."""
        self._scheme = scheme
        self._gateway = gateway
        self._logins = dict(logins or {})
        self._resolver = resolver or ((lambda _: frozenset({gateway})) if gateway else ask_dns)
        self.asks_dns = resolver is not None or not gateway
        self._own: dict[str, Names] = {}
        self._login_of: dict[str, tuple[str, str]] = {}
        self._http = httpx.Client(timeout=TIMEOUT, follow_redirects=False, transport=transport, trust_env=False)

    def learn(self, install: str, names: Iterable[str | None]) -> None:
        """Learn the domains of one install: redirects among them are followed, and its login is sent to them."""
        own = Names.of(names)
        for host in own.hosts:
            self._own[host] = own
            if install in self._logins:
                self._login_of[host] = self._logins[install]

    def each(self, jobs: Mapping[str, Callable[[], T]], *, budget: float = BUDGET) -> dict[str, T]:
        """Run the jobs in parallel; return what was done within `budget` seconds. A job that is missing is not known."""
        pool = ThreadPoolExecutor(AT_ONCE)
        running = {pool.submit(job): name for name, job in jobs.items()}
        done, _ = wait(running, timeout=budget)
        pool.shutdown(wait=False, cancel_futures=True)
        return {running[future]: future.result() for future in done}

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool."""
        self._http.close()

    def page(self, domain: str, path: str = "/", *, fresh: bool = False) -> Page:
        """GET one page of a site, following redirects among its own domains. `fresh` adds a unique query to miss every cache."""
        own = self.own_names(domain)
        url = f"{self._scheme}://{domain}{path}"
        if fresh:
            url += f"{'&' if '?' in path else '?'}understudy={uuid4().hex}"
        for _ in range(MOST_REDIRECTS):
            page = self._get(url, fresh=fresh)
            target = page.headers.get("location", "")
            if page.status not in (301, 302, 303, 307, 308) or not target:
                return page
            url = urljoin(url, target)
            host = to_host(url)
            if host is None or not own.is_own(host):
                return Page(url, page.status, page.headers, page.body, f"redirects to {host}")
        return Page(url, None, {}, b"", "too many redirects")

    def _get(self, url: str, *, fresh: bool = False) -> Page:
        parts = urlsplit(url)
        asked, headers, extensions = url, dict[str, str](), {}
        login = self._login_of.get(to_host(url) or "") if parts.scheme == self._scheme else None
        if fresh:
            headers["Cache-Control"] = "no-cache"
        if self._gateway:
            asked = parts._replace(netloc=self._gateway).geturl()
            headers["Host"] = parts.netloc
            extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
        started, body = time.monotonic(), bytearray()
        try:
            with self._http.stream("GET", asked, headers=headers, extensions=extensions, auth=login) as response:
                cut = False
                for chunk in response.iter_bytes():
                    body += chunk
                    if time.monotonic() - started > LONGEST_PAGE:
                        return Page(url, None, {}, b"", "the page is too slow")
                    if len(body) > BIGGEST_PAGE:
                        cut = True
                        break
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return Page(url, None, {}, b"", type(error).__name__)
        seen = {k.lower(): v for k, v in response.headers.items()}
        return Page(url, response.status_code, seen, bytes(body), cut=cut)

    def own_names(self, domain: str) -> Sides:
        """The domains of the install that has this one, as far as it was learned."""
        return Sides(self._own.get(to_host(domain) or "", Names.of([domain])))

    def addresses(self, host: str) -> frozenset[str]:
        """The addresses of a host. With a gateway and no resolver of its own: the gateway."""
        return self._resolver(host)

    def resolves(self, domain: str) -> str:
        """An address that the domain resolves to, or an empty string. With a gateway: the gateway."""
        return min(self.addresses(domain), default="")
