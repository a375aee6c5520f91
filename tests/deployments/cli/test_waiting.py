"""`waiting` and `show`: a lead sees the recomputed plan, and each difference between it and the form."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from prefect.states import Failed

from deployments.comments import write_comment
from deployments.prefect_server import connected
from tests.deployments.cli.asking_flow import ANSWER_BY, sheet_of
from tests.sweeping import put

NOBODY = "00000000-0000-4000-8000-000000000000"


def test_a_run_that_asks_is_listed_with_its_code(asked: Any, machine: Callable[..., Any]) -> None:
    """The list contains code, verb, destination, deadline and link of a waiting run."""
    code, document = machine("waiting")
    (row,) = [row for row in document["waiting"] if row["run"] == asked.id]
    assert code == 0
    assert (row["code"], row["verb"], row["destination"]) == (sheet_of(asked.id).plan.code, "promote", "schulprod")
    assert row["answer_by"] == f"{ANSWER_BY:%Y-%m-%d %H:%M} UTC"
    assert asked.id in row["link"]


def test_comments_are_counted_and_shown(asked: Any, machine: Callable[..., Any], cli: Callable[..., Any]) -> None:
    """Oldest first, with claimed names."""
    with connected() as server:
        for text in ("is the *menu* done?", "yes"):
            write_comment(server.client, UUID(asked.id), "Carl", text)
    _, document = machine("waiting")
    assert [row["comments"] for row in document["waiting"] if row["run"] == asked.id] == [2]
    code, document = machine("show", asked.id)
    assert code == 0
    assert [(each["name"], each["text"]) for each in document["comments"]] == [
        ("Carl", "is the *menu* done?"),
        ("Carl", "yes"),
    ]
    assert "Carl (not proven): is the *menu* done?" in cli("show", asked.id).stdout


def test_a_run_without_a_sheet_is_listed_as_unreadable(ask: Callable[..., Any], machine: Callable[..., Any]) -> None:
    """A request without a readable sheet is listed, and marked as unreadable."""
    run = ask(sheet="bad")
    _, document = machine("waiting")
    assert [row["code"] for row in document["waiting"] if row["run"] == run.id] == ["unreadable"]


def test_show_recomputes_the_plan_next_to_the_form(asked: Any, machine: Callable[..., Any]) -> None:
    """One document contains the fingerprint, the risk with its reasons and the form's text, and they agree."""
    plan = sheet_of(asked.id).plan
    code, document = machine("show", plan.code.lower().replace("-", " "))
    assert code == 0
    assert document["fingerprint"] == plan.fingerprint
    assert (document["risk"], document["reasons"], document["people"]) == ("red", ["the destination is newer"], 2)
    assert document["lost_for_good"] == ["two posts of production"]
    assert document["overrides"] == ["hold:3"]
    assert plan.code in document["form"]
    assert document["disagreements"] == []


def test_show_prints_the_differences(asked: Any, cli: Callable[..., Any]) -> None:
    """Without a terminal, plain lines contain the deadline, the list of differences and what is newer."""
    shown = cli("show", asked.id)
    assert shown.exit_code == 0, shown.output
    assert "* PHP (check this)\n    * schulstage: 8.3\n    * schulprod: 8.2\n" in shown.stdout
    assert "schulprod is NEWER than schulstage." in shown.stdout
    assert ANSWER_BY.isoformat() in shown.stdout
    assert "\x1b" not in shown.output


def test_a_form_that_differs_from_its_sheet_is_reported(ask: Callable[..., Any], cli: Callable[..., Any]) -> None:
    """If Prefect shows another destination than the sheet, this is printed first and the exit code is 1."""
    shown = cli("show", ask(shown="schultest").id)
    assert shown.exit_code == 1
    assert shown.stdout.startswith("THE FORM AND THE SHEET DISAGREE.")
    assert "The form expects '^schultest$' as destination; the sheet contains 'schulprod'." in shown.stdout
    assert "Do not approve." in shown.stdout


def test_control_characters_of_a_form_reach_no_terminal(ask: Callable[..., Any], cli: Callable[..., Any]) -> None:
    """Escape sequences, reversed text and bells, which anybody with access to Prefect can write, are removed."""
    run = ask(text="\x1b[2J\x1b[31mplan \u202eevil\u200b\x07")
    shown = cli("show", run.id)
    assert not {"\x1b", "\u202e", "\u200b", "\x07"} & set(shown.stdout)
    assert "[2J[31mplan evil" in shown.stdout


@pytest.mark.parametrize(
    ("parameters", "words"), [({"sheet": "none"}, "it is missing"), ({"sheet": "bad"}, "it is not a sheet")]
)
def test_a_request_without_a_sheet_cannot_be_shown(
    ask: Callable[..., Any], cli: Callable[..., Any], parameters: dict[str, str], words: str
) -> None:
    """The error names what is missing and what to do; there is no traceback."""
    shown = cli("show", ask(**parameters).id)
    assert shown.exit_code == 1
    assert words in shown.stderr
    assert "start a new run" in shown.stderr
    assert shown.stdout == ""


@pytest.mark.parametrize("named", [NOBODY, "ZZZZ-ZZZZ", "nonsense"])
def test_a_run_or_code_that_does_not_wait_is_not_found(
    prefect_server: None, machine: Callable[..., Any], named: str
) -> None:
    """An unknown run or code returns one error document with the next step."""
    code, document = machine("show", named)
    assert (code, document["error"]["outcome"]) == (1, "NotFound")
    assert document["error"]["next_step"]


def test_a_run_that_no_longer_waits_is_shown_as_it_is(ask: Callable[..., Any], machine: Callable[..., Any]) -> None:
    """By its id and by the code of its plan, a run that ended is shown with its state and message instead of an error."""
    run = ask()
    put(run, Failed(name="Rejected", message="Anna Lead rejected it"))
    for named in (run.id, sheet_of(run.id).plan.code):
        code, document = machine("show", named)
        assert (code, document["run"], document["state"]) == (0, run.id, "Rejected")
        assert document["message"] == "Anna Lead rejected it"
