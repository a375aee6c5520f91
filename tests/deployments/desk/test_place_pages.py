"""Places at the desk: nights, freezes and holds of the next days, and forms that start what the worker checks."""

import hashlib
import html
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule

from tasks.estate.polling import utc_now
from tests.deployments.desk.conftest import Office
from tests.raw_facts import raw_fact

ESTATE = """
sites:
  - {name: Schulfest, production: schulprod, staging: schulstage, development: schuldev, owners: [Ada Admin]}
databases:
  - {name: Schulportal, application: schulportal, policy: schulportal, source: UNDERSTUDY_SCHULPORTAL_SOURCE,
     target: UNDERSTUDY_SCHULPORTAL_TARGET, source_hostname: schule.example, hostname: staging.schule.example}
"""


@pytest.fixture
def office(office: Office, tmp_path: Path) -> Office:
    """The desk of an estate."""
    (tmp_path / "estate.yaml").write_text(ESTATE)
    return office


def night(destination: str) -> DeploymentResponse:
    """A deployment that refreshes it at 3 o'clock."""
    cron = DeploymentSchedule(id=uuid4(), schedule=CronSchedule(cron="0 3 * * *", timezone="UTC"), active=True)
    given = {"source": "schulprod", "destination": destination}
    return DeploymentResponse(
        id=uuid4(), name="nightly-schulstage", flow_id=uuid4(), schedules=[cron], parameters=given
    )


def text_of(page: str) -> str:
    """The page without its markup."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


def test_the_calendar_shows_nights_freezes_and_holds(office: Office, tmp_path: Path) -> None:
    """Fourteen nights, each with the reason for which it does not run, as far as that is known now."""
    office.prefect.deployments.append(night("schulstage"))
    now = utc_now()
    end = (now + timedelta(days=20)).isoformat()
    begin = (now + timedelta(days=2)).replace(tzinfo=None).isoformat(timespec="minutes")
    (tmp_path / "freezes.yaml").write_text(
        f"- {{rule: deny, name: Fair, zone: UTC, start: {begin}, lasts: P1D, reason: the fair, owner: Ada Admin}}\n"
    )
    office.sources.freeze_file = tmp_path / "freezes.yaml"
    page = text_of(office.page("/places/schulstage"))
    assert "nothing but a restore" in page
    assert page.count("nightly-schulstage does not run: No standing approval names it") == 14
    assert "Freeze 'Fair': the fair" in page
    held = {"destination": "schulstage", "until": end, "by": "Ada Admin", "reason": "rehearsal"}
    office.ledger.record(raw_fact("hold", held), run_id="r")
    assert "Held by Ada Admin: rehearsal No run by schedule overwrites it." in text_of(
        office.page("/places/schulstage")
    )
    office.sources._deployments = None
    office.prefect.away = True
    assert "its schedules are not known" in office.page("/places/schulstage")


def test_places_of_the_estate_are_listed_before_anything_ran(office: Office) -> None:
    """With the forms to start a first run."""
    page = office.page("/places")
    for name in ("schulprod", "schulstage", "schuldev", "staging.schule.example"):
        assert f'href="/places/{name}"' in page
        assert "No run is recorded." in office.page(f"/places/{name}")


@pytest.mark.parametrize(
    ("place", "fields", "started"),
    [
        (
            "schulstage",
            {"source": "schulprod", "files": "yes", "database": "yes"},
            ("refresh/refresh", {"source": "schulprod", "destination": "schulstage", "files": True, "database": True}),
        ),
        (
            "schulprod",
            {"source": "schuldev", "files": "yes"},
            ("promote/promote", {"source": "schuldev", "destination": "schulprod", "files": True, "database": False}),
        ),
        (
            "staging.schule.example",
            {"source": "schulportal"},
            ("reload/reload", {"hostname": "staging.schule.example", "policy": "schulportal"}),
        ),
    ],
)
def test_a_run_is_started_as_it_was_filled_in(
    office: Office, place: str, fields: dict[str, str], started: tuple[str, dict[str, object]]
) -> None:
    """The direction is that of the estate, other parameters cannot be passed, and the page of the run follows."""
    more = {"approval": "standing", "break_glass": "because I can", "destination": "elsewhere"}
    sent = office.send(f"/places/{place}/start", who="Ada Admin", **fields, **more)
    assert (sent.status_code, sent.headers["location"]) == (303, f"/runs/{UUID(int=1)}")
    assert office.prefect.started == [(started[0], started[1] | {"requested_by": "Ada Admin"})]


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "schulprod", "who": "Ada", "files": "yes"},  # onto itself
        {"source": "elsewhere", "who": "Ada", "files": "yes"},
        {"source": "schulstage", "who": "A", "files": "yes"},
        {"source": "schulstage", "who": "Ada"},
    ],
)
def test_what_no_run_could_have_is_not_started(office: Office, fields: dict[str, str]) -> None:
    """The reason is on the page, with what was typed."""
    sent = office.send("/places/schulprod/start", **fields)
    assert (sent.status_code, "Nothing was started." in sent.text) == (409, True)
    assert office.prefect.started == []


def test_without_an_estate_the_direction_is_that_of_the_last_run(office: Office, tmp_path: Path) -> None:
    """A promotion is offered onto what was promoted."""
    (tmp_path / "estate.yaml").unlink()
    sheet = office.ask()
    office.ledger.record(raw_fact("planned", sheet.plan.model_dump(mode="json")), run_id=sheet.plan.run_id)
    assert "Start promote" in office.page("/places/schulprod")
    office.send("/places/schulprod/start", source="schulstage", files="yes", who="Ada")
    assert [flow for flow, _ in office.prefect.started] == ["promote/promote"]


def test_a_hold_is_placed_until_a_time_with_a_word_that_ends_it(office: Office) -> None:
    """The browser sends UTC; without its script the time is read as UTC. The word is on this page only."""
    end = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0, second=0)
    for fields in ({"until": f"{end:%Y-%m-%dT%H:%M}"}, {"until": "2026-01-01T00:00", "until_utc": end.isoformat()}):
        page = office.send("/places/schulstage/hold", who="Ada Admin", why="rehearsal", **fields)
        assert page.status_code == 200
        flow, given = office.prefect.started.pop()
        word = re.search(r"--release ([\w-]+)<", page.text)
        assert word
        assert given.pop("release") == hashlib.sha256(word[1].encode()).hexdigest()
        assert (flow, given) == ("hold/hold", {
            "destination": "schulstage", "until": end.isoformat(), "reason": "rehearsal", "your_name": "Ada Admin", "end_hold": False,
        })  # fmt: skip


@pytest.mark.parametrize("until", ["", "soon", "2020-01-01T00:00", "2099-01-01T00:00"])
def test_a_hold_has_an_end_within_a_month(office: Office, until: str) -> None:
    """The worker would refuse the same, after the run has started."""
    sent = office.send("/places/schulstage/hold", who="Ada Admin", why="rehearsal", until=until)
    assert (sent.status_code, office.prefect.started) == (409, [])
    assert 'value="rehearsal"' in sent.text


def test_undo_is_filled_in(office: Office) -> None:
    """The run to undo is the one of the page; the database only if somebody chose it."""
    run = str(uuid4())
    for more, database in (({}, False), ({"database": "yes"}, True)):
        sent = office.send(f"/runs/{run}/undo", who="Ada Admin", **more)
        assert sent.status_code == 303
        (started,) = office.prefect.started
        office.prefect.started.clear()
        assert started == ("restore/restore", {"promotion": run, "requested_by": "Ada Admin", "database": database})
    assert office.send(f"/runs/{run}/undo", who="").status_code == 409
