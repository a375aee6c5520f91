"""Choices of start forms: each is read back as exactly the names that it was made of."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.estate import form_choices as choices
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Database, Estate, Site

NAMES = st.from_regex(r"[a-z0-9]{3,14}", fullmatch=True)
TITLES = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=("Cc",)), min_size=1, max_size=60
)
ESTATE = Estate(
    sites=(Site(name="Schulfest", production="schulprod", staging="schulstage", development="schuldev"),),
    databases=(
        Database(
            name="Portal", application="app", policy="portal", source="UNDERSTUDY_A", source_hostname="p.example",
            target="UNDERSTUDY_B", hostname="staging.p.example",
        ),
        Database(name="Shop", application="shop", policy="shop", source="UNDERSTUDY_C", source_hostname="s.example"),
    ),
)  # fmt: skip


def test_an_estate_has_a_choice_for_each_way_and_place() -> None:
    """Pairs go up and down, databases without a target are not loaded, and every place can be held."""
    assert choices.promotions(ESTATE) == ["Schulfest: schulstage to schulprod", "Schulfest: schuldev to schulprod"]
    assert choices.refreshes(ESTATE) == ["Schulfest: schulprod to schulstage", "Schulfest: schulprod to schuldev"]
    assert choices.loads(ESTATE) == ["portal: p.example to staging.p.example"]
    assert choices.productions(ESTATE) == ["schulprod (production of Schulfest)"]
    assert choices.policies(ESTATE) == ["portal", "shop"]
    assert choices.destinations(ESTATE)[2:] == [
        "schuldev (development of Schulfest)",
        "staging.p.example (database of Portal)",
    ]


@given(title=TITLES, production=NAMES, staging=NAMES)
def test_a_pair_is_read_back_whatever_the_site_is_called(title: str, production: str, staging: str) -> None:
    """The name of a site may contain colons, ` to ` and brackets."""
    estate = Estate(sites=(Site(name=title, production=production, staging=staging),))
    (up,), (down,) = choices.promotions(estate), choices.refreshes(estate)
    assert choices.chosen_pair(up, "", "") == (staging, production)
    assert choices.chosen_pair(down, "", "") == (production, staging)
    assert [choices.chosen_name(each) for each in choices.installs(estate)] == [production, staging]


def test_names_without_a_choice_stay_themselves() -> None:
    """Whoever names both sides, or one place, needs no list."""
    assert choices.chosen_pair("", "a", "b") == ("a", "b")
    assert choices.chosen_name("schulstage") == "schulstage"
    assert choices.chosen_database("", "portal", "staging.p.example") == ("portal", "staging.p.example")
    assert choices.chosen_database("portal: p.example to staging.p.example", "other", "") == (
        "portal",
        "staging.p.example",
    )


@pytest.mark.parametrize(
    "given", [("", "", ""), ("", "a", ""), ("nonsense", "", ""), ("S: a to b", "b", "a"), ("S: a to b", "a", "")]
)
def test_a_pair_that_is_not_clear_is_refused(given: tuple[str, str, str]) -> None:
    """Nothing is guessed: half a pair, an unknown text, and a choice that contradicts the names are errors."""
    with pytest.raises(Misconfigured):
        choices.chosen_pair(*given)


@pytest.mark.parametrize(
    "given", [("", "portal", ""), ("x", "portal", ""), ("portal: p to q", "portal", "other.example")]
)
def test_a_database_that_is_not_clear_is_refused(given: tuple[str, str, str]) -> None:
    """The same for databases."""
    with pytest.raises(Misconfigured):
        choices.chosen_database(*given)


@pytest.mark.parametrize(
    ("text", "value"),
    [("8 hours", timedelta(hours=8)), ("1 hour", timedelta(hours=1)), (" 90 minutes ", timedelta(minutes=90)),
     ("2 days", timedelta(days=2)), ("PT8H", "PT8H"), ("soon", "soon"), (60, 60)],
)  # fmt: skip
def test_a_duration_is_read_in_words(text: Any, value: Any) -> None:
    """Anything else is left to pydantic, which reads ISO 8601."""
    assert choices.duration(text) == value
    assert all(isinstance(choices.duration(each), timedelta) for each in choices.DURATIONS)


def test_a_run_to_undo_is_read_back_by_its_plan() -> None:
    """A choice has words and the plan's code; an id of a run has none."""
    choice = choices.undo_choice("promote", "schulprod", datetime(2026, 11, 5, 22, 31, tzinfo=UTC), "7K3F-92QD")
    assert choice == "schulprod: promote 5 Nov 22:31, 7K3F-92QD"
    assert choices.chosen_code(choice) == "7K3F-92QD"
    assert choices.chosen_code("c0ffee00-0000-4000-8000-000000000000") == ""
