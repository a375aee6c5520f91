"""Pages are asked as a browser asks them: redirects of every kind, cookies, logins; and no answer ends the look."""

import errno
import socket
from collections.abc import Callable

import httpx
import pytest

from tasks.websites.fetcher import Page, ask_dns
from tasks.websites.wordpress_site import Prober

Answer = httpx.Response | Exception


def asking(answers: dict[str, Answer] | Callable[[httpx.Request], Answer], **options: object) -> Prober:
    """A prober of sites that answer so, by host and path; the install has the domains own.example and www.own.example."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen = (
            answers(request)
            if callable(answers)
            else answers.get(f"{request.url.host}{request.url.path}", httpx.Response(404))
        )
        if isinstance(seen, Exception):
            raise seen
        return seen

    prober = Prober("http", transport=httpx.MockTransport(answer), **options)  # type: ignore[arg-type]  # options of tests
    prober.add_domains("site", ["own.example", "www.own.example", "bücher.example"])
    return prober


def to(target: str, status: int = 301) -> httpx.Response:
    """A redirect."""
    return httpx.Response(status, headers={"location": target.encode()})  # type: ignore[dict-item]  # bytes, as a server sends them


def refreshing(target: str) -> httpx.Response:
    """A page that redirects its visitors."""
    return httpx.Response(200, html=f'<meta http-equiv="refresh" content="0; url={target}">')


HOME = httpx.Response(200, html="<h1>Home</h1>")


@pytest.mark.parametrize(
    ("chain", "status", "host"),
    [
        ([to("/a"), to("//www.own.example/b", 302), HOME], 200, "www.own.example"),
        ([to("/a"), to("https://OTHER.example./", 308)], 308, "other.example"),
        ([refreshing("/a"), to("/b", 302), refreshing("//other.example/")], 200, "other.example"),
        ([refreshing("/a"), to("http://own.example/b"), HOME], 200, "own.example"),
        ([httpx.Response(200, headers={"refresh": "0;url=http://other.example/"}, html="x")], 200, "other.example"),
        ([to("http://bücher.example/a"), HOME], 200, "xn--bcher-kva.example"),
        ([to("http://xn--bcher-kva.example:8080/a"), HOME], 200, "xn--bcher-kva.example"),
        ([to("http://own.example@other.example/")], 301, "other.example"),
        ([to("http:\\\\other.example\\")], 301, "other.example"),
        ([to("http://[own.example/")], 301, None),
        ([to("javascript:alert(1)")], 301, None),
        ([to("")], 301, "own.example"),
        ([httpx.Response(304, headers={"location": "http://other.example/"})], 304, "own.example"),
    ],
)
def test_a_visitor_ends_where_a_browser_ends(chain: list[httpx.Response], status: int, host: str | None) -> None:
    """Redirects and refreshes are followed among own domains, and the first step away is the end."""
    left = list(chain)
    with asking(lambda request: left.pop(0)) as prober:
        page = prober.visit("own.example", fresh=True)
    assert (page.status, page.host, left) == (status, host, [])


def test_a_page_that_loads_itself_again_is_the_end() -> None:
    """A ticker that reloads itself, and pages that show each other in turn, are pages."""
    with asking({"own.example/": refreshing("http://own.example/")}) as prober:
        assert (prober.visit("own.example", fresh=True).status, prober.visit("own.example").host) == (
            200,
            "own.example",
        )
    turns = {"own.example/": refreshing("/b"), "own.example/b": refreshing("/")}
    with asking(turns) as prober:
        assert prober.visit("own.example").status == 200


def test_a_fresh_reading_stays_fresh_when_the_site_redirects() -> None:
    """A redirect that leaves the query out would end in a cache; one that is there only to leave it out ends the chain."""
    seen: list[tuple[str, bool]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        ours = "understudy" in request.url.params
        seen.append((request.url.path, ours))
        return (
            to("/en/") if request.url.path == "/" else to("/clean") if ours and request.url.path == "/clean" else HOME
        )

    with asking(answer) as prober:
        assert [
            prober.page("own.example", path, fresh=fresh).status
            for path, fresh in (("/", True), ("/", False), ("/clean", True))
        ]
    assert seen == [("/", True), ("/en/", True), ("/", False), ("/en/", False), ("/clean", True), ("/clean", False)]


def test_a_loop_of_redirects_is_no_page() -> None:
    """Browsers give up as well."""
    with asking({"own.example/": to("/b"), "own.example/b": to("/")}) as prober:
        page = prober.page("own.example")
    assert (page.status, page.detail, page.for_everybody) == (None, "too many redirects", True)


def test_a_site_that_redirects_until_its_cookie_comes_back_is_read() -> None:
    """A cookie lives for one reading: the next one starts as a new visitor, so that no cache is passed by."""
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("cookie"))
        if request.headers.get("cookie") == "seen=1":
            return HOME
        return httpx.Response(302, headers={"location": "/", "set-cookie": "seen=1"})

    with asking(answer) as prober:
        assert [prober.page("own.example").status for _ in range(2)] == [200, 200]
    assert seen == [None, "seen=1"] * 2


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "no network"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no network"),
        (OSError(errno.ECONNREFUSED, "Connection refused"), "nothing listens at that address and port"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name cannot be resolved"),
    ],
)
def test_what_this_machine_lacks_is_not_the_site_s_fault(error: OSError, detail: str) -> None:
    """A refused connection is a fault of the site; a missing network or name server is not."""
    failed = httpx.ConnectError("failed")
    failed.__cause__ = error
    with asking({"own.example/": failed}) as prober:
        page = prober.page("own.example")
    assert (page.detail, page.for_everybody) == (detail, detail != "no network")


@pytest.mark.parametrize(("code", "found"), [(socket.EAI_AGAIN, None), (socket.EAI_NONAME, frozenset())])
def test_no_answer_of_dns_is_not_no_address(
    monkeypatch: pytest.MonkeyPatch, code: int, found: frozenset[str] | None
) -> None:
    """Only the answer of a name server counts."""

    def ask(*_: object) -> None:
        raise socket.gaierror(code, "failed")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    assert ask_dns("own.example") == found


def test_a_name_that_is_none_has_no_address() -> None:
    """A label that is too long for DNS is no error."""
    assert ask_dns("a" * 70 + ".example") == frozenset()


def test_the_login_of_a_site_stays_on_its_own_domains() -> None:
    """It follows a redirect among own domains; another host, another scheme and a look-alike never get it."""
    seen: list[tuple[str, bool]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url.copy_with(query=None)), "authorization" in request.headers))
        return to("http://www.own.example/") if request.url.host == "own.example" else to("https://own.example/")

    with asking(answer, logins={"site": ("u", "p")}) as prober:
        prober.page("own.example")
        prober.page("own.example.evil.example")
    assert seen[:3] == [
        ("http://own.example/", True),
        ("http://www.own.example/", True),
        ("https://own.example/", False),
    ]
    assert seen[-1] == ("http://own.example.evil.example/", False)


def test_a_gateway_is_asked_for_the_ascii_form() -> None:
    """The `Host` header has neither login nor umlauts, and keeps its port."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["host"])
        return to("http://u:p@Bücher.example:8080/x") if len(seen) == 1 else HOME

    with asking(answer, gateway="127.0.0.1:9") as prober:
        assert prober.page("bücher.example").status == 200
    assert seen == ["xn--bcher-kva.example", "xn--bcher-kva.example:8080"]


def test_headers_are_read_in_lower_case_and_robots_tags_one_by_one() -> None:
    """Some servers write them so, as HTTP/2 demands; each X-Robots-Tag may be for another crawler."""
    headers = [(b"X-ROBOTS-TAG", b"BadBot: noindex"), (b"x-robots-tag", b"nofollow"), (b"age", b"3")]
    with asking({"own.example/": httpx.Response(200, headers=headers)}) as prober:
        page = prober.page("own.example")
    assert (page.headers["x-robots-tag"], page.headers["age"]) == ("BadBot: noindex\nnofollow", "3")


def test_a_page_that_says_nothing_has_no_target() -> None:
    """A redirect needs a redirect's status, a refresh a page."""
    assert Page("http://a.example/", 200, {"location": "http://b.example/"}, b"").redirect is None
    assert Page("http://a.example/", 404, {"refresh": "0;url=http://b.example/"}, b"").refresh is None
