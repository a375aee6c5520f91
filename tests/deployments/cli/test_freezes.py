"""`freezes`: open or closed, by which rule, and when again."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.estate.settings import load_settings

CALENDAR = """
- rule: deny
  name: Christmas
  destinations: ["schul*"]
  environments: [production]
  zone: Europe/Vienna
  start: 2026-12-20T18:00
  lasts: P18D
  reason: the shop earns its year
  owner: Anna Lead
"""
INSIDE, OUTSIDE = "2026-12-24T18:00+01:00", "2026-12-19T18:00+01:00"


@pytest.fixture
def calendar(worker: Any) -> None:
    """A freeze over Christmas."""
    load_settings().freeze_file.write_text(CALENDAR)


def test_a_closed_destination_is_told_with_rule_and_end(
    calendar: None, cli: Callable[..., Any], machine: Callable[..., Any]
) -> None:
    """The rule's name, reason and owner, and when it reopens."""
    question = ("freezes", "--destination", "schulprod", "--at", INSIDE)
    _, document = machine(*question)
    assert document["open"] is False
    assert document["closed_by"][0]["name"] == "Christmas"
    assert document["reopens"] == "2027-01-07T17:00:00+00:00"
    told = cli(*question).stdout
    assert "denied by 'Christmas' (the shop earns its year; owner Anna Lead)" in told
    assert "A restore is exempt." in told


@pytest.mark.parametrize(
    "question",
    [
        ("--destination", "schulprod", "--at", OUTSIDE),
        ("--destination", "schulstage", "--environment", "staging", "--at", INSIDE),
    ],
)
def test_an_open_destination_is_told(calendar: None, machine: Callable[..., Any], question: tuple[str, ...]) -> None:
    """Before the freeze, and for an environment that it does not speak of."""
    _, document = machine("freezes", *question)
    assert (document["open"], document["closed_by"], document["reopens"]) == (True, [], None)


def test_without_a_destination_the_rules_are_listed(calendar: None, cli: Callable[..., Any]) -> None:
    """Each rule with whether it holds at the moment that is asked about."""
    assert "Christmas  deny  holds" in cli("freezes", "--at", INSIDE).stdout
    load_settings().freeze_file.unlink()
    assert cli("freezes").stdout == "Nothing is frozen, ever.\n"


@pytest.mark.parametrize("moment", ["tomorrow", "2026-12-24T18:00"])
def test_a_moment_needs_its_zone(calendar: None, cli: Callable[..., Any], moment: str) -> None:
    """A time that could be read in two ways is a usage error."""
    assert cli("freezes", "--at", moment).exit_code == 2
