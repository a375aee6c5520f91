"""Names of runs: the same words, whether a person named the places or picked them from a list."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.runtime import run_names

PROMOTE = run_names.of_pair("promote {source} to {destination}")
RELOAD = run_names.of_load("reload {hostname} from {policy}")
DIAGNOSE = run_names.of_place("diagnose {install}")


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        (PROMOTE, {"site": "", "source": "a", "destination": "b"}, "promote a to b"),
        (PROMOTE, {"site": "Fest: a to b", "source": "", "destination": ""}, "promote a to b"),
        (PROMOTE, {"site": "", "source": "", "destination": ""}, "promote"),
        (
            RELOAD,
            {"loaded": "portal: x.example to y.example", "policy": "", "hostname": ""},
            "reload y.example from portal",
        ),
        (DIAGNOSE, {"install": "schulstage"}, "diagnose schulstage"),
        (DIAGNOSE, {"install": "schulstage (staging of Schulfest)", "days": 3}, "diagnose schulstage"),
        (run_names.of_hold, {"destination": "s (staging of S)", "end_hold": False}, "hold s"),
        (run_names.of_hold, {"destination": "s.example", "end_hold": True}, "end the holds of s.example"),
        (
            run_names.of_restore,
            {"promotion": "schulprod: promote 5 Nov 22:31, 7K3F-92QD", "requested_by": "Ada"},
            "restore schulprod",
        ),
        (
            run_names.of_restore,
            {"promotion": "11111111-1111-4111-8111-111111111111", "requested_by": "Ada"},
            "restore for Ada",
        ),
    ],
)
def test_a_name_has_places_and_no_words_around_them(
    name: Callable[[], str], given: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No id, no role, and no whole choice is in a name."""
    monkeypatch.setattr(run_names, "flow_run", SimpleNamespace(parameters=given))
    assert name() == expected
