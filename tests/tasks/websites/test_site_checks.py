"""Findings: each check passes, fails or is not known, at the borders where one becomes the other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.estate.plans import Finding, Severity
from tasks.estate.sites import Content, DomainName, Environment, Install, Survey
from tasks.websites import site_checks
from tasks.websites.appearance import indexing
from tasks.websites.fetcher import Page
from tasks.websites.hosts_and_urls import Names, Sides

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIDES = Sides(Names.of(["stage.example"]), Names.of(["www.prod.example"]))
NO_OTHER = Sides(Names.of(["stage.example"]))
WARN, BLOCK, INFO, UNKNOWN = Severity.WARN, Severity.BLOCK, Severity.INFO, Severity.UNKNOWN


def page(
    body: str = "<p>text</p>",
    status: int | None = 200,
    url: str = "http://stage.example/",
    detail: str = "",
    **more: Any,
) -> Page:
    """An answer of a site."""
    return Page(url, status, more.pop("headers", {}), body.encode(), detail, **more)


def install(environment: Environment = Environment.STAGING, **changes: Any) -> Install:
    """Staging, active, with a primary domain."""
    fields: dict[str, Any] = {
        "id": "i", "name": "stage", "account_id": "a", "site_id": "s", "status": "active", "primary_domain": "stage.example",
    }  # fmt: skip
    return Install(environment=environment, **(fields | changes))


def survey(*domains: DomainName, listed: bool = True, **changes: Any) -> Survey:
    """A survey that found these domains."""
    return Survey(
        install=install(**changes), domains=domains if listed else None, content=Content(reachable=True), taken_at=NOW
    )


def results(found: list[Finding]) -> dict[str, tuple[bool | None, Severity]]:
    """Each check with its result and grade."""
    return {finding.check: (finding.passed, finding.severity) for finding in found}


def test_a_passed_check_needs_no_action_and_an_unknown_one_has_its_own_grade() -> None:
    """A finding has an action unless it passed."""
    for match, grade, acted in ((True, INFO, False), (False, BLOCK, True), (None, UNKNOWN, True)):
        found = site_checks.files_match(match, "d")
        assert (found.passed, found.severity, bool(found.action), found.detail) == (match, grade, acted, "d")


def test_files_that_did_not_arrive_and_files_that_were_not_read_have_different_remedies() -> None:
    """Nobody looks for an e-mail about files that could not be compared."""
    assert "not complete" in site_checks.files_match(False, "").action
    assert "Compare a file" in site_checks.files_match(None, "").action


@pytest.mark.parametrize(("status", "passed"), [("active", True), ("pending", False), ("unknown", None)])
def test_only_active_is_active(status: str, passed: bool | None) -> None:
    """A status that the host does not tell is not known."""
    assert site_checks.active(install(status=status)).passed is passed


def test_names_are_those_of_the_survey() -> None:
    """The primary domain counts also where the host lists none."""
    assert site_checks.names_of(survey(DomainName(name="Www.Stage.example"))).hosts == {
        "stage.example",
        "www.stage.example",
    }
    assert site_checks.names_of(survey(listed=False)).hosts == {"stage.example"}


MAIN, SIDE = DomainName(name="stage.example", primary=True), DomainName(name="side.example")
BOTH_RESOLVE = {"stage.example": "192.0.2.1", "side.example": "192.0.2.1"}


def look(*listed: DomainName, resolved: dict[str, str], pages: Any = None, **changes: Any) -> list[Finding]:
    """The findings about these domains."""
    own = Sides(Names.of(["stage.example", "side.example"]))
    return site_checks.domains(survey(*listed, **changes), resolved, pages or {}, own)


def test_domains_that_are_not_listed_are_not_known() -> None:
    """No list is not an empty list."""
    assert results(look(resolved={}, listed=False)) == {"domains": (None, UNKNOWN)}
    assert look(resolved={}) == []


def test_an_install_without_a_primary_domain_fails() -> None:
    """Nobody could reach it."""
    assert results(look(resolved={}, primary_domain=None)) == {"primary domain": (False, BLOCK)}


def test_the_primary_domain_blocks_and_the_others_warn() -> None:
    """Both are looked at in the same way; a wildcard is no name that could be asked."""
    unverified = [each.model_copy(update={"verified": False}) for each in (MAIN, SIDE)]
    star = DomainName(name="*.stage.example", verified=False)
    found = results(look(*unverified, star, resolved={"stage.example": "", "side.example": ""}))
    assert found == {
        "stage.example verified": (False, BLOCK), "stage.example resolves": (False, BLOCK),
        "side.example verified": (False, WARN), "side.example resolves": (False, WARN),
    }  # fmt: skip


@pytest.mark.parametrize("verified", [True, None])
def test_a_domain_that_resolves_and_answers_passes(verified: bool | None) -> None:
    """An unknown verification of a domain is not a failure."""
    listed = MAIN.model_copy(update={"verified": verified})
    (resolves, answers) = look(listed, resolved=BOTH_RESOLVE, pages={"stage.example": page()})
    assert (resolves.passed, resolves.detail, answers.passed) == (True, "192.0.2.1", True)


def test_a_domain_without_an_address_is_not_asked() -> None:
    """Its page would be that of nobody."""
    (resolves,) = look(MAIN, resolved={"stage.example": ""}, pages={"stage.example": page()})
    assert (resolves.passed, resolves.detail) == (False, "no address")


def test_what_was_not_asked_in_time_is_not_known() -> None:
    """Neither a name that was not resolved, nor a page that was not fetched, has failed."""
    found = look(MAIN, SIDE, resolved={"side.example": "192.0.2.1"})
    assert results(found) == {
        "stage.example resolves": (None, UNKNOWN), "side.example resolves": (True, INFO), "side.example answers": (None, UNKNOWN),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "passed", "detail"),
    [
        (page(), True, "HTTP 200 on stage.example"),
        (page(status=399), None, "HTTP 399"),
        (page(status=400), False, "HTTP 400"),
        (page(status=401), None, "requires a login"),
        (page(status=404), False, "HTTP 404"),
        (page(status=500), False, "HTTP 500"),
        (page(status=503), False, "HTTP 503"),
        (page(status=503, headers={"retry-after": "60"}), None, "maintenance"),
        (page(status=None, detail="nothing listens", for_everybody=True), False, "nothing listens"),
        (page(status=None, detail="too many redirects", for_everybody=True), False, "too many redirects"),
        (page(status=None, detail="ReadTimeout"), None, "ReadTimeout"),
        (page(url="http://www.stage.example/"), True, "on www.stage.example"),
        (page(url="http://www.prod.example/"), False, "the other install of the pair"),
        (page(url="http://parked.example/"), False, "not one of its domains"),
        (page(url="mailto:"), False, "redirects visitors to None, which is not one of its domains"),
    ],
)
def test_the_front_page_keeps_its_visitor(seen: Page, passed: bool | None, detail: str) -> None:
    """An error, another host or no host fails; a login, a maintenance page and slowness are not known."""
    found = site_checks.front_page(seen, SIDES)
    assert found.passed is passed
    assert detail in found.detail
    assert found.severity is {True: INFO, False: BLOCK, None: UNKNOWN}[passed]


@pytest.mark.parametrize(("url", "grade"), [("http://www.prod.example/", BLOCK), ("http://parked.example/", WARN)])
def test_a_domain_that_leads_to_the_other_install_blocks_whichever_it_is(url: str, grade: Severity) -> None:
    """Elsewhere, a domain that is not the primary one warns."""
    (_, answers) = site_checks.domains(
        survey(SIDE), {"side.example": "192.0.2.1"}, {"side.example": page(url=url)}, SIDES
    )
    assert (answers.passed, answers.severity) == (False, grade)


WANTED = frozenset({"192.0.2.1"})


@pytest.mark.parametrize(
    ("seen", "wanted", "headers", "primary", "result"),
    [
        ("192.0.2.1", WANTED, None, True, (True, INFO)),
        ("198.51.100.7", WANTED, None, True, (False, BLOCK)),
        ("198.51.100.7", WANTED, None, False, (False, WARN)),
        ("198.51.100.7", WANTED, {}, True, (False, BLOCK)),
        ("198.51.100.7", WANTED, {"x-amz-cf-id": "1"}, True, (None, UNKNOWN)),
        ("192.0.2.1", frozenset(), None, True, (None, UNKNOWN)),
    ],
)
def test_dns_is_compared_with_what_the_host_wants(
    seen: str, wanted: Any, headers: Any, primary: bool, result: Any
) -> None:
    """A page that was not fetched shows no proxy."""
    fetched = None if headers is None else page(headers=headers)
    found = site_checks.points_here(MAIN, frozenset({seen}), wanted, fetched, primary=primary)
    assert (found.passed, found.severity) == result


PLAIN, ESCAPED = "http://www.prod.example/a", r"http:\/\/www.prod.example\/a"
BELOW = "http://shop.www.prod.example/"


@pytest.mark.parametrize(
    ("pages", "sides", "changes", "passed", "detail"),
    [
        ([page("x"), page("y")], SIDES, {}, True, "2 pages read"),
        ([page("x", cut=True)], SIDES, {}, None, "could not be read in full"),
        ([page("x"), page("y", cut=True)], SIDES, {}, None, "could not be read in full"),
        ([page(status=500), page("x")], SIDES, {}, None, "could not be read in full"),
        ([page("x"), page(status=500)], SIDES, {}, True, "1 pages read"),
        ([page(PLAIN, status=404), page("x")], SIDES, {}, None, "could not be read in full"),
        ([page(PLAIN), page("x")], SIDES, {}, False, "www.prod.example in http://stage.example/"),
        ([page(PLAIN, cut=True)], SIDES, {}, False, "www.prod.example in"),
        ([page(status=500)], SIDES, {}, None, "no page could be read"),
        ([], SIDES, {}, None, "no page could be read"),
        ([page("x")], NO_OTHER, {}, None, "no two domains to distinguish"),
        ([page("x")], SIDES, {"primary_domain": None}, None, "no two domains to distinguish"),
        ([page("http://stage.example/")], SIDES, {}, True, "1 pages read"),
    ],
)
def test_a_url_of_the_other_install_is_a_leak(
    pages: list[Page], sides: Sides, changes: dict[str, Any], passed: bool | None, detail: str
) -> None:
    """One is enough, in whatever page; without one, only pages that were read in full, the first among them, prove it."""
    (found,) = site_checks.leaks(pages, sides, install(**changes))
    assert (found.passed, detail in found.detail) == (passed, True), found


@pytest.mark.parametrize(
    ("bodies", "commands"),
    [([PLAIN], 1), ([ESCAPED], 2), ([PLAIN, ESCAPED], 2), ([ESCAPED, PLAIN], 2), ([PLAIN, PLAIN], 1)],
)
@pytest.mark.parametrize("multisite", [False, True])
def test_the_remedy_replaces_what_was_seen(bodies: list[str], commands: int, multisite: bool) -> None:
    """An escaped URL needs its own search, wherever it was seen; a network of sites is searched as a whole."""
    (found,) = site_checks.leaks(
        [page(body, url="http://stage.example/?a=1") for body in bodies], SIDES, install(multisite=multisite)
    )
    parts = found.action.split(" && ")
    assert len(parts) == commands
    assert parts[0].startswith("wp search-replace '//www.prod.example' '//stage.example'")
    assert commands == 1 or parts[1].startswith(r"wp search-replace '\/\/www.prod.example' '\/\/stage.example'")
    assert all(part.endswith(" --network") is multisite for part in parts)
    assert "?" not in found.detail


def test_unlisted_hosts_below_the_other_installs_domains_warn() -> None:
    """At most five are named; they are no leak."""
    body = " ".join(f"http://{name}.www.prod.example/" for name in "abcdef")
    leak, unlisted = site_checks.leaks([page(body, url="http://stage.example/p?a=1")], SIDES, install())
    assert leak.passed is True
    assert (unlisted.passed, unlisted.severity) == (False, WARN)
    assert unlisted.detail == ", ".join(f"{name}.www.prod.example in http://stage.example/p" for name in "abcde")
    assert len(site_checks.leaks([page("http://elsewhere.example/")], SIDES, install())) == 1


def content(posts: int = 5, newest: datetime | None = NOW, **more: Any) -> Content:
    """Public content."""
    return Content(reachable=True, totals={"posts": posts}, newest={"posts": newest} if newest else {}, **more)


@pytest.mark.parametrize(
    ("now", "passed", "detail"),
    [
        (content(), True, "totals {'posts': 5}"),
        (content(6), True, "totals"),
        (content(4), False, "posts 4 of 5"),
        (content(newest=NOW + timedelta(days=1)), True, "totals"),
        (content(newest=NOW - timedelta(days=1)), False, "newest of posts 2025-12-31 00:00, expected 2026-01-01 00:00"),
        (content(newest=None), True, "totals"),
        (Content(reachable=False, detail="a login"), None, "a login"),
        (Content(reachable=True), None, "no public content in common"),
    ],
)
def test_content_must_not_be_less_or_older(now: Content, passed: bool | None, detail: str) -> None:
    """A collection that only one side has is not compared."""
    (found,) = site_checks.content_matches(now, content(), database=True)
    assert (found.passed, detail in found.detail) == (passed, True), found


@pytest.mark.parametrize(
    ("now", "source_now", "passed"),
    [
        (content(), None, True),
        (content(6), None, False),
        (content(6), content(6), True),
        (content(6, newest=NOW + timedelta(hours=2)), None, True),
        (content(newest=NOW + timedelta(minutes=30)), None, False),
        (content(newest=NOW + timedelta(minutes=30)), content(newest=NOW + timedelta(minutes=30)), True),
        (content(newest=NOW + timedelta(hours=2)), None, True),
        (content(6, newest=NOW + timedelta(hours=1)), None, False),
        (content(newest=NOW + timedelta(hours=1)), None, False),
        (content(4), content(4), True),
        (content(3), content(4), False),
        (content(newest=NOW - timedelta(days=1)), content(newest=NOW - timedelta(days=1)), True),
    ],
)
def test_what_was_there_before_the_copy_and_not_in_the_source_is_no_copy(
    now: Content, source_now: Content | None, passed: bool
) -> None:
    """More or newer content passes if it was written after the call (an hour after `NOW`), or if the source has it now."""
    since = NOW + timedelta(hours=1)
    (found,) = site_checks.content_matches(now, content(), database=True, source_now=source_now, since=since)
    assert found.passed is passed, found


def test_a_comment_may_be_approved_long_after_its_date() -> None:
    """More comments than the source has, none of them new, are no fault, also with an old baseline without dates."""
    comments = [Content(reachable=True, totals={"comments": n}, newest={"comments": NOW}) for n in (5, 7)]
    undated = [Content(reachable=True, totals={"posts": n}) for n in (5, 7)]
    for expected, now in (comments, undated):
        (found,) = site_checks.content_matches(now, expected, database=True, since=NOW + timedelta(hours=1))
        assert found.passed is True, found


@pytest.mark.parametrize(("items", "newest", "passed"), [(5, NOW, True), (4, NOW, False), (5, None, True)])
def test_feeds_are_compared_if_one_site_closes_its_rest_surface(
    items: int, newest: datetime | None, passed: bool
) -> None:
    """If one side has posts and a feed and the other only a feed, the feeds are compared, in both directions."""
    both = content(posts=40, feed_items=5, feed_newest=NOW)
    closed = Content(reachable=True, totals={"feed items": items}, newest={"feed items": newest} if newest else {})
    (found,) = site_checks.content_matches(closed, both, database=True)
    assert found.passed is passed, found
    (back,) = site_checks.content_matches(both, closed, database=True)
    assert back.passed is True, back


@pytest.mark.parametrize(
    ("body", "commands"),
    [
        ("<a href='https://WWW.Prod.example/'>", ["'//WWW.Prod.example' '//stage.example'"]),
        (
            "<a href='https://share.example/?u=https%3A%2F%2Fwww.prod.example%2F'>",
            [
                "'//www.prod.example' '//stage.example'",
                r"'\/\/www.prod.example' '\/\/stage.example'",
                "'%2F%2Fwww.prod.example' '%2F%2Fstage.example'",
            ],
        ),
        (
            r'<script>{"u":"https:\/\/www.prod.example\/"}</script>',
            ["'//www.prod.example' '//stage.example'", r"'\/\/www.prod.example' '\/\/stage.example'"],
        ),
        ("<a href='//www.prod.example:8443/x'>", ["'//www.prod.example' '//stage.example'"]),
    ],
)
def test_the_remedy_replaces_what_stands_in_the_page(body: str, commands: list[str]) -> None:
    """`wp search-replace` finds a text in its own form only: capital letters and escaped slashes are printed as they stand."""
    (found,) = site_checks.leaks([page(body)], SIDES, install())
    assert found.passed is False
    assert [
        command.split(" --all")[0].removeprefix("wp search-replace ") for command in found.action.split(" && ")
    ] == commands


def test_a_page_of_wordpress_itself_is_not_the_site() -> None:
    """The installer and an error fail; the login page is not known, hides from search, and shows no URLs or cache."""
    login = page("<form>", url="https://stage.example/wp-login.php?redirect_to=x")
    assert site_checks.front_page(page("x", url="https://stage.example/wp-admin/install.php"), SIDES).passed is False
    assert site_checks.front_page(page('<p class="wp-die-message">x'), SIDES).passed is False
    assert site_checks.front_page(page('<!-- class="wp-die-message" -->x'), SIDES).passed is True
    assert site_checks.front_page(login, SIDES).passed is None
    assert site_checks.cache_is_fresh(login, (login, login), SIDES, None).passed is None
    assert indexing(install(), login, login).passed is True
    assert indexing(install(Environment.PRODUCTION), login, login).passed is None
    assert site_checks.leaks([login], SIDES, install())[0].passed is None


def test_content_is_not_compared_if_no_database_travelled() -> None:
    """The reason of the source is shown if the destination has no reason."""
    assert site_checks.content_matches(content(0), content(), database=False) == []
    (found,) = site_checks.content_matches(Content(reachable=True), Content(reachable=False, detail="b"), database=True)
    assert found.detail == "b"


@pytest.mark.parametrize(
    ("home", "site", "own", "passed"),
    [
        ("https://stage.example", "https://stage.example", "stage.example", True),
        ("https://stage.example", None, "stage.example", True),
        ("https://stage.example", "https://wp.elsewhere.example", "stage.example", True),
        ("https://elsewhere.example", "https://stage.example", "stage.example", False),
        ("https://www.prod.example", "https://stage.example", "stage.example", False),
        ("https://stage.example", "https://www.prod.example", "stage.example", False),
        (None, "https://www.prod.example", "stage.example", False),
        (None, None, "stage.example", None),
        ("https://stage.example", None, None, None),
    ],
)
def test_home_is_a_domain_of_the_site(home: str | None, site: str | None, own: str | None, passed: bool | None) -> None:
    """A trace of the other install fails in either option; an unknown home is not known."""
    found = site_checks.home_is_own(Content(reachable=True, home=home, site_url=site), SIDES, own)
    assert found.passed is passed


def test_an_unknown_home_has_its_reason() -> None:
    """The detail of the reader, or that the home is not known."""
    for detail, shown in (("a login", "a login"), ("", "not known")):
        assert site_checks.home_is_own(Content(reachable=False, detail=detail), SIDES, "stage.example").detail == shown


@pytest.mark.parametrize(
    ("home", "multisite", "action"),
    [
        ("http://www.prod.example", False, "wp option update home 'http://stage.example'"),
        ("https://www.prod.example", False, "wp option update home 'https://stage.example'"),
        (None, False, "wp option update home 'https://stage.example'"),
        ("http://www.prod.example", True, "wp search-replace '//www.prod.example' '//stage.example'"),
    ],
)
def test_the_remedy_of_a_wrong_home_fits_the_site(home: str | None, multisite: bool, action: str) -> None:
    """The scheme stays, and a network of sites is searched as a whole."""
    seen = Content(reachable=True, home=home, site_url="https://www.prod.example")
    found = site_checks.home_is_own(seen, SIDES, "stage.example", multisite=multisite)
    assert found.action.startswith(action)
    assert found.action.endswith("--network") is multisite
    default = site_checks.home_is_own(seen, SIDES, "stage.example")
    assert default.action.startswith("wp option update")


FRESH, OTHER = (page("new"), page("new")), page("old", headers={"age": "900"})


@pytest.mark.parametrize(
    ("cached", "fresh", "passed", "detail"),
    [
        (page("new"), FRESH, True, "equal to a fresh page"),
        (OTHER, FRESH, False, "older than the purge"),
        (page("new", status=500), FRESH, False, "HTTP 500"),
        (page("new", status=201), FRESH, None, "HTTP 201"),
        (page("new"), (page("new"), page("new", status=None, detail="ReadTimeout")), None, "ReadTimeout"),
        (page("new"), (page("new", status=404), page("new")), None, "HTTP 404"),
    ],
)
def test_a_cache_is_checked_only_with_pages_that_were_read(
    cached: Page, fresh: Any, passed: bool | None, detail: str
) -> None:
    """The fresh ones must be plain answers; an error that only the cache has is what visitors get."""
    found = site_checks.cache_is_fresh(cached, fresh, SIDES, 60.0)
    assert (found.passed, detail in found.detail) == (passed, True), found


HIDDEN = '<meta name="robots" content="noindex">'


@pytest.mark.parametrize(
    ("environment", "front", "passed", "severity"),
    [
        (Environment.PRODUCTION, page(), True, INFO),
        (Environment.PRODUCTION, page(HIDDEN), False, BLOCK),
        (Environment.PRODUCTION, page(status=401), None, UNKNOWN),
        (Environment.PRODUCTION, page(status=500), None, UNKNOWN),
        (Environment.PRODUCTION, page(headers={"x-robots-tag": "noindex"}), False, BLOCK),
        (Environment.STAGING, page(), False, WARN),
        (Environment.STAGING, page(HIDDEN), True, INFO),
        (Environment.STAGING, page(status=401), True, INFO),
        (Environment.STAGING, page(status=500), None, UNKNOWN),
        (Environment.STAGING, page(HIDDEN, status=201), None, UNKNOWN),
        (Environment.UNKNOWN, page(HIDDEN), True, INFO),
    ],
)
def test_production_is_found_and_nothing_else_is(
    environment: Environment, front: Page, passed: bool | None, severity: Severity
) -> None:
    """A page with a login is not indexed, which is right for staging only."""
    found = indexing(install(environment), front, page(status=404))
    assert (found.passed, found.severity) == (passed, severity)
    assert found.check == (
        "production may be indexed" if environment is Environment.PRODUCTION else "staging is not indexed"
    )


@pytest.mark.parametrize(
    ("front", "detail"), [(page(status=500), "HTTP 500"), (page(status=None, detail="slow"), "slow")]
)
def test_a_front_page_that_was_not_read_has_its_reason(front: Page, detail: str) -> None:
    """The status, or why there was no answer."""
    assert indexing(install(), front, page(status=404)).detail == detail
