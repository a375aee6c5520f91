"""The options of the commands that start runs: made of the parameters of the flow, with the words and rules of its start form."""

import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from deployments.cli.options import parse_moment
from deployments.deployed_flows import flow_named
from deployments.start_forms import FORMS, StartForm
from tasks.estate.flow_parameters import ANSWER_AT_MOST
from tasks.estate.form_choices import duration

PEOPLE = ("requested_by", "your_name")  # fields that name whoever starts the run: options, although flows need them
DURATIONS = ("answer_within",)
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
TIMES: TypeAdapter[timedelta] = TypeAdapter(timedelta)


@cache
def fields_of(verb: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the fields of a verb's flow by name (JSON schema of each): those that it needs, those of its form, the others."""
    schema = flow_named(verb).parameters
    form = FORMS.get(verb, StartForm(()))
    names = [*arguments_of(verb), *form.fields, *form.advanced, *schema.properties]
    return {name: schema.properties[name] for name in dict.fromkeys(names) if name in schema.properties}


def arguments_of(verb: str) -> list[str]:
    """Return what a verb is about: the parameters that its flow needs, without the name of a person."""
    return [name for name in flow_named(verb).parameters.required if name not in PEOPLE]


def with_fields(verb: str, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command of `run` that takes the fields of the verb's flow as arguments and options.

    `run` is called with all fields by keyword; one that was not typed is None.
    """

    def command(**given: Any) -> Any:
        return run(**given)

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=_annotation(verb, name, field), default=None)
        for name, field in fields_of(verb).items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typeshed lacks the attribute
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__name__, command.__doc__ = verb, about(verb)
    return command


def about(verb: str) -> str:
    """Return the first sentence about a verb's flow, which is also the description of its form."""
    return (inspect.getdoc(flow_named(verb).fn) or "").partition("\n")[0]


def _annotation(verb: str, name: str, field: Mapping[str, Any]) -> Any:
    title, description = field.get("title", name), field.get("description", "")
    if name in arguments_of(verb):
        return Annotated[str | None, typer.Argument(metavar=f"[{name.upper()}]", help=f"{title}. {description}")]
    word = name.replace("_", "-")
    if field.get("type") == "boolean":
        return Annotated[bool | None, typer.Option(f"--{word}/--no-{word}", help=f"{title}. {description}")]
    if field.get("type") == "integer":
        return Annotated[int | None, typer.Option(f"--{word}", metavar="NUMBER", help=f"{title}. {description}")]
    return Annotated[
        str | None, typer.Option(f"--{word}", metavar=_metavar(name, field), help=f"{title}. {description}")
    ]


def _metavar(name: str, field: Mapping[str, Any]) -> str:
    if field.get("type") == "array":
        return "A,B"
    if name in DURATIONS:
        return "DURATION"
    if _is_moment(field):
        return "TIME"
    return "|".join(field["enum"]) if "enum" in field else "TEXT"


def read_values(verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed as the flow's parameters: lists, times and durations. Raise typer's usage error."""
    fields = fields_of(verb)
    return {name: _value(name, fields[name], typed) for name, typed in given.items() if typed not in (None, "")}


def _value(name: str, field: Mapping[str, Any], typed: Any) -> Any:
    if field.get("type") == "array":
        return [each.strip() for each in typed.split(",") if each.strip()]
    if name in DURATIONS:
        return read_duration(typed)
    return parse_moment(typed).isoformat() if _is_moment(field) else typed


def _is_moment(field: Mapping[str, Any]) -> bool:
    return any(kind.get("format") == "date-time" for kind in field.get("anyOf", [field]))


def read_duration(typed: str) -> str:
    """Return `90m`, `8h`, `2d` or `8 hours` as ISO 8601, as Prefect stores it. Raise typer's usage error."""
    number, unit = typed[:-1], typed[-1:]
    words = f"{number} {UNITS[unit]}" if number.isdecimal() and unit in UNITS else typed
    found = duration(words)
    try:
        length = TIMES.validate_python(found) if words.startswith("P") or found != words else timedelta(0)
    except ValidationError:
        length = timedelta(0)
    if length <= timedelta(0):
        raise typer.BadParameter(f"{typed!r} is not a duration like 90m, 8h, 2d or '8 hours'.")
    if length > ANSWER_AT_MOST:
        raise typer.BadParameter(f"{typed!r} is too long: a request stays open for {ANSWER_AT_MOST.days} days at most.")
    return f"PT{int(length.total_seconds())}S"
