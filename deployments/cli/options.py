"""Options and arguments that several commands share, and how their values are read."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tasks.estate.dumps import RISK_PHRASE, Anonymizer

PlanOrRun = Annotated[
    str, typer.Argument(metavar="CODE|RUN", help="Code of the plan, like 7K3F-92QD, or id of the run.")
]
Name = Annotated[str, typer.Option("--name", help="Your name, as enrolled. Asked for if missing.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words. Asked for if missing.")]
Code = Annotated[
    str,
    typer.Option("--code", help="Six digits of your authenticator. Asked for, without echo, if --key is missing too."),
]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key", help="Your enrolled SSH key; ssh-keygen signs with it (agents, FIDO2 keys and passphrases work)."
    ),
]
Requester = Annotated[
    str, typer.Option("--requested-by", help="Your name, for the ledger. Asked for if the verb needs it.")
]
Policy = Annotated[
    Path, typer.Option("--policy", exists=True, dir_okay=False, help="YAML file of the application's masking policy.")
]
PlanOnly = Annotated[bool, typer.Option("--plan-only", help="Stop after the plan: nothing is exported or loaded.")]
Off = Annotated[
    list[Anonymizer] | None,
    typer.Option("--off", help="Switch this anonymizer off: its values remain raw. Requires --risk-phrase."),
]
RiskPhrase = Annotated[str, typer.Option("--risk-phrase", help=f"{RISK_PHRASE}, only with --off.")]


def parse_moment(text: str) -> datetime:
    """Return a time with its zone. Raise typer's usage error if it is not a time, or has no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a time like 2026-12-24T18:00+01:00.") from error
    if moment.utcoffset() is None:
        raise typer.BadParameter(f"{text!r} has no time zone; expected one, as in 2026-12-24T18:00+01:00.")
    return moment


def parse_pairs(texts: Sequence[str] | None) -> dict[str, str]:
    """Return the values of NAME=VALUE options by name. Raise typer's usage error for anything else."""
    pairs = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE.")
        pairs[name] = value
    return pairs
