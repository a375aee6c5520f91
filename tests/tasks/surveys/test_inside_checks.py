"""Checks from the inside: passed, failed and not known, and none of them fails an install."""

from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from tasks.estate.errors import CommandRefused, Unreachable
from tasks.estate.plans import Finding, Severity
from tasks.estate.sites import Environment, Install
from tasks.surveys import inside_checks
from tasks.surveys.inside_checks import NamedInstall, check_inside, not_read
from tasks.wpcli.wordpress import Places, Plugin, Search, WordPress

STAGE, PRODUCTION = "schulstage.wpengine.example", "www.schulfest.example"


class Site:
    """A WordPress whose answers are its attributes; an exception is raised."""

    def __init__(self, **answers: Any) -> None:
        healthy = {
            "is_installed": True, "environment_type": "staging", "filters_mail": True, "constant": False,
            "modified_core_files": 0, "outdated_plugins": (), "search": Search(()),
        }  # fmt: skip
        self.answers = healthy | answers
        self.searched: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def answer(*arguments: str, **_: float) -> Any:
            value = self.answers[name]
            self.searched += arguments if name == "search" else ()
            if isinstance(value, Exception):
                raise value
            return value

        return answer


def named(name: str, environment: Environment, *hosts: str) -> NamedInstall:
    """Return an install with its hosts."""
    install = Install(
        id=name, name=name, account_id="a", site_id=None, environment=environment, status="active", primary_domain=None
    )
    return NamedInstall(install, frozenset(hosts))


def look(environment: Environment = Environment.STAGING, **answers: Any) -> dict[str, Finding]:
    """Return the findings of a site by check, compared with production."""
    site, other = Site(**answers), named("schulprod", Environment.PRODUCTION, PRODUCTION)
    return {f.check: f for f in check_inside(site, named("schulstage", environment, STAGE), other)}  # type: ignore[arg-type]  # a double


def test_a_healthy_install_passes_every_check() -> None:
    """Each check is made, and passes."""
    found = look()
    assert [f.check for f in found.values() if f.passed is not True] == []
    assert len(found) == 6


WRONG: list[tuple[str, dict[str, Any], str]] = [
    (inside_checks.ENVIRONMENT_TYPE, {"environment_type": "production"}, "production; the host reports staging"),
    (inside_checks.DEBUGGING, {"constant": True}, "WP_DEBUG is true, WP_DEBUG_DISPLAY is true, WP_DEBUG_LOG is true"),
    (inside_checks.CORE, {"modified_core_files": 2}, "2 files differ from the published ones"),
    (inside_checks.PLUGINS, {"outdated_plugins": (Plugin("shop", "1.0", "1.2"),)}, "shop 1.0 → 1.2"),
    (inside_checks.MAIL, {"filters_mail": False}, "nothing stops e-mails to customers"),
    (
        inside_checks.URLS,
        {"search": Search((Places("wp_options", "option_value", 2),), ("wp_log",))},
        "wp_options.option_value: 6",
    ),
]


@pytest.mark.parametrize(("check", "answers", "detail"), WRONG, ids=[check for check, _, _ in WRONG])
def test_what_is_wrong_inside_warns_with_a_remedy(check: str, answers: dict[str, Any], detail: str) -> None:
    """Only that check fails; it warns, and its finding names what was found and what to do."""
    found = look(**answers)
    assert [f.check for f in found.values() if f.passed is not True] == [check]
    assert found[check].detail == detail
    assert found[check].severity is Severity.WARN
    assert found[check].action


def test_production_should_send_its_mail() -> None:
    """A stop of e-mails that a promotion took along is a finding on production, and so is an unknown environment."""
    for environment in (Environment.PRODUCTION, Environment.UNKNOWN):
        assert look(environment, filters_mail=True)[inside_checks.MAIL].passed is False
        assert look(environment, filters_mail=False)[inside_checks.MAIL].passed is True


@pytest.mark.parametrize(
    "trouble",
    [CommandRefused("refused"), Unreachable("late", overdue=True)],
    ids=["refused", "late"],
)
def test_a_command_that_fails_makes_its_check_unknown(trouble: Exception) -> None:
    """The other checks are made all the same."""
    found = look(outdated_plugins=trouble)
    assert found[inside_checks.PLUGINS].passed is None
    assert sum(f.passed is True for f in found.values()) == 5


def test_a_lost_connection_is_left_to_the_step() -> None:
    """The step retries what is temporary."""
    with pytest.raises(Unreachable):
        look(outdated_plugins=Unreachable("lost"))


def test_checksums_that_are_not_available_are_not_known() -> None:
    """A gateway that cannot reach wordpress.org proves nothing about the files."""
    assert look(modified_core_files=None)[inside_checks.CORE].passed is None


def test_a_site_without_tables_is_one_finding() -> None:
    """Nothing else can be asked of it."""
    assert [f.passed for f in look(is_installed=False).values()] == [False]


def test_every_spelling_of_every_domain_of_the_other_side_is_searched() -> None:
    """A domain that both have is the install's own."""
    site = Site()
    own, other = (
        named("a", Environment.STAGING, STAGE, "both.example"),
        named("b", Environment.PRODUCTION, PRODUCTION, "both.example"),
    )
    check_inside(site, own, other)  # type: ignore[arg-type]  # a double
    assert site.searched == [f"//{PRODUCTION}", rf"\/\/{PRODUCTION}", f"%2F%2F{PRODUCTION}"]


def test_tables_that_were_not_searched_are_not_known() -> None:
    """WP-CLI passes over tables without a primary key: nothing found elsewhere is no proof."""
    finding = look(search=Search((), ("wp_log",)))[inside_checks.URLS]
    assert finding.passed is None
    assert finding.detail.endswith("were not searched: wp_log")


def test_a_domain_that_continues_the_other_ones_is_not_known() -> None:
    """A search for a.example also finds a.example.staging.example, so that its count proves nothing."""
    own, other = named("a", Environment.STAGING, f"{PRODUCTION}.test"), named("b", Environment.PRODUCTION, PRODUCTION)
    found = {f.check: f for f in check_inside(Site(), own, other)}  # type: ignore[arg-type]  # a double
    assert found[inside_checks.URLS].passed is None


def test_without_a_second_install_no_urls_are_searched(wordpress: WordPress, estate: Host) -> None:
    """On the emulated site the checks are those of the double."""
    found = check_inside(wordpress, named("schulstage", Environment.STAGING, STAGE))
    assert [f.passed for f in found] == [True] * 5


def test_an_install_that_cannot_be_reached_is_not_known() -> None:
    """The finding has the error's message and remedy."""
    finding = not_read(CommandRefused("why"))
    assert (finding.passed, finding.detail, finding.action) == (None, "why", CommandRefused.next_step)


def test_a_long_list_is_cut() -> None:
    """A finding names a dozen plugins, and how many more there are."""
    many = tuple(Plugin(f"p{n:02}", "1", "2") for n in range(14))
    assert look(outdated_plugins=many)[inside_checks.PLUGINS].detail.endswith("p11 1 → 2 and 2 more")
