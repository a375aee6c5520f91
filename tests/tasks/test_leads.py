"""Leads are compared with the users of the hosting account: who is suspended, when, and what happens if the host does not answer."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from flows.sweep import sweep
from tasks import leads
from tasks.estate.polling import utc_now
from tasks.runtime.resources import read_leads
from tests.people import DEMO_LEAD, SECOND_LEAD, write_leads
from tests.raw_facts import raw_fact
from tests.sweeping import Sweeping

DEMO, SECOND = "demo@schulfest.example", "second@schulfest.example"
compare = leads.compare_leads.fn  # without Prefect around it: fast


@pytest.fixture
def ruled(office: Sweeping, tmp_path: Path) -> Sweeping:
    """A place to sweep, with the rule on."""
    (tmp_path / "risks.yaml").write_text("leads_are_users: true\n")
    return office


@pytest.fixture
def tomorrow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Move the next comparison to another day."""
    days = iter(range(1, 9))

    def pass_a_day() -> None:
        moment = utc_now() + timedelta(days=next(days))
        monkeypatch.setattr(leads, "utc_now", lambda: moment)

    return pass_a_day


def facts(office: Sweeping) -> list[tuple[str, str]]:
    """Return the ledger's facts about leads."""
    found = office.ledger.facts(kinds=("lead-suspended", "lead-restored"))
    return [(fact.kind, fact.detail["name"]) for fact in found]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"gone": True}, "is no user of the hosting account of fremdstage"),
        ({"invite_accepted": False}, "has not accepted the invitation to the hosting account of fremdstage"),
        ({"mfa_enabled": False}, "uses no two-factor login at the hosting account of fremdstage"),
        ({"mfa_enabled": None}, "uses no two-factor login at the hosting account of fremdstage"),
    ],
)
def test_a_lead_who_is_not_well_at_the_host_is_suspended(
    change: dict[str, Any], why: str, ruled: Sweeping, estate: Host
) -> None:
    """A lead who is gone, never accepted, has no second factor, or whose state is unknown may not answer; others may."""
    estate.change_user(SECOND, **change)
    answered = f"{SECOND_LEAD} {why} and is suspended for it; another lead must answer."
    assert compare() == [answered]
    assert read_leads().names == (DEMO_LEAD,)
    assert read_leads().why_not(SECOND_LEAD) == answered
    assert ruled.subjects == ["who may approve has changed"]


def test_a_user_of_one_account_only_is_suspended(ruled: Sweeping, estate: Host) -> None:
    """A lead approves for every install of the login, so every account counts."""
    (_, second) = [user for user in estate.store.all("users") if user["email"] == SECOND]
    estate.store.put("users", second | {"gone": True})
    assert len(compare()) == 1


def test_addresses_are_compared_without_case(ruled: Sweeping, estate: Host) -> None:
    """The portal may write an address as the person once did."""
    estate.change_user(SECOND, email="Second@Schulfest.EXAMPLE")
    assert compare() == []
    assert facts(ruled) == []
    assert ruled.subjects == []


def test_once_a_day_until_all_is_well_again(ruled: Sweeping, estate: Host, tomorrow: Any) -> None:
    """The host is asked once a day, a day without a change sends no notice, and a corrected lead is restored."""
    estate.change_user(SECOND, mfa_enabled=False)
    first = compare()
    asked = len(estate.journal())
    assert compare() == first
    assert len(estate.journal()) == asked
    tomorrow()
    assert compare() == first
    assert facts(ruled) == [("lead-suspended", SECOND_LEAD)]
    estate.change_user(SECOND, mfa_enabled=True)
    tomorrow()
    assert compare() == []
    assert facts(ruled) == [("lead-suspended", SECOND_LEAD), ("lead-restored", SECOND_LEAD)]
    assert read_leads().names == (DEMO_LEAD, SECOND_LEAD)
    assert ruled.subjects == ["who may approve has changed"] * 2
    assert "may approve again" in ruled.catcher.caught[-1].body


