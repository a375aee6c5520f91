"""`plan`: start the deployment of a verb, follow its run until it asks or ends, and show its form."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

import typer
import yaml

from deployments.cli.follow_run import end_result, follow, state_name
from deployments.cli.form_rules import refusing, require_fits
from deployments.cli.options import Requester, parse_pairs
from deployments.cli.output import MarkdownText, Result, command, new_group, prompt, with_options
from deployments.deployed_flows import parameter_schema
from deployments.prefect_server import Server, connected, link

Source = Annotated[str, typer.Argument(help="Name of the install to copy from.")]
Database = Annotated[bool | None, typer.Option("--database/--no-database", help="Whether the database is included.")]
Hostname = Annotated[str, typer.Argument(help="Hostname of the staging instance.")]
PolicyName = Annotated[str | None, typer.Option("--policy", help="Name of the masking policy.")]
Within = Annotated[
    str, typer.Option("--answer-within", metavar="DURATION", help="How long the form stays open: 90m, 8h, 2d.")
]
Others = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another parameter of the deployment, as in its form."),
]
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

group = new_group("Start a run and show the plan that it submits for approval. Nothing is overwritten before that.")


def _plans(verb: str, *, name: str = "", about: str | None = None) -> Callable[[Callable[..., dict[str, Any]]], None]:
    """Make a command of a function that returns parameters of the deployment; None keeps the deployment's own value."""

    def register(body: Callable[..., dict[str, Any]]) -> None:
        def run(requested_by: str, answer_within: str, others: list[str] | None, **given: Any) -> Result:
            within = f"PT{_seconds(answer_within)}S" if answer_within else None  # ISO 8601, as in the form
            parameters = {**body(**given), "requested_by": requested_by or None, "answer_within": within}
            chosen = {key: value for key, value in parameters.items() if value is not None}
            return _plan(verb, chosen | _values(others))

        options = {"requested_by": (Requester, ""), "answer_within": (Within, ""), "others": (Others, None)}
        command(group, name or verb, about)(with_options(run, body, **options))

    return register


def _copy(
    source: Source,
    destination: Annotated[str, typer.Argument(help="Name of the install that is overwritten.")],
    files: Annotated[
        bool | None, typer.Option("--files/--no-files", help="Whether uploads, themes and plugins are copied.")
    ] = None,
    database: Database = None,
    tables: Annotated[
        str, typer.Option("--tables", metavar="A,B", help="Copy only these tables of the database.")
    ] = "",
) -> dict[str, Any]:
    chosen = [name.strip() for name in tables.split(",") if name.strip()]
    copied = {"files": files, "database": database, "tables": chosen or None}
    return {"source": source, "destination": destination, **copied}


_plans("promote", about="Plan to overwrite production with staging: only files, unless --database is set.")(_copy)
_plans("refresh", about="Plan to overwrite staging with production.")(_copy)


@_plans("provision")
def provision(source: Source, name: Annotated[str, typer.Argument(help="Name of the new install.")]) -> dict[str, Any]:
    """Plan a new staging install on production's site. It is created at once, and filled after approval."""
    return {"source": source, "name": name}


@_plans("restore")
def restore(
    promotion: Annotated[UUID, typer.Argument(metavar="RUN", help="Run to undo; its report contains the id.")],
    database: Database = None,
) -> dict[str, Any]:
    """Plan to restore the backup that a run made before it copied."""
    return {"promotion": str(promotion), "database": database}


@_plans("load_dump", name="load")
def load(
    hostname: Hostname,
    dump: Annotated[
        str | None, typer.Option("--dump", help="Path or URL of the dump; by default the newest one.")
    ] = None,
    policy: PolicyName = None,
) -> dict[str, Any]:
    """Plan to replace staging's data with an anonymized dump."""
    return {"hostname": hostname, "dump": dump or None, "policy": policy or None}


@_plans("reload")
def reload(hostname: Hostname, policy: PolicyName = None) -> dict[str, Any]:
    """Plan to replace staging's data with a new anonymized dump of production, which is exported first."""
    return {"hostname": hostname, "policy": policy or None}


def _plan(verb: str, parameters: dict[str, Any]) -> Result:
    with connected() as server:
        run, form = follow(server, f"{verb}/{verb}", complete(server, verb, parameters))
    if form is None:
        return end_result(run)
    where = link(run.id)
    document = {"run": str(run.id), "link": where, "state": state_name(run), "form": form.text}
    lines = [MarkdownText(form.text), "", f"It waits for an answer: {where}", f"Or: understudy approve {run.id}"]
    return Result(document, lines)


def complete(server: Server, verb: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a verb's deployment after checking them, with what is missing as a person types it."""
    deployment = server.deployment(f"{verb}/{verb}")
    schema = parameter_schema(deployment)
    fields: dict[str, Any] = schema.get("properties", {})
    if fields and (unknown := sorted(set(parameters) - set(fields))):
        raise typer.BadParameter(f"{verb} has no parameter {', '.join(unknown)}; it has {', '.join(fields)}.")
    require_fits(parameters, fields, {"requested_by": "--requested-by"})
    complete = dict(parameters)
    for name in schema.get("required", []):
        if name not in complete and deployment.parameters.get(name) is None:
            label = f"{fields[name].get('title', name)} ({fields[name].get('description', '')})"
            complete[name] = prompt(label, refused=refusing(fields[name]))
    return complete


def _seconds(duration: str) -> int:
    number, unit = duration[:-1], duration[-1:]
    if not number.isdecimal() or unit not in SECONDS:
        raise typer.BadParameter(f"{duration!r} is not a duration like 90m, 8h or 2d.")
    return int(number) * SECONDS[unit]


def _values(others: list[str] | None) -> dict[str, Any]:
    found = {}
    for name, value in parse_pairs(others).items():
        try:
            found[name] = yaml.safe_load(value)  # true, 3 and [a, b] become a truth value, a number and a list
        except yaml.YAMLError as error:
            raise typer.BadParameter(f"The value of {name!r} cannot be read.") from error
    return found
