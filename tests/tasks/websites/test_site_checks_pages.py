"""Checks of a page: only what no healthy site shows fails, and what proves nothing is not known."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tasks.estate.plans import Severity
from tasks.estate.sites import Appearance, Content, DomainName, Environment, Install, Survey
from tasks.websites import site_checks
from tasks.websites.appearance import appearance_of, indexing
from tasks.websites.fetcher import Page
from tasks.websites.hosts_and_urls import Names, Sides

SIDES = Sides(Names.of(["own.example", "www.own.example"]), Names.of(["other.example"]))
BODY = b"<html><body><h1>Home</h1></body></html>"
URL = "http://own.example/"


def install(environment: Environment = Environment.PRODUCTION, primary: str = "own.example") -> Install:
    """An install."""
    return Install(
        id="i", name="ownprod", account_id="a", site_id="s", environment=environment, status="active", primary_domain=primary
    )  # fmt: skip


def page(status: int | None = 200, body: bytes = BODY, *, url: str = URL, detail: str = "", **headers: str) -> Page:
    """A page with these headers; `_` in a name stands for `-`."""
    return Page(url, status, {name.replace("_", "-"): value for name, value in headers.items()}, body, detail)


@pytest.mark.parametrize(
    ("seen", "passed"),
    [
        (page(), True), (page(203), True), (page(url="http://www.own.example/"), True),
        (page(body=b'<link rel="https://api.w.org/" href="/wp-json/">' + BODY), True),
        (page(body=b'<link rel="canonical" href="index.html">' + BODY), True),
        (page(body=b'<link rel="canonical" href="https://syndicated.example/">' + BODY), True),
        (page(body=b""), False), (page(body=b" \r\n\t"), False), (page(301), False), (page(404), False), (page(500), False),
        (page(503), False), (page(403), False), (page(url="http://other.example/"), False), (page(url=""), False),
        (page(body=b'<link rel="canonical" href="https://OTHER.example/">' + BODY), False),
        (page(body=b'<link rel="canonical" href="//www.other.example/x">' + BODY), False),
        (page(body=b'<link rel="https://api.w.org/" href="https://third.example/wp-json/">' + BODY), False),
        (page(link='<https://third.example/wp-json/>; rel="https://api.w.org/"'), False),
        (replace(page(None, detail="too many redirects"), for_everybody=True), False), (page(None, detail="too many redirects"), None),
        (page(401), None), (page(407), None), (page(429), None), (page(429, retry_after="60"), None), (page(503, retry_after="60"),
        None),
        (page(503, b"Briefly unavailable for scheduled maintenance."), None), (page(403, cf_mitigated="challenge"), None),
        (page(202, sg_captcha="challenge"), None), (page(204, b""), None), (page(304, b""), None), (page(206), None), (page(300),
        None),
        (page(None, detail="ReadTimeout"), None), (page(None, detail="no network"), None), (page(None, detail="DecodingError"), None),
    ],
)  # fmt: skip
def test_a_front_page_passes_fails_or_is_not_known(seen: Page, passed: bool | None) -> None:
    """Each kind of answer has its result, and none but a page of this site passes."""
    found = site_checks.front_page(seen, SIDES)
    assert found.passed is passed, found.detail
    assert (found.severity is Severity.BLOCK) is (passed is False)
    assert bool(found.action) is (passed is not True)


@pytest.mark.parametrize(
    ("cached", "fresh", "passed"),
    [
        (page(), page(), True),
        (page(301, url="http://other.example/", detail="redirects to other.example"), page(), False),
        (page(500), page(), False),
        (page(404), page(), False),
        (page(body=b""), page(), False),
        (page(429), page(), None),
        (page(401), page(), None),
        (page(None, detail="ReadTimeout"), page(), None),
        (page(500), page(500), None),
        (page(), page(503), None),
        (page(301, url="http://other.example/"), page(301, url="http://other.example/"), None),
    ],
)
def test_what_only_the_cache_shows_is_what_visitors_get(cached: Page, fresh: Page, passed: bool | None) -> None:
    """An error or a foreign redirect from the cache fails; if the site itself has it, that is the front page's finding."""
    assert site_checks.cache_is_fresh(cached, (fresh, fresh), SIDES, 60.0).passed is passed


