"""Options of the commands that start runs: what the flow takes, with the words of its form, read as Prefect stores it."""

from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from deployments.cli import plan, run
from deployments.cli.__main__ import app
from deployments.cli.start_options import about, arguments_of, fields_of, read_duration, read_values
from deployments.deployed_flows import flow_named

ROOT = Path(__file__).parents[3]


def test_there_is_a_command_for_each_deployment_that_people_start() -> None:
    """Every flow of prefect.yaml that a deployment of its own name starts is a verb, or has a command of its own."""
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    started = {each["name"] for each in declared if each["entrypoint"].endswith(f".{each['name']}")}
    assert {*run.VERBS.values(), "hold"} == started
    assert set(plan.VERBS.values()) <= started
    assert {each.name for each in run.group.registered_commands} == {*run.VERBS, "hold"}


@pytest.mark.parametrize("verb", run.VERBS.values())
def test_every_parameter_has_an_option_with_the_words_of_the_form(verb: str) -> None:
    """No parameter of a flow is left out; its title and description are the option's help."""
    fields = fields_of(verb)
    assert set(fields) == set(flow_named(verb).parameters.properties)
    word = next(word for word, each in run.VERBS.items() if each == verb)
    shown = " ".join(CliRunner().invoke(app, ["run", word, "--help"], terminal_width=300).stdout.split())
    assert " ".join(about(verb).split()) in shown
    for name, field in fields.items():
        assert (name.upper() if name in arguments_of(verb) else f"--{name.replace('_', '-')}") in shown
        assert " ".join(f"{field['title']}. {field['description']}".split()) in shown, name


def test_what_a_verb_is_about_are_arguments() -> None:
    """What a flow needs is an argument, but for the name of the person."""
    assert arguments_of("promote") == ["source", "destination"]
    assert arguments_of("restore") == ["promotion"]
    assert arguments_of("sweep") == []
    assert [*fields_of("promote")][:4] == ["source", "destination", "files", "database"]


def test_values_are_read_as_the_flow_takes_them() -> None:
    """Lists are separated by commas; what was not typed is left to the deployment."""
    given: dict[str, Any] = {"source": "a", "tables": "wp_posts, wp_users,", "files": False, "database": None}
    assert read_values("promote", given | {"answer_within": "90m", "break_glass": ""}) == {
        "source": "a",
        "tables": ["wp_posts", "wp_users"],
        "files": False,
        "answer_within": "PT5400S",
    }
    assert read_values("hold", {"until": "2026-12-24T18:00+01:00"}) == {"until": "2026-12-24T18:00:00+01:00"}
    with pytest.raises(typer.BadParameter, match="no time zone"):
        read_values("hold", {"until": "2026-12-24T18:00"})


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90m", 5400), ("8h", 28800), ("7d", 604800), ("8 hours", 28800), ("PT2H", 7200)]
)
def test_durations_are_short_or_in_words(typed: str, seconds: int) -> None:
    """The words are those of the form."""
    assert read_duration(typed) == f"PT{seconds}S"


@pytest.mark.parametrize("typed", ["", "8", "soon", "0h", "-8h", "8 weeks", "PT", "169h", "99999m", "PT0S", "²h"])
def test_what_is_no_duration_or_too_long_is_refused(typed: str) -> None:
    """A request stays open for a week at most."""
    with pytest.raises(typer.BadParameter, match=r"is not a duration|is too long"):
        read_duration(typed)
