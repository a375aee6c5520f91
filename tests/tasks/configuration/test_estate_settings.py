"""Which login and which database a run has: those that the estate names, otherwise the worker's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.sandbox.host.host import Host
from tasks.configuration.estate_settings import (
    account_of,
    has_account,
    hosting_accounts,
    site_logins,
    source_settings,
    target_settings,
)
from tasks.configuration.settings import forget_settings
from tasks.estate.errors import Misconfigured

ACCOUNTS = """
accounts:
  - {name: Agency, user: UNDERSTUDY_AGENCY_USER, password: UNDERSTUDY_AGENCY_PASSWORD, notify: ops@agency.example}
  - {name: School, user: UNDERSTUDY_SCHOOL_USER, password: UNDERSTUDY_SCHOOL_PASSWORD}
sites:
  - {name: Schulfest, account: School, production: schulprod, staging: schulstage}
  - name: Verein
    account: Agency
    production: vereinprod
    staging: vereinstage
    login: {user: UNDERSTUDY_VEREIN_USER, password: UNDERSTUDY_VEREIN_PASSWORD}
"""
DATABASES = """
databases:
  - {name: Portal, application: portal, policy: portal, source: UNDERSTUDY_PORTAL_SOURCE, source_hostname: p.example,
     target: UNDERSTUDY_PORTAL_TARGET, hostname: staging.p.example}
  - {name: Shop, application: shop, policy: shop, source: UNDERSTUDY_SHOP_SOURCE, source_hostname: s.example}
"""
VALUES = {
    "AGENCY_USER": "agency", "AGENCY_PASSWORD": "a-secret", "SCHOOL_USER": "school", "SCHOOL_PASSWORD": "s-secret",
    "PORTAL_SOURCE": "postgresql://p@one/portal", "PORTAL_TARGET": "postgresql://p@two/portal",
    "SHOP_SOURCE": "postgresql://s@three/shop", "VEREIN_USER": "guest", "VEREIN_PASSWORD": "b:c",
}  # fmt: skip
Describe = Callable[..., None]


@pytest.fixture
def describe(worker: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Describe:
    """Write the estate, and set the settings that it names; those given as None are missing."""

    def write(text: str, **settings: str | None) -> None:
        (tmp_path / "estate.yaml").write_text(text)
        for name, value in {**VALUES, **settings}.items():
            monkeypatch.setenv(f"UNDERSTUDY_{name}", value or "")
        forget_settings()

    return write


def test_without_an_estate_the_settings_of_the_worker_count(worker: Host) -> None:
    """Every install has the one login, whatever its name."""
    login = account_of("schulprod", "anything")
    assert login is not None
    assert (login.name, login.user.get_secret_value(), login.notify) == ("", "demo", "ops@schulfest.example")
    assert [each.name for each in hosting_accounts()] == [""]


def test_each_install_has_the_login_of_its_account(describe: Describe) -> None:
    """A new install that the estate does not name has the account of the other one; its address is the account's or the worker's."""
    describe(ACCOUNTS)
    for installs, name, notify in (
        (("schulprod", "schulneu"), "School", "ops@schulfest.example"),
        (("vereinstage",), "Agency", "ops@agency.example"),
    ):
        login = account_of(*installs)
        assert login is not None
        assert (login.name, login.notify) == (name, notify)
        assert login.password.get_secret_value()[0] == name[0].lower()


def test_a_pair_of_two_accounts_is_refused(describe: Describe) -> None:
    """No copy can join two accounts; nothing is guessed."""
    describe(ACCOUNTS)
    with pytest.raises(
        Misconfigured, match=r"schulprod and vereinstage belong to different accounts .*\(Agency, School\)"
    ):
        account_of("schulprod", "vereinstage")


def test_an_install_that_nobody_describes_is_looked_for_in_every_account(describe: Describe) -> None:
    """With several accounts the estate does not know its account; the worker's own login is the last of them."""
    describe(ACCOUNTS)
    assert account_of("unlisted") is None
    assert [each.name for each in hosting_accounts()] == ["Agency", "School", ""]


@pytest.mark.parametrize("wanted", [("schulprod",), ()])
def test_a_missing_setting_is_named(wanted: tuple[str, ...], describe: Describe) -> None:
    """The error contains the account and the variable, and no value."""
    describe(ACCOUNTS, SCHOOL_PASSWORD=None)
    with pytest.raises(Misconfigured, match="the account 'School' are missing: UNDERSTUDY_SCHOOL_PASSWORD"):
        account_of(*wanted)


def test_a_worker_with_an_account_in_the_estate_may_ask_a_host(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without a login of its own, and without accounts, is one for databases only."""
    monkeypatch.delenv("UNDERSTUDY_API_USER")
    describe(DATABASES)
    assert not has_account()
    describe(ACCOUNTS)
    assert has_account()


def test_the_login_of_a_site_is_that_of_its_lower_installs(describe: Describe) -> None:
    """Production is public; the worker's own list comes first."""
    describe(ACCOUNTS, SITE_LOGINS="other=u:p")
    assert site_logins() == {"other": ("u", "p"), "vereinstage": ("guest", "b:c")}
    describe(ACCOUNTS, SITE_LOGINS="vereinstage=u:p")
    assert site_logins() == {"vereinstage": ("u", "p")}


def test_each_policy_has_its_database(describe: Describe) -> None:
    """Address and hostname are those of the policy's entry, on both sides."""
    describe(DATABASES)
    source, target = source_settings("portal"), target_settings("portal")
    assert (source.source_database.get_secret_value(), source.source_hostname) == (
        "postgresql://p@one/portal",
        "p.example",
    )
    assert (target.target_database.get_secret_value(), target.target_hostname) == (
        "postgresql://p@two/portal",
        "staging.p.example",
    )
    assert source_settings("shop").source_database.get_secret_value() == "postgresql://s@three/shop"


def test_a_policy_that_no_database_has_is_refused(describe: Describe) -> None:
    """If the estate lists databases, no run reads another one under their name."""
    describe(DATABASES, SOURCE_DATABASE="postgresql://other@h/d")
    with pytest.raises(Misconfigured, match="no database with the policy 'other'; expected one of portal, shop"):
        source_settings("other")
    with pytest.raises(Misconfigured, match="names no target for the database 'Shop'"):
        target_settings("shop")


def test_a_wrong_address_is_not_shown(describe: Describe) -> None:
    """It is validated as the worker's own addresses are, under the name of its setting."""
    describe(DATABASES, PORTAL_TARGET="postgresql://u:se/cret@h/d")
    with pytest.raises(Misconfigured, match="UNDERSTUDY_PORTAL_TARGET is ambiguous") as caught:
        target_settings("portal")
    assert "cret" not in caught.value.message
    describe(DATABASES, PORTAL_TARGET=None)
    with pytest.raises(Misconfigured, match="database 'Portal' are missing: UNDERSTUDY_PORTAL_TARGET"):
        target_settings("portal")
