"""Requests to public sites: one page, or many in parallel within a time budget.

A site may be compromised: answers are limited in size and time, redirects are followed only among the site's own domains,
nothing is executed, and the login of a site is sent to its own domains only.
"""

import errno
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self, TypeVar
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import httpx

from tasks.configuration.tls import tls_context
from tasks.estate.connection_failures import why_failed
from tasks.websites import markup
from tasks.websites.charsets import to_utf8
from tasks.websites.hosts_and_urls import Names, Sides, joined, to_host

T = TypeVar("T")
Resolver = Callable[[str], frozenset[str] | None]

TIMEOUT = httpx.Timeout(10.0, connect=5.0)  # seconds; a site slower than this is worth a finding
BIGGEST_PAGE = 8 * 1024 * 1024  # bytes; the rest is not read
LONGEST_PAGE = 20.0  # seconds for a whole page
MOST_REDIRECTS = 10
AT_ONCE = 16  # requests in parallel
BUDGET = 120.0  # seconds for all domains or pages of one site
PROTECTED = (401, 407)
OURS = "understudy="  # query parameter that bypasses caches
REDIRECTS = (301, 302, 303, 307, 308)
NO_NETWORK = (errno.ENETUNREACH, errno.ENETDOWN, socket.EAI_AGAIN)  # faults of this machine, not of the site


@dataclass(frozen=True)
class Page:
    """One answer of a public site. `status` None: no answer, and `detail` is the reason. `url`: after redirects."""

    url: str
    status: int | None
    headers: dict[str, str]
    body: bytes
    detail: str = ""
    cut: bool = False  # the body is longer than what was read
    for_everybody: bool = False  # there is no answer, and visitors receive no answer either

    @property
    def host(self) -> str | None:
        """The host that a visitor reaches after redirects and the refresh of the page."""
        return to_host(joined(self.url, self.refresh) if self.refresh else self.url)

    @cached_property  # used at each step of a visit, and bodies are large
    def refresh(self) -> str | None:
        """The target of a `Refresh` header or a `<meta http-equiv="refresh">`, or None."""
        if self.status != 200:
            return None
        return markup.refresh_target(self.headers.get("refresh", "")) or markup.meta_refresh(self.body)

    @property
    def redirect(self) -> str | None:
        """The target of a redirect, or None."""
        return self.headers.get("location") or None if self.status in REDIRECTS else None

    @property
    def protected(self) -> bool:
        """Whether the site requires a login, by HTTP or by a redirect to the login page of WordPress."""
        return self.status in PROTECTED or urlsplit(self.url).path.endswith("/wp-login.php")

    @property
    def in_maintenance(self) -> bool:
        """Whether this is a maintenance page: a 503 with a `Retry-After` or with the text of WordPress."""
        return self.status == 503 and ("retry-after" in self.headers or bool(markup.MAINTENANCE.search(self.body)))


def ask_dns(host: str) -> frozenset[str] | None:
    """Return the addresses of a host; empty if it has no address, None if no name server answered."""
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(to_host(host) or host, None))
    except (OSError, UnicodeError) as error:
        return None if _is_ours(error) else frozenset()


