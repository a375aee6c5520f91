"""`hold`: keep one destination as it is until a moment, or let it go."""

from typing import Annotated, Any

import typer

from deployments.cli.following import follow, told_end
from deployments.cli.freezing import moment_of
from deployments.cli.server import connected
from deployments.cli.speaking import Told, ask, command


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the program."""
    command(app, "hold")(hold)


def hold(
    destination: Annotated[str, typer.Argument(help="Install, by name, or hostname of the staging instance.")],
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="When it ends by itself, like 2026-12-24T18:00+01:00.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="What is going on there. Asked for where not given.")] = "",
    name: Annotated[str, typer.Option("--name", help="Whom others ask about it. Asked for where not given.")] = "",
    end: Annotated[bool, typer.Option("--end", help="End whatever holds it.")] = False,
) -> Told:
    """Keep a destination as it is: no standing approval covers it meanwhile, and whoever approves is told."""
    if end == bool(until):
        raise typer.BadParameter("Give --until with the end of the hold, or --end to end what holds it now.")
    parameters: dict[str, Any] = {"destination": destination, "end_hold": end}
    if not end:
        parameters |= {"until": moment_of(until).isoformat(), "reason": reason or ask("Reason")}
    parameters["your_name"] = name or ask("Your name")
    with connected() as server:
        ended, _ = follow(server, "hold/hold", parameters)
    return told_end(ended)
