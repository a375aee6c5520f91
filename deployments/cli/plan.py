"""`plan`: start the deployment of a verb, follow it until it waits or ends, and show what it asks."""

from typing import Annotated, Any
from uuid import UUID

import typer
import yaml

from deployments.cli.follow import follow, state_name, told_end
from deployments.cli.output import Marked, Told, command, new_group
from deployments.prefect_server import connected, link

Source = Annotated[str, typer.Argument(help="Install to copy from, by name.")]
Destination = Annotated[str, typer.Argument(help="Install that is overwritten, by name.")]
Files = Annotated[bool | None, typer.Option("--files/--no-files", help="Whether uploads, themes and plugins travel.")]
Database = Annotated[bool | None, typer.Option("--database/--no-database", help="Whether the database travels.")]
Tables = Annotated[str, typer.Option("--tables", metavar="A,B", help="Only these tables, with the database.")]
Requester = Annotated[str, typer.Option("--requested-by", help="Your name, for the ledger.")]
Within = Annotated[
    str, typer.Option("--answer-within", metavar="DURATION", help="How long the question stays open: 90m, 8h, 2d.")
]
Others = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another parameter of the deployment, as its form names it."),
]
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

group = new_group("Start a run, and show the plan that it puts before people. Nothing is overwritten by this.")


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the program."""
    app.add_typer(group, name="plan")


@command(group, "promote")
def promote(
    source: Source,
    destination: Destination,
    files: Files = None,
    database: Database = None,
    tables: Tables = "",
    requested_by: Requester = "",
    answer_within: Within = "",
    others: Others = None,
) -> Told:
    """Plan to overwrite production with staging: files only, unless --database."""
    chosen = _copied(files, database, tables) | _asking(requested_by, answer_within, others)
    return _plan("promote", {"source": source, "destination": destination, **chosen})


@command(group, "refresh")
def refresh(
    source: Source,
    destination: Destination,
    files: Files = None,
    database: Database = None,
    tables: Tables = "",
    requested_by: Requester = "",
    answer_within: Within = "",
    others: Others = None,
) -> Told:
    """Plan to overwrite staging with production."""
    chosen = _copied(files, database, tables) | _asking(requested_by, answer_within, others)
    return _plan("refresh", {"source": source, "destination": destination, **chosen})


@command(group, "provision")
def provision(
    source: Source,
    name: Annotated[str, typer.Argument(help="Name of the new install.")],
    requested_by: Requester = "",
    answer_within: Within = "",
    others: Others = None,
) -> Told:
    """Plan a new staging install beside production. The install is made at once; filling it waits for a yes."""
    return _plan("provision", {"source": source, "name": name, **_asking(requested_by, answer_within, others)})


@command(group, "restore")
def restore(
    promotion: Annotated[UUID, typer.Argument(metavar="RUN", help="Run to undo; its report shows the id.")],
    database: Database = None,
    requested_by: Requester = "",
    answer_within: Within = "",
    others: Others = None,
) -> Told:
    """Plan to put back the backup that a run made before it copied."""
    chosen = _given(database=database) | _asking(requested_by, answer_within, others)
    return _plan("restore", {"promotion": str(promotion), **chosen})


@command(group, "load")
def load(
    hostname: Annotated[str, typer.Argument(help="Hostname of the staging instance.")],
    dump: Annotated[str, typer.Option("--dump", help="Path or URL of the dump; the newest where not given.")] = "",
    policy: Annotated[str, typer.Option("--policy", help="Name of the masking policy.")] = "",
    requested_by: Requester = "",
    answer_within: Within = "",
    others: Others = None,
) -> Told:
    """Plan to replace staging's data with an anonymized dump."""
    chosen = _given(dump=dump or None, policy=policy or None) | _asking(requested_by, answer_within, others)
    return _plan("load_dump", {"hostname": hostname, **chosen})


@command(group, "reload")
def reload(
    hostname: Annotated[str, typer.Argument(help="Hostname of the staging instance.")],
    policy: Annotated[str, typer.Option("--policy", help="Name of the masking policy.")] = "",
    requested_by: Requester = "",
    answer_within: Within = "",
    others: Others = None,
) -> Told:
    """Plan to replace staging's data with a new anonymized dump of production, which is exported first."""
    chosen = _given(policy=policy or None) | _asking(requested_by, answer_within, others)
    return _plan("reload", {"hostname": hostname, **chosen})


def _plan(verb: str, parameters: dict[str, Any]) -> Told:
    with connected() as server:
        ended, form = follow(server, f"{verb}/{verb}", parameters)
    if form is None:
        return told_end(ended)
    where = link(ended.id)
    document = {"run": str(ended.id), "link": where, "state": state_name(ended), "form": form.text}
    return Told(
        document, [Marked(form.text), "", f"It waits for an answer: {where}", f"Or: understudy approve {ended.id}"]
    )


def _copied(files: bool | None, database: bool | None, tables: str) -> dict[str, Any]:
    chosen = [name.strip() for name in tables.split(",") if name.strip()]
    return _given(files=files, database=database, tables=chosen or None)


def _asking(requested_by: str, answer_within: str, others: list[str] | None) -> dict[str, Any]:
    within = f"PT{_seconds(answer_within)}S" if answer_within else None  # ISO 8601, as the form has it
    return _given(requested_by=requested_by or None, answer_within=within) | _others(others or [])


def _given(**options: Any) -> dict[str, Any]:
    """What was said; the rest keeps the deployment's own value."""
    return {name: value for name, value in options.items() if value is not None}


def _seconds(duration: str) -> int:
    number, unit = duration[:-1], duration[-1:]
    if not number.isdecimal() or unit not in SECONDS:
        raise typer.BadParameter(f"{duration!r} is not a duration like 90m, 8h or 2d.")
    return int(number) * SECONDS[unit]


def _others(fields: list[str]) -> dict[str, Any]:
    found = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise typer.BadParameter(f"{field!r} is not NAME=VALUE.")
        try:
            found[name] = yaml.safe_load(value)  # true, 3 and [a, b] arrive as what they look like
        except yaml.YAMLError as error:
            raise typer.BadParameter(f"The value of {name!r} cannot be read.") from error
    return found