ROBOTS = page(body=b"User-agent: *\nDisallow: /", content_type="text/plain")
NONE = page(404)


@pytest.mark.parametrize(
    ("environment", "front", "robots", "passed", "blocks"),
    [
        (Environment.PRODUCTION, page(), NONE, True, False),
        (
            Environment.PRODUCTION,
            page(),
            page(body=b"<html>User-agent: *\nDisallow: /", content_type="text/html"),
            True,
            False,
        ),
        (Environment.PRODUCTION, page(), ROBOTS, False, True),
        (Environment.PRODUCTION, page(x_robots_tag="noindex"), NONE, False, True),
        (Environment.PRODUCTION, page(body=b"<meta name=robots content=noindex>"), NONE, False, True),
        (Environment.PRODUCTION, page(401), NONE, None, False),
        (Environment.STAGING, page(), ROBOTS, False, False),
        (Environment.STAGING, page(x_robots_tag="noindex"), NONE, True, False),
        (Environment.STAGING, page(401), NONE, True, False),
        (Environment.UNKNOWN, page(), NONE, False, False),
    ],
)
def test_production_is_found_by_search_engines_and_nothing_else(
    environment: Environment, front: Page, robots: Page, passed: bool | None, blocks: bool
) -> None:
    """On production, noindex in a tag, in a header and a robots.txt that forbids everything block; elsewhere it only warns."""
    found = indexing(install(environment), front, robots)
    assert (found.passed, found.severity is Severity.BLOCK) == (passed, blocks)


@pytest.mark.parametrize(
    ("front", "robots", "before", "passed", "severity", "detail"),
    [
        (page(x_robots_tag="noindex"), NONE, True, False, Severity.INFO, "noindex, as before the copy"),
        (page(), ROBOTS, True, False, Severity.INFO, "robots.txt forbids the whole site, as before the copy"),
        (page(x_robots_tag="noindex"), NONE, False, False, Severity.BLOCK, "noindex"),
        (page(), ROBOTS, False, False, Severity.BLOCK, "robots.txt forbids the whole site"),
        (page(x_robots_tag="noindex"), NONE, None, None, Severity.UNKNOWN, "noindex; how it was before the copy is not known"),
        (page(), NONE, False, True, Severity.INFO, "no noindex"), (page(), NONE, None, True, Severity.INFO, "no noindex"),
        (page(), NONE, True, True, Severity.INFO, "no noindex; it was hidden before the copy"),
        (page(401), NONE, True, None, Severity.UNKNOWN, "HTTP 401"),
    ],
)  # fmt: skip
def test_a_hidden_production_fails_only_if_the_copy_hid_it(
    front: Page, robots: Page, before: bool | None, passed: bool | None, severity: Severity, detail: str
) -> None:
    """Hidden before and after is noted, visible before and hidden after fails, and without a reading before it is not known."""
    found = indexing(install(), front, robots, Appearance(hidden=before))
    assert (found.passed, found.severity, found.detail) == (passed, severity, detail)