def _is_ours(error: BaseException | None) -> bool:
    """Return whether an error was caused by this machine's network, and not by the site."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_NETWORK:
            return True
        error = error.__cause__ or error.__context__
    return False


class Fetcher:
    """Reads public sites. With `gateway` ("host:port") all requests are sent there, as with `curl --connect-to`."""

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
        no_cookies = CookieJar(
            DefaultCookiePolicy(allowed_domains=[])
        )  # a cookie of one visit would change the next one
        self._http = httpx.Client(
            timeout=TIMEOUT, follow_redirects=False, transport=transport, trust_env=False, cookies=no_cookies,
            verify=tls_context(),
            event_hooks={"response": [_keep_location]},
        )  # fmt: skip

    def add_domains(self, install: str, names: Iterable[str | None]) -> None:
        """Add the domains of one install: redirects among them are followed, and its login is sent to them."""
        own = Names.of(names)
        for host in own.hosts:
            self._own[host] = own
            if install in self._logins:
                self._login_of[host] = self._logins[install]

    def in_parallel(self, jobs: Mapping[str, Callable[[], T]], *, budget: float = BUDGET) -> dict[str, T]:
        """Run the jobs in parallel and return the results of those that ended within `budget` seconds."""
        pool = ThreadPoolExecutor(AT_ONCE)
        running = {pool.submit(job): name for name, job in jobs.items()}
        done, _ = wait(running, timeout=budget)
        pool.shutdown(wait=False, cancel_futures=True)
        return {running[future]: future.result() for future in done}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def page(self, domain: str, path: str = "/", *, fresh: bool = False) -> Page:
        """GET one page of a site, with redirects among its own domains. `fresh` adds a unique query to bypass caches."""
        return self._follow(domain, path, fresh=fresh, refreshing=False)

    def visit(self, domain: str, path: str = "/", *, fresh: bool = False) -> Page:
        """Return the page that a visitor reaches: like `page`, and also refreshes of pages among the own domains are followed."""
        return self._follow(domain, path, fresh=fresh, refreshing=True)

    def file(self, url: str) -> Page:
        """GET one file of the added domains as it is: redirects are not followed, and text is not converted.

        What is of another host, scheme or port is not requested, and has no status.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.netloc != parts.hostname or to_host(url) not in self._own:
            return Page(url, None, {}, b"", "not of this site")
        return self._get(url, httpx.Cookies(), as_text=False)

    def _follow(self, domain: str, path: str, *, fresh: bool, refreshing: bool) -> Page:
        own, cookies = self.own_names(domain), httpx.Cookies()  # some sites redirect until their cookie comes back
        url = f"{self._scheme}://{domain}{path}"
        url = _past_caches(url) if fresh else url
        page = Page(url, None, {}, b"", "not asked")
        for _ in range(MOST_REDIRECTS):
            page = self._get(url, cookies, fresh=fresh)
            target = page.redirect or (page.refresh if refreshing else None)
            if target is None:
                return page
            goal = joined(url, target)
            host = to_host(goal)
            if goal is None or host is None or not own.is_own(host):
                return Page(goal or "", page.status, page.headers, page.body, f"redirects to {host}", page.cut)
            if page.redirect is None and goal.split("?")[0] == url.split("?")[0]:
                return page  # it only reloads itself
            # A redirect to the real address of the front page drops our query: add it again, unless the redirect only
            # removes the query.
            moved = goal.split("?")[0] != url.split("?")[0]
            url = _past_caches(goal) if fresh and moved and OURS not in goal else goal
        return page if page.status == 200 else Page(url, None, {}, b"", "too many redirects", for_everybody=True)

    def _get(self, url: str, cookies: httpx.Cookies, *, fresh: bool = False, as_text: bool = True) -> Page:
        body, cut, started = bytearray(), False, time.monotonic()
        try:
            request, login = self._request(url, fresh=fresh)
            cookies.set_cookie_header(request)
            response = self._http.send(request, stream=True, auth=login)
            try:
                for chunk in response.iter_bytes():
                    body += chunk
                    if time.monotonic() - started > LONGEST_PAGE:
                        return Page(url, None, {}, b"", "the page is too slow")
                    if len(body) > BIGGEST_PAGE:
                        cut = True
                        break
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            if _is_ours(error):
                return Page(url, None, {}, b"", "no network")
            return Page(url, None, {}, b"", why_failed(error)[0], for_everybody=isinstance(error, httpx.ConnectError))
        cookies.extract_cookies(response)
        seen = {k.lower(): v for k, v in response.headers.items()} | response.extensions.get("location", {})
        if "x-robots-tag" in seen:  # several headers may be for different crawlers
            seen["x-robots-tag"] = "\n".join(response.headers.get_list("x-robots-tag"))
        whole = bytes(body)
        text = to_utf8(whole, seen.get("content-type", ""), cut=cut) if as_text else whole
        return Page(url, response.status_code, seen, text, cut=cut)

    def _request(self, url: str, *, fresh: bool) -> tuple[httpx.Request, tuple[str, str] | None]:
        """Return the request for a URL, to the gateway if there is one, and the login for it."""
        parts, host = urlsplit(url), to_host(url) or ""
        headers, extensions = {"Cache-Control": "no-cache"} if fresh else {}, {}
        if self._gateway:
            headers["Host"] = _host_header(parts)
            extensions = {"sni_hostname": host} if parts.scheme == "https" else {}
            url = parts._replace(netloc=self._gateway).geturl()
        login = self._login_of.get(host) if parts.scheme == self._scheme else None
        return self._http.build_request("GET", url, headers=headers, extensions=extensions), login

    def own_names(self, domain: str) -> Sides:
        """Return the domains of the install with this domain, as far as they were added."""
        return Sides(self._own.get(to_host(domain) or "", Names.of([domain])))

    def addresses(self, host: str) -> frozenset[str] | None:
        """Return the addresses of a host, None if they are not known. With a gateway and no resolver: the gateway."""
        return self._resolver(host)


def _past_caches(url: str) -> str:
    """Return the URL with a query that no cache has."""
    rest, mark, fragment = url.partition("#")
    return f"{rest}{'&' if '?' in rest else '?'}{OURS}{uuid4().hex}{mark}{fragment}"


def _keep_location(response: httpx.Response) -> None:
    """Hide the target of a redirect from httpx, which parses it even if it does not follow it, and refuses some."""
    if "location" in response.headers:
        response.extensions["location"] = {"location": response.headers.pop("location")}


def _host_header(parts: SplitResult) -> str:
    """Return the value of the `Host` header: the ASCII form of the host, with its port, without a login."""
    return f"{to_host(f'//{parts.netloc}') or ''}{f':{parts.port}' if parts.port else ''}"
