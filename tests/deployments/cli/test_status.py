"""`status` and `history`: places and their runs as lines and as documents, also while Prefect is away."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.cli.status import age
from tasks.ledger.ledger import Ledger
from tasks.safeguards import holds
from tests.raw_facts import raw_fact

PLANNED = {
    "verb": "promote", "requested_by": "Ada Admin",
    "pair": {"source": {"name": "schulstage"}, "destination": {"name": "schulprod"}},
}  # fmt: skip
ANSWERED = {"name": "Anna Lead", "proof": "signature", "decision": "approve", "reason": "release day"}
AWAY = {PREFECT_API_URL: "http://127.0.0.1:1/api"}


@pytest.fixture
def promoted(ledger: Ledger) -> Ledger:
    """A ledger with two promotions of production, one of which was approved and verified, and a hold of staging."""
    for run, outcome in (("run-1", "Verified"), ("run-2", "Rejected")):
        ledger.record(raw_fact("planned", PLANNED), run_id=run, destination_id="p")
        if outcome == "Verified":
            ledger.record(raw_fact("answered", ANSWERED), run_id=run, destination_id="p")
        ledger.record(raw_fact("outcome", {"verb": "promote", "outcome": outcome}), run_id=run, destination_id="p")
    now = datetime.now(UTC)
    until = now + timedelta(days=3)
    holds.place(ledger, destination="schulstage", until=until, by="Ada Admin", reason="my theme", now=now, run_id="h")
    return ledger


def test_every_place_is_listed_without_prefect(promoted: Ledger, cli: Callable[..., Any]) -> None:
    """The ledger and the files are enough for a list; what only Prefect knows is named as not known."""
    with temporary_settings(AWAY):
        done = cli("status")
    assert done.exit_code == 0, done.output
    assert "cannot be reached" in done.stderr
    lines = done.stdout.splitlines()
    (production,) = [line for line in lines if line.startswith("schulprod")]
    assert ("Rejected" in production, " s ago" in production) == (True, True)
    assert [line for line in lines if line.startswith("schulstage is held until ") and line.endswith("my theme.")]
    assert "schulstage: Prefect does not answer, so its schedules are not known." in lines


def test_one_place_is_a_document(promoted: Ledger, machine: Callable[..., Any]) -> None:
    """A place is chosen by its name; times are ISO 8601, and what does not exist is null."""
    with temporary_settings(AWAY):
        code, document = machine("status", "SCHULPROD")
    (place,) = document["places"]
    assert (code, place["place"], place["source"], place["database"]) == (0, "schulprod", "schulstage", False)
    assert (place["last_verified"]["run"], place["last"]["outcome"], place["next_night"]) == ("run-1", "Rejected", None)
    assert datetime.fromisoformat(place["last_verified"]["at"]).tzinfo is not None


@pytest.mark.parametrize("command", ["status", "history"])
def test_an_unknown_place_is_named_with_those_that_are_known(
    promoted: Ledger, machine: Callable[..., Any], command: str
) -> None:
    """The next step lists the names."""
    with temporary_settings(AWAY):
        code, document = machine(command, "schulprodd")
    assert (code, document["error"]["outcome"]) == (1, "NotFound")
    assert "schulprod" in document["error"]["next_step"]


def test_the_history_of_a_place_is_read_from_the_ledger(
    promoted: Ledger, machine: Callable[..., Any], cli: Callable[..., Any]
) -> None:
    """Newest first: who requested, who approved, how it ended. Older runs are counted, and holds follow."""
    code, document = machine("history", "schulprod", "--limit", "1")
    assert (code, document["left_out"], [run["run_id"] for run in document["runs"]]) == (0, 1, ["run-2"])
    shown = cli("history", "schulprod").stdout
    assert [word for word in ("Verified", "Rejected", "Anna Lead", "schulstage", "run-1") if word not in shown] == []
    assert "Held from" in cli("history", "schulstage").stdout


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 days")]
)
def test_an_age_has_one_unit(seconds: int, words: str) -> None:
    """The unit is the largest of which there are two."""
    assert age(timedelta(seconds=seconds)) == words