@pytest.mark.parametrize("fault", ["server-error-burst", "malformed-json", "rate-limit-burst"])
def test_a_host_that_does_not_answer_changes_nothing(fault: str, ruled: Sweeping, estate: Host) -> None:
    """Nobody is suspended, restored or notified; the next sweep of the same day tries again."""
    ruled.ledger.record(raw_fact("lead-suspended", {"name": DEMO_LEAD, "why": "has left"}), run_id="r")
    head = ruled.ledger.head()
    estate.change_user(SECOND, gone=True)
    estate.switch_on(fault, path="/account_users", times=1)
    (before,) = leads.compare_leads()
    assert before.startswith(f"{DEMO_LEAD} has left")
    assert ruled.ledger.head() == head
    (after,) = compare()
    assert after.startswith(SECOND_LEAD)


def test_an_account_without_users_is_no_answer(ruled: Sweeping, estate: Host) -> None:
    """An account has an owner at least: a list that is empty must not suspend everybody."""
    estate.change_user(DEMO, gone=True)
    estate.change_user(SECOND, gone=True)
    assert leads.compare_leads() == []
    assert ruled.ledger.head() is None


def test_a_refusal_is_reported_once_a_day(ruled: Sweeping, estate: Host) -> None:
    """A login without permission disables the rule: people are notified, and the sweep continues."""
    ruled.set("API_PASSWORD", "old")
    assert [leads.compare_leads(), leads.compare_leads()] == [[], []]
    assert ruled.subjects == ["the leads could not be compared with the hosting account"]
    ruled.set("API_PASSWORD", "demo")
    estate.change_user(SECOND, gone=True)
    assert len(leads.compare_leads()) == 1


def test_with_the_rule_off_nobody_asks_and_old_suspensions_have_no_effect(
    ruled: Sweeping, estate: Host, tmp_path: Path
) -> None:
    """The present file decides; suspensions under the rule have no effect until it is on again."""
    estate.change_user(SECOND, gone=True)
    compare()
    asked = len(estate.journal())
    (tmp_path / "risks.yaml").unlink()
    assert compare() == []
    assert len(estate.journal()) == asked
    assert read_leads().names == (DEMO_LEAD, SECOND_LEAD)


def test_without_a_login_nothing_is_asked_and_what_was_found_holds(ruled: Sweeping, estate: Host) -> None:
    """A worker for databases only cannot compare; it uses the result of another worker."""
    ruled.ledger.record(raw_fact("lead-suspended", {"name": SECOND_LEAD, "why": "left"}), run_id="r")
    ruled.set("API_USER", "")
    assert len(compare()) == 1
    assert estate.journal() == []


def test_who_is_suspended_in_the_file_is_not_compared(ruled: Sweeping, estate: Host, tmp_path: Path) -> None:
    """The file alone decides on its own suspensions."""
    write_leads(tmp_path)
    file = tmp_path / "leads.yaml"
    file.write_text(file.read_text().replace("name: Second Lead", "name: Second Lead\n  suspended: true"))
    estate.change_user(SECOND, gone=True)
    assert compare() == []
    assert facts(ruled) == []


def test_a_sweep_suspends_and_its_report_says_so(ruled: Sweeping, estate: Host) -> None:
    """The whole flow: the step is part of it, the report and the run's message name it."""
    ruled.ledger.record(raw_fact("digest"), run_id="r", once=f"digest:{utc_now().date()}")
    estate.change_user(SECOND, mfa_enabled=False)
    run = ruled.start(sweep)
    assert (run.state, run.message) == ("Swept", "1 suspended.")
    assert "## Leads suspended" in run.report
    assert f"{SECOND_LEAD} uses no two-factor login" in run.report
    (fact,) = ruled.ledger.facts(kind="lead-suspended")
    assert fact.run_id == run.id
