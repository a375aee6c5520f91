"""The host as a worker needs it: a login that sees both sides of every pair, and a clock that agrees."""

from datetime import timedelta

import pytest

from deployments.doctor.examination import Finding, examine
from deployments.doctor.host import examine_host
from deployments.sandbox.host.host import Host
from tasks.configuration.settings import forget_settings
from tasks.estate.polling import utc_now

PAIR = ("schulprod", "schulstage")


def findings(*pairs: tuple[str, str]) -> dict[str, Finding]:
    """Return the findings by check."""
    return {each.check: each for each in examine("API login", lambda: examine_host(pairs))}


def test_a_healthy_pair_passes(worker: Host) -> None:
    """Login, clock, both installs and their direction pass."""
    found = findings(PAIR)
    assert {check: each.verdict for check, each in found.items()} == dict.fromkeys(
        ["API login", "clock", "install schulprod", "install schulstage", "pair schulprod → schulstage"], "passed"
    )


def test_a_pair_that_would_overwrite_production_fails(worker: Host) -> None:
    """The environment of the host counts, not the pair as it is written."""
    found = findings(("schulstage", "schulprod"))["pair schulstage → schulprod"]
    assert (found.verdict, found.detail) == ("failed", "schulprod may be production (production).")


def test_an_install_that_the_login_does_not_see_fails(worker: Host) -> None:
    """A misspelt name is named, and nothing is claimed about its pair."""
    found = findings(("schulprod", "schulstaeg"))
    assert found["install schulstaeg"].verdict == "failed"
    assert "pair schulprod → schulstaeg" not in found


def test_a_wrong_login_fails_and_nothing_else_is_claimed(worker: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong password there is one finding, with what to correct."""
    monkeypatch.setenv("UNDERSTUDY_API_PASSWORD", "wrong")
    forget_settings()
    (found,) = findings(PAIR).values()
    assert (found.check, found.passed is True, bool(found.remedy)) == ("API login", False, True)
    assert "wrong" not in found.detail


def test_a_host_that_is_away_is_not_known(worker: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known about a host that does not answer."""
    monkeypatch.setenv("UNDERSTUDY_API_URL", "http://127.0.0.1:1/v1")
    forget_settings()
    (found,) = findings(PAIR).values()
    assert found.verdict == "not known"


def test_a_clock_that_is_off_fails(worker: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is too much for codes of half a minute."""
    monkeypatch.setattr("deployments.doctor.host.utc_now", lambda: utc_now() + timedelta(minutes=1))
    found = findings(PAIR)["clock"]
    assert (found.verdict, "NTP" in found.remedy) == ("failed", True)


def test_a_worker_for_databases_only_needs_no_host(worker: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a login and without pairs there is nothing to check; with pairs, the login is missing."""
    monkeypatch.setenv("UNDERSTUDY_API_USER", "")
    forget_settings()
    assert findings() == {}
    (found,) = findings(PAIR).values()
    assert (found.verdict, "UNDERSTUDY_API_USER" in found.detail) == ("failed", True)


def test_the_logins_of_several_accounts_are_not_known(worker: Host) -> None:
    """With two accounts nothing is claimed about an install that one login does not see."""
    (found,) = examine_host([PAIR], accounts=2)
    assert (found.check, found.verdict) == ("API login", "not known")
