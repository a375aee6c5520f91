"""Finding a run by what a person types: never a run that was not meant."""

from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun

from deployments.find_run import find_run, places_of
from tasks.estate.errors import NotFound

IDS = [UUID(f"{start}111111-1111-4111-8111-111111111111") for start in ("aa", "ab", "cc", "dd")]
PROMOTE, REFRESH = "promote schulstage to schulprod", "refresh schulprod to schulstage"
RUNS = [  # the newest first
    FlowRun(id=IDS[0], flow_id=IDS[0], name=REFRESH, parameters={"source": "schulprod", "destination": "schulstage"}),
    FlowRun(id=IDS[1], flow_id=IDS[0], name=PROMOTE, parameters={"site": "Schulfest: schulstage to schulprod"}),
    FlowRun(id=IDS[2], flow_id=IDS[0], name=PROMOTE, parameters={"source": "schulstage", "destination": "schulprod"}),
    FlowRun(id=IDS[3], flow_id=IDS[0], name="sweep"),
]


class Server:
    """A server with these runs, and without plans."""

    def recent(self, limit: int) -> list[FlowRun]:
        """Return the runs."""
        return RUNS

    def run(self, run: UUID) -> FlowRun:
        """Return one run."""
        return next(each for each in RUNS if each.id == run)

    def newest_under(self, prefix: str) -> dict[str, str]:
        """Return no sheet."""
        return {}


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        (str(IDS[2]), 2),
        (str(IDS[2])[:8], 2),
        (PROMOTE, 1),
        ("Promote", 1),
        ("schulprod", 1),
        ("schulstage", 0),
        ("SWEEP", 3),
    ],
)
def test_a_run_is_found_by_id_name_place_or_beginning(named: str, meant: int) -> None:
    """Of several runs with one name or one place, the newest is meant."""
    server: Any = Server()
    assert find_run(server, named).id == IDS[meant]


@pytest.mark.parametrize(
    ("named", "why"), [("", "begin with"), ("aaaaaa", "None of the newest"), ("7K3F-92QD", "None of")]
)
def test_what_fits_no_run_or_several_is_refused(named: str, why: str) -> None:
    """An empty text begins every name; a place, a code or an id that nothing has is named."""
    server: Any = Server()
    with pytest.raises(NotFound, match=why):
        find_run(server, named)


@pytest.mark.parametrize(
    ("parameters", "places"),
    [
        ({"loaded": "schulportal: schule.example to staging.schule.example"}, ["staging.schule.example"]),
        ({"hostname": "staging.schule.example", "policy": "schulportal"}, ["staging.schule.example"]),
        ({"install": "schulstage (staging of Schulfest)"}, ["schulstage"]),
        ({"source": "schulprod", "name": "schulneu"}, ["schulneu"]),
        ({"promotion": "schulprod: promote 5 Nov 22:31, 7K3F-92QD"}, ["schulprod"]),
        ({"days": 30, "destination": ""}, []),
    ],
)
def test_places_are_read_from_the_parameters(parameters: dict[str, Any], places: list[str]) -> None:
    """What a run overwrites, looks at or creates is its place; what it reads from is not."""
    assert places_of(FlowRun(flow_id=IDS[0], parameters=parameters)) == places
