"""What a run is started with: checked before anything starts, and asked for at the terminal where it is missing."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from prefect.client.schemas.responses import DeploymentResponse

from deployments.cli.form_rules import refusing, require_fits
from deployments.cli.output import print_aside, prompt
from deployments.cli.start_options import arguments_of
from deployments.deployed_flows import is_ours, parameter_schema, why_refused_by_flow
from deployments.prefect_server import Server
from deployments.start_forms import REPLACED, TEXTS


def complete(server: Server, verb: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a verb's deployment after checking them, with what is missing as a person picks or types it.

    Where the deployment's form offers a list, as `understudy deploy` writes it, the person picks from that list.
    """
    deployment = server.deployment(f"{verb}/{verb}")
    schema = parameter_schema(deployment)
    fields: dict[str, Any] = schema.get("properties", {})
    if fields and (unknown := sorted(set(parameters) - set(fields))):
        raise typer.BadParameter(f"{verb} has no parameter {', '.join(unknown)}; it has {', '.join(fields)}.")
    lists = _lists(deployment)
    typed = {name: value for name, value in parameters.items() if value not in lists.get(name, ())}
    require_fits(typed, fields, {name: _option(name) for name in fields if name not in arguments_of(verb)})
    found = {**parameters, **_picked_pair(lists, parameters)}
    given = {name for name, value in deployment.parameters.items() if value not in (None, "")}
    replaced = {name for choice in found for name in REPLACED.get(choice, ())}
    for name in schema.get("required", []):
        if name not in {*found, *given, *replaced}:
            found[name] = _ask(fields[name], lists.get(name, ()))
    if is_ours(deployment) and (why := why_refused_by_flow(deployment, found)):
        raise typer.BadParameter(f"{verb} does not take this: {why}")
    return found


def _lists(deployment: DeploymentResponse) -> dict[str, Sequence[str]]:
    """Return the choices that the deployment's form offers, by field."""
    fields = (deployment.parameter_openapi_schema or {}).get("properties", {})
    return {name: field["enum"] for name, field in fields.items() if field.get("enum")}


def _picked_pair(lists: Mapping[str, Sequence[str]], given: Mapping[str, Any]) -> dict[str, str]:
    """Return what a person picks where one list takes the place of several names, none of which was given."""
    for field, names in REPLACED.items():
        if field in lists and not any(given.get(name) for name in names):
            return {field: _ask({"title": TEXTS[field][0]}, lists[field])}
    return {}


def _ask(field: Mapping[str, Any], choices: Sequence[str]) -> str:
    """Return what a person types, or picks by its number or in full."""
    if not choices:
        label = f"{field.get('title', '')} ({field.get('description', '')})"
        return prompt(label, refused=refusing(field))
    print_aside(*(f"{number:3}  {choice}" for number, choice in enumerate(choices, start=1)))
    numbers = {str(number): choice for number, choice in enumerate(choices, start=1)}
    typed = prompt(
        f"{field.get('title', '')}, by its number",
        refused=lambda typed: "" if typed in numbers or typed in choices else f"{typed!r} is not in the list.",
    )
    return numbers.get(typed, typed)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
