"""Start forms: what matters first, lists of the estate, and nothing is called optional that is not."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from deployments.estate_deployments import wanted_deployments
from deployments.start_forms import ADVANCED, FORMS, parameters_of, schema_of
from tasks.configuration.estate_file import load_estate
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Estate

ROOT = Path(__file__).parents[2]
ESTATE = load_estate(ROOT / "deployments" / "sandbox" / "estate.yaml")
UNDO = "schulprod: promote 5 Nov 22:31, 7K3F-92QD"


def flow_of(name: str) -> Any:
    """Return the flow of a form: that of its name, or of the end of it."""
    verb = name.rpartition("-")[2]
    return getattr(importlib.import_module(f"flows.{verb}"), verb)


def form(verb: str, estate: Estate = ESTATE) -> dict[str, Any]:
    """Return the fields of a form by name."""
    fields: dict[str, Any] = schema_of(flow_of(verb), estate, deployment=verb, undoable=[UNDO])["properties"]
    return fields


def test_sites_databases_and_runs_are_lists() -> None:
    """The first field of each form is what it is about, as sentences to pick from."""
    assert form("promote")["site"]["enum"][0] == "Schulfest: schulstage to schulprod"
    assert form("refresh")["site"]["enum"][0] == "Schulfest: schulprod to schulstage"
    assert form("reload")["loaded"]["enum"] == ["schulportal: schule.example to staging.schule.example"]
    assert form("restore")["promotion"]["enum"] == [UNDO]
    assert form("hold")["destination"]["enum"][-1] == "staging.schule.example (database of Schulportal)"
    for verb in FORMS:
        assert next(iter(form(verb).values())).get("enum") or verb == "audit", verb


def test_a_list_or_a_picker_is_not_explained_as_a_text() -> None:
    """Where people pick a run, a time or a duration, the help is about the choice; without a list it is about what they type."""
    assert "The newest run is first; times are UTC." in form("restore")["promotion"]["description"]
    assert "choose date-time" not in form("hold")["until"]["description"]
    assert "minutes" not in form("promote")["answer_within"]["description"]
    assert form("end-hold")["destination"]["title"] == "What is held"
    unlisted = schema_of(flow_of("restore"), ESTATE, deployment="restore")["properties"]["promotion"]
    assert unlisted["description"].startswith("Id of the run")


@pytest.mark.parametrize("verb", FORMS)
def test_every_field_explains_itself_and_advanced_ones_are_last(verb: str) -> None:
    """Each field has a title, a description and its place; the advanced ones end the form."""
    fields = list(form(verb).values())
    assert all(each["title"] and each["description"] for each in fields)
    assert [each["position"] for each in fields] == list(range(len(fields)))
    advanced = [each["title"].startswith(ADVANCED) for each in fields]
    assert advanced == sorted(advanced)
    assert not any("anyOf" in each for each in fields)


@pytest.mark.parametrize("verb", FORMS)
def test_nothing_is_called_optional_that_is_not(verb: str) -> None:
    """A field may stay empty only if an empty value means something; one with another default is filled in."""
    schema = schema_of(flow_of(verb), ESTATE, deployment=verb, undoable=[UNDO])
    for name, shown in schema["properties"].items():
        own = flow_of(verb).parameters.properties.get(name, {})
        may_be_empty = "default" in own and own["default"] in ("", [], None)
        assert (name in schema["required"]) is not (may_be_empty and name not in FORMS[verb].needed), (verb, shown)


@pytest.mark.parametrize("verb", FORMS)
def test_a_form_has_only_parameters_of_its_flow(verb: str) -> None:
    """What people pick, with what is not asked for, is accepted by the flow."""
    flow = flow_of(verb)
    assert set(form(verb)) <= set(flow.fn.__annotations__)
    picked = {
        name: each.get("default", (each.get("enum") or ["2026-12-24T18:00+01:00"])[0])
        for name, each in form(verb).items()
    }
    known = {"requested_by": "Ada Admin", "your_name": "Ada Admin", "name": "schulneu"}
    flow.validate_parameters(parameters_of(flow, ESTATE) | picked | {k: v for k, v in known.items() if k in picked})


def test_without_entries_the_names_are_typed() -> None:
    """An estate of databases alone still promotes installs by name, and one of sites alone loads by hostname."""
    fields = form("promote", Estate(databases=ESTATE.databases))
    assert list(fields)[:2] == ["source", "destination"]
    assert parameters_of(flow_of("promote"), Estate(databases=ESTATE.databases)) == {}
    assert list(form("reload", Estate(sites=ESTATE.sites)))[:2] == ["hostname", "policy"]
    assert "enum" not in schema_of(flow_of("restore"), ESTATE)["properties"]["promotion"]


def test_durations_are_words() -> None:
    """Deadlines say hours and days, also in the form that Prefect makes itself."""
    assert form("promote")["answer_within"]["default"] == "8 hours"
    assert flow_of("promote").parameters.properties["answer_within"]["default"] == "8 hours"


def test_each_night_of_the_estate_is_a_deployment() -> None:
    """It has the pair, the approval and the beginning of the window; prefect.yaml's own examples are not among them."""
    wanted = {each.full_name: each for each in wanted_deployments(ESTATE)}
    nights = {name: each for name, each in wanted.items() if "nightly" in each.tags}
    assert set(nights) == {"refresh/nightly-schulstage", "reload/nightly-schulportal"}
    refresh, reload = nights["refresh/nightly-schulstage"], nights["reload/nightly-schulportal"]
    assert refresh.parameters == {
        "source": "schulprod", "destination": "schulstage", "proceed_when": "probable", "approval": "standing",
        "requested_by": "nightly schedule",
    }  # fmt: skip
    assert [str(each) for each in refresh.schedules] == ["every day at 03:00 Europe/Vienna"]
    assert (reload.parameters["hostname"], reload.parameters["policy"]) == ("staging.schule.example", "schulportal")
    assert "Owned by Demo Lead." in refresh.description
    assert {f"{flow_of(name).name}/{name}" for name in FORMS} < set(wanted)


def test_an_empty_estate_is_not_deployed() -> None:
    """Without entries nothing would be scheduled, and prefect.yaml is what to deploy."""
    with pytest.raises(Misconfigured, match="neither a site nor a database"):
        wanted_deployments(Estate())
