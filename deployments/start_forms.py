"""The forms that start a run: which fields, in which order, with which choices. `understudy deploy` writes them to Prefect.

Prefect makes a form of a flow's signature: every field with a default is called optional, durations are PT8H, and names are
free text. Here the same parameters become a form for people: what matters first, names as lists, the rest at the end.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect import Flow

from tasks.estate import form_choices
from tasks.estate.estate import Estate

ADVANCED = "Advanced: "
UNDO = ("restore", "promotion")  # the form and the field whose choices are runs, from the ledger
Choices = Callable[[Estate], list[str]]


@dataclass(frozen=True)
class StartForm:
    """The fields of one form, most important first. A parameter that is in neither list is not asked for."""

    fields: tuple[str, ...]
    advanced: tuple[str, ...] = ()
    choices: Mapping[str, Choices] = field(default_factory=dict)
    needed: tuple[str, ...] = ()  # fields that the flow can do without, and this form cannot
    words: Mapping[str, tuple[str, str]] = field(
        default_factory=dict
    )  # title and help of a field that means something else here


# Fields that take the place of others, and what they are called. Without entries in the estate, the others are asked for.
REPLACED = {"site": ("source", "destination"), "loaded": ("hostname", "policy")}
TEXTS = {"site": ("Site", "What is copied where."), "loaded": ("Database", "What is loaded where.")}
# Help of fields that a list or a picker replaces: the flow's own is about names and ids that people would type.
PICKED = {
    "promotion": "What is put back is the backup that this run made before it copied. The newest run is first; times are UTC.",
    "until": "At most 30 days ahead; then the hold ends by itself.",
    "answer_within": "How long the request stays open.",
}
PLACES = ("minLength", "maxLength", "pattern", "format", "default", "anyOf")  # rules that a list or a picker replaces
FORMS: dict[str, StartForm] = {
    "promote": StartForm(
        ("site", "files", "database", "requested_by"),
        ("break_glass", "tables", "answer_within"),
        {"site": form_choices.promotions},
    ),
    "refresh": StartForm(
        ("site", "database", "files", "requested_by"),
        ("tables", "proceed_when", "answer_within"),
        {"site": form_choices.refreshes},
    ),
    "provision": StartForm(
        ("source", "name", "environment", "requested_by"), ("answer_within",), {"source": form_choices.productions}
    ),
    "restore": StartForm(("promotion", "database", "requested_by"), ("answer_within",)),
    "diagnose": StartForm(
        ("install", "compare_with"), (), {"install": form_choices.installs, "compare_with": form_choices.installs}
    ),
    "classify": StartForm(("policy", "sample"), ("write_to",), {"policy": form_choices.policies}),
    "preview": StartForm(("policy", "rows"), ("show_originals", "risk_phrase"), {"policy": form_choices.policies}),
    "anonymize": StartForm(
        ("policy", "attachments", "requested_by"), ("off", "risk_phrase"), {"policy": form_choices.policies}
    ),
    "load_dump": StartForm(
        ("loaded", "dump", "requested_by"),
        ("readers", "off", "risk_phrase", "answer_within"),
        {"loaded": form_choices.loads},
    ),
    "reload": StartForm(
        ("loaded", "attachments", "requested_by"),
        ("readers", "answer_within"),
        {"loaded": form_choices.loads},
    ),
    "hold": StartForm(
        ("destination", "until", "reason", "your_name"),
        (),
        {"destination": form_choices.destinations},
        ("until", "reason"),
    ),
    "end-hold": StartForm(
        ("destination", "your_name"),
        (),
        {"destination": form_choices.destinations},
        words={
            "destination": ("What is held", "The place whose holds end. The run asks for proof."),
            "your_name": ("Your name", "You start this run; a holder or a lead answers its form."),
        },
    ),
    "audit": StartForm(("days", "destination"), (), {"destination": form_choices.destinations}),
}


def schema_of(
    flow: Flow[..., Any], estate: Estate, *, deployment: str = "", undoable: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the parameter schema of a deployment: the flow's own, or the form of `FORMS` with the choices of the estate.

    `deployment`: its name, if the flow has several forms. `undoable`: choices of the runs that `restore` can undo.
    """
    own: dict[str, Any] = dict(flow.parameters.model_dump(mode="json"))
    form = FORMS.get(deployment or flow.name)
    if form is None:
        return own
    properties: dict[str, dict[str, Any]] = {}
    required = []
    for name in _names(form, estate):
        choices = list(undoable) if (flow.name, name) == UNDO else _choices(form, name, estate)
        shown = _field(own["properties"].get(name), name, choices)
        if name in form.words:
            shown["title"], shown["description"] = form.words[name]
        if name in form.advanced:
            shown["title"] = ADVANCED + shown["title"]
        properties[name] = shown | {"position": len(properties)}
        empty = own["properties"].get(name, {}).get("default", "none") in ("", [], None)
        if not empty or name in form.needed:
            required.append(name)
    return own | {"properties": properties, "required": required}


def parameters_of(flow: Flow[..., Any], estate: Estate) -> dict[str, str]:
    """Return the parameters that a form does not ask for because a choice contains them: a flow takes them as empty."""
    form = FORMS.get(flow.name, StartForm(()))
    replaced = [name for key in form.choices for name in REPLACED.get(key, ()) if _choices(form, key, estate)]
    return {name: "" for name in replaced if name in flow.parameters.required}


def _names(form: StartForm, estate: Estate) -> list[str]:
    """Return the fields in their order; without choices, the fields that a choice would have replaced."""
    names: list[str] = []
    for name in (*form.fields, *form.advanced):
        names += [name] if name not in REPLACED or _choices(form, name, estate) else REPLACED[name]
    return names


def _choices(form: StartForm, name: str, estate: Estate) -> list[str]:
    return form.choices[name](estate) if name in form.choices else []


def _field(own: dict[str, Any] | None, name: str, choices: list[str]) -> dict[str, Any]:
    """Return one field: a list if there are choices, a picker for a time, hours in words, otherwise the flow's own."""
    if own is None:
        title, description = TEXTS[name]
        own = {"title": title, "description": description}
    if name == "answer_within":
        choices = list(form_choices.DURATIONS)
    if name in PICKED and (choices or "anyOf" in own):
        own = own | {"description": PICKED[name]}
    if "anyOf" in own:  # a value or nothing: Prefect shows tabs for it, and a picker for the value alone
        return {**{key: value for key, value in own.items() if key not in PLACES}, **own["anyOf"][0]}
    if not choices:
        return dict(own)
    kept = {key: value for key, value in own.items() if key not in PLACES}
    default = {"default": own["default"]} if own.get("default") in choices else {}
    return {**kept, "type": "string", "enum": choices, **default}
