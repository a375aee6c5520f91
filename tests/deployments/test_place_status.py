"""How places stand: where they are known from, when they were last verified, and whether their next night will run."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.place_status import Circumstances, Night, next_night, status_of
from deployments.places import Nightly, Place, known_places, pairs_of_sites
from tasks.configuration.settings import load_settings
from tasks.estate.estate import Database, Estate, Site
from tasks.ledger.ledger import Ledger
from tasks.runtime.resources import read_leads
from tasks.safeguards import holds
from tasks.safeguards.freezes import Calendar, Window
from tasks.safeguards.risk_rules import RiskRules
from tasks.signoff.history import RunRecord
from tasks.signoff.standing import load_standing
from tests.raw_facts import raw_fact

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLANNED = {"verb": "refresh", "pair": {"source": {"name": "schulprod"}, "destination": {"name": "schulstage"}}}


@pytest.fixture
def place(ledger: Ledger) -> Place:
    """Staging, with a signed standing approval whose window is open, and a nightly deployment."""
    standing = tuple(load_standing(load_settings().standing_file))
    return Place("schulstage", "schulprod", standing=standing, nightly=(Nightly("nightly-refresh"),))


@pytest.fixture
def around(ledger: Ledger) -> Callable[..., Circumstances]:
    """What decides about the night: Prefect starts the run in an hour, unless a test specifies otherwise."""

    def make(**changes: Any) -> Circumstances:
        now = datetime.now(UTC)
        given = {"rules": RiskRules(), "leads": read_leads(), "calendar": Calendar(), "now": now}
        starts = {"starts": {"nightly-refresh": now + HOUR}}
        return Circumstances(ledger=ledger, facts=ledger.facts(), **(given | starts | changes))

    return make


def ran(ledger: Ledger, outcome: str, run: str, *, sent: bool = True) -> None:
    """Record a refresh of staging that ended so."""
    where = {"run_id": run, "destination_id": "d"}
    ledger.record(raw_fact("planned", PLANNED), **where)
    if sent:
        ledger.record(raw_fact("sending", {}), **where)
    ledger.record(raw_fact("outcome", {"verb": "refresh", "outcome": outcome}), **where)


def night(place: Place, around: Circumstances, *, verified: bool = True) -> Night:
    """Return the next night of a place that has one."""
    found = next_night(place, around, verified=verified)
    assert found is not None
    return found


def test_a_place_was_last_verified_when_a_run_ended_well(ledger: Ledger, place: Place, around: Any) -> None:
    """A later run that failed is the last one, and not the last that was verified."""
    ran(ledger, "Verified", "run-1")
    ran(ledger, "VerifyFailed", "run-2")
    found = status_of(place, around())
    assert found.verified is not None
    assert found.last is not None
    assert (found.verified.run_id, found.last.run_id) == ("run-1", "run-2")
    assert found.verified.ended == ledger.facts(run_id="run-1", kind="outcome")[0].at


def test_a_covered_night_runs(place: Place, around: Any) -> None:
    """A scheduled run in an open window, with a signed entry and nothing against it, runs."""
    assert night(place, around()).runs is True


def test_what_was_never_verified_is_not_known(place: Place, around: Any) -> None:
    """Before the first verified copy the night itself decides; a first load always needs a person."""
    assert night(place, around(), verified=False).runs is None
    database = Place("a.example", "app", True, standing=place.standing, nightly=place.nightly)
    assert night(database, around(), verified=False).runs is False


def test_a_hold_stops_the_night(ledger: Ledger, place: Place, around: Any) -> None:
    """A hold that lasts until the run starts is the reason; one that ends before is not."""
    now = datetime.now(UTC)
    for until, runs in ((now + HOUR / 2, True), (now + DAY, False)):
        holds.place(
            ledger, destination="schulstage", until=until, by="Ada Admin", reason="my theme", now=now, run_id="r"
        )
        found = night(place, around())
        assert found.runs is runs
    assert "by Ada Admin: my theme" in found.why


def test_failures_in_a_row_stop_the_night(ledger: Ledger, place: Place, around: Any) -> None:
    """What failed twice is not tried a third time without a person."""
    ran(ledger, "VerifyFailed", "run-1")
    assert night(place, around()).runs is True
    ran(ledger, "VerifyFailed", "run-2")
    assert "did not end well" in night(place, around()).why


def test_a_request_that_would_be_spoilt_stops_the_night(ledger: Ledger, place: Place, around: Any) -> None:
    """A promotion of the pair that waits longer than until the run starts is the reason, and is listed as waiting."""
    now = datetime.now(UTC)
    asked = {
        "at": now.isoformat(), "answer_by": (now + DAY).isoformat(), "verb": "promote", "code": "7K3F-92QD",
        "destination": "schulprod", "people": 1, "source_id": "s", "requested_by": "Ben",
    }  # fmt: skip
    ledger.record(raw_fact("asked", asked), run_id="r", destination_id="p", plan="f")
    assert "7K3F-92QD" in night(place, around()).why
    waiting = status_of(Place("schulprod"), around()).waiting
    assert [each.code for each in waiting] == ["7K3F-92QD"]


def test_a_freeze_stops_the_night(place: Place, around: Any) -> None:
    """A window of the calendar that is closed when the run starts is the reason."""
    window = Window.model_validate(
        {"rule": "deny", "name": "Christmas", "zone": "UTC", "start": date.today().isoformat(), "lasts": "P3D",
         "reason": "Nobody is here.", "owner": "Anna Lead"}
    )  # fmt: skip
    found = night(place, around(calendar=Calendar(windows=(window,))))
    assert (found.runs, "Christmas" in found.why) == (False, True)


def test_an_approval_that_does_not_cover_the_start_stops_the_night(place: Place, around: Any) -> None:
    """A run outside the window, after the last day, or without any entry does not run."""
    now = datetime.now(UTC)
    assert "window is closed" in night(place, around(starts={"nightly-refresh": now + 12 * HOUR})).why
    assert "today is" in night(place, around(starts={"nightly-refresh": now + 60 * DAY})).why
    assert "NotApproved" in night(Place("schulstage", nightly=place.nightly), around()).why


def test_schedules_that_are_paused_or_not_known_are_reported(place: Place, around: Any) -> None:
    """A paused schedule and a missing one do not run; without Prefect it is not known."""
    paused = Place("schulstage", nightly=(Nightly("nightly-refresh", paused=True),))
    assert night(paused, around(starts={})).why == "The schedule of nightly-refresh is paused."
    assert night(place, around(starts={})).runs is False
    unknown = night(place, around(starts=None))
    assert (unknown.runs, "Prefect" in unknown.why) == (None, True)
    assert next_night(Place("schulprod"), around(), verified=True) is None


def test_places_are_known_from_every_source(place: Place) -> None:
    """Estate, standing approvals, scheduled deployments and the ledger name places; each is listed once."""
    site = Site(name="Schulfest", production="schulprod", staging="schulstage", owners=("Anna Lead",))
    database = Database(
        name="Portal", application="portal", policy="portal", source="UNDERSTUDY_SOURCE_DATABASE",
        source_hostname="schule.example", hostname="staging.schule.example",
    )  # fmt: skip
    schedule = SimpleNamespace(active=True)
    deployed = [
        SimpleNamespace(name=name, parameters=given, schedules=schedules, paused=False)
        for name, given, schedules in (
            ("nightly-refresh", {"source": "schulprod", "destination": "schulstage"}, [schedule]),
            ("nightly-reload", {"policy": "other", "hostname": "other.example"}, [SimpleNamespace(active=False)]),
            ("refresh", {}, []),
        )
    ]
    runs = [RunRecord(run_id="r", at=datetime.now(UTC), verb="refresh", source="schulprod", destination="schuldev")]
    places = known_places(Estate(sites=(site,), databases=(database,)), place.standing, deployed, runs)
    found = {each.destination: each for each in places}
    assert list(found) == ["other.example", "schuldev", "schulprod", "schulstage", "staging.schule.example"]
    assert (found["schulstage"].site, found["schulstage"].nightly) == ("Schulfest", (Nightly("nightly-refresh"),))
    assert found["schulstage"].standing == place.standing
    assert (found["other.example"].database, found["other.example"].nightly[0].paused) == (True, True)
    assert pairs_of_sites(places) == [("schulprod", "schuldev"), ("schulprod", "schulstage")]
