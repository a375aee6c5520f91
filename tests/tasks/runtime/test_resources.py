"""The hosting API is opened with the login of the account that a run's installs belong to."""

from pathlib import Path

import pytest

from deployments.sandbox.host.host import Host
from tasks.configuration.settings import forget_settings
from tasks.estate.errors import UnderstudyError
from tasks.installs import resolve_install
from tasks.runtime.resources import each_account, hosting_account

ESTATE = """
accounts:
  - {name: Good, user: UNDERSTUDY_GOOD_USER, password: UNDERSTUDY_GOOD_PASSWORD}
  - {name: Wrong, user: UNDERSTUDY_WRONG_USER, password: UNDERSTUDY_WRONG_PASSWORD}
sites:
  - {name: Schulfest, account: Good, production: schulprod, staging: schulstage}
  - {name: Verein, account: Wrong, production: vereinprod, staging: vereinstage}
"""


@pytest.fixture
def accounts(worker: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An estate with two accounts, of which one has a wrong password, and no login of the worker's own."""
    (tmp_path / "estate.yaml").write_text(ESTATE)
    for name, value in {
        "GOOD_USER": "demo",
        "GOOD_PASSWORD": "demo",
        "WRONG_USER": "demo",
        "WRONG_PASSWORD": "x",
    }.items():
        monkeypatch.setenv(f"UNDERSTUDY_{name}", value)
    monkeypatch.delenv("UNDERSTUDY_API_USER")
    forget_settings()


def test_a_step_logs_in_with_the_account_of_its_install(accounts: None) -> None:
    """An install of the right account is found; one of the account with the wrong password is refused by the host."""
    assert resolve_install.fn("schulprod").name == "schulprod"
    with pytest.raises(UnderstudyError):
        resolve_install.fn("vereinprod")


def test_an_install_that_the_estate_does_not_name_is_looked_for(accounts: None) -> None:
    """The first account that has it is used."""
    assert hosting_account("fremdstage").name == "Good"


def test_every_account_is_opened(accounts: None) -> None:
    """Reading all accounts stops at the one that refuses the login: a part is never returned as the whole."""
    clients = each_account()
    assert len(next(clients).installs()) == 6
    with pytest.raises(UnderstudyError):
        next(clients).installs()