@pytest.mark.parametrize(
    ("seen", "before", "passed"),
    [
        (page(403), page(403), None), (page(451), page(451), None), (page(403), page(451), False), (page(403), page(), False),
        (page(404), page(404), False), (page(500), page(500), False), (page(503), page(503), False),
        (page(body=b""), page(body=b""), False),
        (page(url="http://third.example/"), page(url="http://third.example/x"), None),
        (page(url="http://third.example/"), page(url="http://fourth.example/"), False),
        (page(url="http://third.example/"), page(), False), (page(url="http://third.example/"), page(None), False),
        (page(url="http://other.example/"), page(url="http://other.example/"), False),
        (page(refresh="0; url=//third.example/"), page(301, url="http://third.example/"), None),
        (page(url=""), page(url=""), False),
    ],
)  # fmt: skip
def test_what_an_owner_may_want_is_compared_with_before(seen: Page, before: Page, passed: bool | None) -> None:
    """A site closed to strangers, or moved elsewhere, is not known if it was so before; a broken one, or the other install, fails."""
    earlier = appearance_of(before, NONE)
    assert site_checks.front_page(seen, SIDES, earlier).passed is passed
    survey = Survey(
        install=install(), domains=(DomainName(name="own.example"), DomainName(name="www.own.example")),
        content=Content(reachable=True), taken_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    addresses = dict.fromkeys(("own.example", "www.own.example"), "192.0.2.1")
    found = site_checks.domains(survey, addresses, dict.fromkeys(addresses, seen), SIDES, earlier)
    assert [f.passed for f in found if f.check == "own.example answers"] == [passed]
    assert [f.passed for f in found if f.check == "www.own.example answers"] == [False]


@pytest.mark.parametrize(
    ("front", "robots", "expected"),
    [
        (page(), NONE, Appearance(status=200, host="own.example", hidden=False)),
        (page(), ROBOTS, Appearance(status=200, host="own.example", hidden=True)),
        (page(x_robots_tag="noindex"), NONE, Appearance(status=200, host="own.example", hidden=True)),
        (page(401), ROBOTS, Appearance(status=401, host="own.example")),
        (page(url="http://own.example/wp-login.php"), ROBOTS, Appearance(status=200, host="own.example")),
        (page(None, detail="too slow"), ROBOTS, Appearance()),
    ],
)  # fmt: skip
def test_an_appearance_contains_only_what_was_read(front: Page, robots: Page, expected: Appearance) -> None:
    """A page with a login, or without an answer, proves nothing about search engines."""
    assert appearance_of(front, robots) == expected


@pytest.mark.parametrize(
    ("home", "before", "passed"),
    [
        ("https://third.example", "http://third.example/blog", None), ("https://third.example", "https://own.example", False),
        ("https://third.example", None, False), ("https://other.example", "https://other.example", False),
        ("https://own.example", "https://third.example", True),
    ],
)  # fmt: skip
def test_a_home_elsewhere_is_compared_with_before(home: str, before: str | None, passed: bool | None) -> None:
    """A home on a host that the hosting API does not list is not known if it was there before; the other install's fails."""
    now, then = (Content(reachable=True, home=each) for each in (home, before))
    assert site_checks.home_is_own(now, SIDES, "own.example", before=then).passed is passed


@pytest.mark.parametrize(
    ("home", "site_url", "passed"),
    [
        ("https://own.example", "https://own.example", True), ("HTTP://WWW.OWN.EXAMPLE.:80/", None, True),
        ("https://own.example", "https://cms.example", True), ("https://own.example.third.example", None, False),
        ("https://third.example/own.example", None, False), ("https://own.example@third.example", None, False),
        ("https://own.example", "https://other.example", False), ("//other.example", None, False), ("//own.example", None, None),
        ("own.example", None, None), ("", None, None), (None, None, None), ("https://", None, None),
    ],
)  # fmt: skip
def test_home_is_compared_as_a_host(home: str | None, site_url: str | None, passed: bool | None) -> None:
    """Parts of names prove nothing; an address without a scheme is not known, because its links are broken."""
    now = Content(reachable=True, home=home, site_url=site_url)
    assert site_checks.home_is_own(now, SIDES, "own.example").passed is passed


@pytest.mark.parametrize(
    ("listed", "primary", "same"),
    [
        ("Own.Example", "own.example", True), ("bücher.example", "xn--bcher-kva.example", True),
        ("own.example.", "own.example", True),
        ("www.own.example", "own.example", False), ("no host", "no host", True), ("no host", "neither", False),
        ("own.example", None, False),
    ],
)  # fmt: skip
def test_the_primary_domain_is_known_however_it_is_written(listed: str, primary: str | None, same: bool) -> None:
    """A fault of the primary domain blocks: two ways to write it must not make a warning of that."""
    domain = DomainName(name=listed)
    seen = Survey(
        install=install().model_copy(update={"primary_domain": primary}), domains=(domain,), certificates=(),
        content=Content(reachable=True), taken_at=datetime(2026, 11, 26, tzinfo=UTC),
    )  # fmt: skip
    assert site_checks.is_primary(domain, seen.install) is same
    found = {f.check: f.severity for f in site_checks.domains(seen, {listed: ""}, {}, SIDES)}
    assert found[f"{listed} resolves"] is (Severity.BLOCK if same else Severity.WARN)
