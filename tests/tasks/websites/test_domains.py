"""Domains are requested in parallel within a budget, and DNS is compared with what the host requires."""

import time

import httpx
import pytest
from pydantic import SecretStr

from tasks.configuration.settings import Settings
from tasks.estate.errors import Misconfigured
from tasks.estate.sites import DomainName
from tasks.websites.fetcher import Fetcher, Page
from tasks.websites.site_checks import points_here

DOMAIN = DomainName(name="www.site.example", primary=True, points_to=("wp.host.example", "192.0.2.1"))
HOST = frozenset({"192.0.2.1", "192.0.2.2"})


@pytest.mark.parametrize(
    ("seen", "wanted", "headers", "passed"),
    [
        ({"192.0.2.2", "2001:db8::1"}, HOST, {}, True),
        ({"198.51.100.7"}, HOST, {}, False),
        ({"198.51.100.7"}, HOST, {"cf-ray": "8f"}, None),
        ({"198.51.100.7"}, frozenset(), {}, None),
    ],
    ids=["the host", "another host", "a proxy", "the host names nothing"],
)
def test_dns_is_what_the_host_requires(
    seen: set[str], wanted: frozenset[str], headers: dict[str, str], passed: bool | None
) -> None:
    """Another host's address fails; behind a proxy the result is not known."""
    page = Page("https://www.site.example/", 200, headers, b"")
    assert points_here(DOMAIN, frozenset(seen), wanted, page, primary=True).passed is passed


def test_many_slow_domains_take_no_longer_than_the_budget() -> None:
    """Results that are not there within the budget are missing, all others are returned."""

    def answer(request: httpx.Request) -> httpx.Response:
        time.sleep(0.2)
        return httpx.Response(200, content=b"ok")

    names = [f"d{number}.example" for number in range(48)]
    with Fetcher("http", transport=httpx.MockTransport(answer)) as fetcher:
        started = time.monotonic()
        jobs = {name: (lambda name=name: fetcher.page(name)) for name in names}
        assert len(fetcher.in_parallel(jobs)) == 48
        assert time.monotonic() - started < 48 * 0.2
        assert len(fetcher.in_parallel(jobs, budget=0.1)) < 48


def test_a_login_goes_to_its_own_domains_only() -> None:
    """Neither another site, nor the host that a redirect names, receives it."""
    received: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        received[request.url.host] = request.headers.get("authorization")
        target = {"stage.example": "http://www.stage.example/", "www.stage.example": "http://evil.example/"}
        there = target.get(request.url.host)
        return httpx.Response(302, headers={"location": there}) if there else httpx.Response(200)

    with Fetcher("http", transport=httpx.MockTransport(answer), logins={"stage": ("u", "p")}) as fetcher:
        fetcher.add_domains("stage", ["stage.example", "www.stage.example"])
        fetcher.add_domains("other", ["other.example"])
        assert fetcher.page("stage.example").detail == "redirects to evil.example"
        fetcher.page("other.example")
    assert (bool(received["stage.example"]), bool(received["www.stage.example"])) == (True, True)
    assert received["other.example"] is None
    assert "evil.example" not in received


def test_logins_are_read_and_never_shown() -> None:
    """Entries are percent-decoded; a wrong one is named by its number, without its text."""
    good = Settings(site_logins=SecretStr("stage=u:p%3Aq%20r dev=x:y"))
    assert good.logins() == {"stage": ("u", "p:q r"), "dev": ("x", "y")}
    assert "p%3Aq" not in repr(good)
    with pytest.raises(Misconfigured, match="Entry 2") as refused:
        Settings(site_logins=SecretStr("stage=u:p secret-word")).logins()
    assert "secret-word" not in str(refused.value)
