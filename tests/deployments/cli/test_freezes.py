"""`freezes`: whether a destination is open, by which rule it is closed, and until when."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.configuration.settings import load_settings

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


def test_a_closed_destination_is_shown_with_rule_and_end(
    calendar: None, cli: Callable[..., Any], machine: Callable[..., Any]
) -> None:
    """The output contains the rule's name, reason and owner, and when it reopens."""
    arguments = ("freezes", "--destination", "schulprod", "--at", INSIDE)
    _, document = machine(*arguments)
    assert document["open"] is False
    assert document["closed_by"][0]["name"] == "Christmas"
    assert document["reopens"] == "2027-01-07T17:00:00+00:00"
    shown = cli(*arguments).stdout
    assert "denied by 'Christmas' (the shop earns its year; owner Anna Lead)" in shown
    assert "A restore is exempt." in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("--destination", "schulprod", "--at", OUTSIDE),
        ("--destination", "schulstage", "--environment", "staging", "--at", INSIDE),
    ],
)
def test_an_open_destination_is_reported(
    calendar: None, machine: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    """A destination is open before the freeze, and in an environment that it does not match."""
    _, document = machine("freezes", *arguments)
    assert (document["open"], document["closed_by"], document["reopens"]) == (True, [], None)


def test_without_a_destination_the_rules_are_listed(calendar: None, cli: Callable[..., Any]) -> None:
    """Each rule is listed, and whether it holds at the given moment."""
    assert "Christmas  deny  holds" in cli("freezes", "--at", INSIDE).stdout
    load_settings().freeze_file.unlink()
    assert cli("freezes").stdout == "There are no freeze windows.\n"


@pytest.mark.parametrize("moment", ["tomorrow", "2026-12-24T18:00"])
def test_a_moment_needs_its_zone(calendar: None, cli: Callable[..., Any], moment: str) -> None:
    """A time without a zone is a usage error."""
    assert cli("freezes", "--at", moment).exit_code == 2
