"""`run` and `diagnose`: start the deployment of a verb with what its form asks for, and follow the run to its end."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli import hold, plan
from deployments.cli.follow_run import start_run
from deployments.cli.follow_to_end import AnswerKey, Ask, Person, follow_to_end
from deployments.cli.output import Result, command, new_group, with_options
from deployments.cli.start_options import read_values, with_fields
from deployments.cli.start_values import complete
from deployments.prefect_server import connected, link

Wait = Annotated[
    bool,
    typer.Option(
        "--wait/--no-wait", " /--detach", help="Follow the run until it ends, or return as soon as it is started."
    ),
]
# Each verb, with its flow. `hold` has a command of its own, because its owner keeps a word.
VERBS = {
    "refresh": "refresh", "provision": "provision", "promote": "promote", "restore": "restore", "diagnose": "diagnose",
    "classify": "classify", "preview": "preview", "anonymize": "anonymize", "load-dump": "load_dump", "reload": "reload",
    "settle": "settle", "audit": "audit", "sweep": "sweep",
}  # fmt: skip

ASKING = plan.VERBS.values()

group = new_group("Start a run and follow it to its end: steps, progress, questions, outcome.")


def _runs(verb: str) -> Callable[..., Result]:
    """Return the command that starts a verb's run and follows it to its end."""

    def run(wait: bool, ask: bool | None = False, key: Path | None = None, **given: Any) -> Result:
        person = Person.at(ask, key)
        with connected() as server:
            started = start_run(server, f"{verb}/{verb}", complete(server, verb, read_values(verb, given)))
            if wait:
                return follow_to_end(server, started, person)
        document = {"run": str(started), "link": link(started)}
        return Result(document, [f"To follow it: understudy watch {started}", link(started)])

    options: dict[str, tuple[Any, Any]] = {"wait": (Wait, True)}
    if verb in ASKING:
        options |= {"ask": (Ask, None), "key": (AnswerKey, None)}
    return with_options(run, with_fields(verb, run), **options)


for _word, _verb in VERBS.items():
    command(group, _word)(_runs(_verb))
command(group, "hold")(hold.hold)
diagnose = _runs("diagnose")
