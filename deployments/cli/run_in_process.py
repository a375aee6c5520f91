"""What `dump` and `load` share: a run in this process, without a Prefect server, with progress bars on a terminal.

The steps are those of the flows, called as plain functions, with the same retries after `Transient`. Such a run is recorded
in the ledger and nowhere else.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from deployments.cli.output import Alert, Result
from tasks.configuration.settings import forget_settings
from tasks.estate.errors import Transient, UnderstudyError
from tasks.runtime.current_run import outside_prefect

P = ParamSpec("P")
R = TypeVar("R")

DELAYS = (1.0, 2.0, 4.0, 8.0)  # seconds before each retry, as the steps have under Prefect
# No Prefect server is used: one that is away must not be waited for, and no temporary one is started.
NO_SERVER: dict[Any, Any] = {PREFECT_API_URL: None, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}
SHOWN = 12  # bars at a time; a schema of a thousand tables must not fill the terminal


@contextmanager
def local_run(policy: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Start a run in this process and return its id.

    `settings` override those of the environment; they are named without `UNDERSTUDY_`, and empty ones are ignored.
    """
    given = {**settings, "POLICIES": str(policy.resolve().parent)}
    if settings.get("SOURCE_DATABASE") or settings.get("TARGET_DATABASE"):
        given["ESTATE_FILE"] = (
            os.devnull
        )  # the command names its database; without one, the policy's entry in the estate does
    changed = {f"UNDERSTUDY_{name}": value for name, value in given.items() if value}
    changed |= {f"{name}_FILE": "" for name in changed}  # what is given here replaces a file that holds the setting
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    forget_settings()
    run_id = str(uuid4())
    try:
        with temporary_settings(NO_SERVER), _bars() as listener, outside_prefect(run_id, listener):
            yield run_id
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        forget_settings()


def with_retries(step: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """Run a step, and retry it after `Transient` as often as Prefect would."""
    for delay in DELAYS:
        try:
            return step(*arguments, **options)
        except Transient:
            time.sleep(delay)
    return step(*arguments, **options)


def refused_result(error: UnderstudyError, document: Mapping[str, Any]) -> Result:
    """Return the document of a run that an error ended: `error`, as of every command, and the faults and outcome of this one."""
    faults = error.facts.get("faults") or [
        {"table": "", "column": "", "kind": error.outcome, "message": error.message, "remedy": error.next_step}
    ]
    why = {"message": error.message, "next_step": error.next_step}
    document = {
        **document,
        "faults": faults,
        "outcome": {"name": error.outcome, **why},
        "error": {"outcome": error.outcome, **why},
    }
    return Result(document, [Alert(f"{error.outcome}: {error.message}"), error.next_step], failed=True)


def done_result(name: str, document: Mapping[str, Any], lines: list[str], **facts: Any) -> Result:
    """Return the document of a run that succeeded."""
    return Result({**document, "faults": [], "outcome": {"name": name, **facts}}, lines)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int, int], None]]:
    """Show a bar for each table on standard error, with rows, bytes and remaining time, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda table, rows, done, whole: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rows]} rows"), TextColumn("{task.fields[size]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def show(table: str, rows: int, done: int, whole: int) -> None:
            if table not in bars:
                bars[table] = progress.add_task(table, total=max(whole, 1), rows=0, size="")
            size = f"{done / 1e6:.1f} MB" if whole != rows else ""
            progress.update(bars[table], completed=min(done, max(whole, 1)), rows=rows, size=size)
            finished = [task.id for task in progress.tasks if task.finished and task.visible]
            for old in finished[: max(0, len(finished) - SHOWN)]:
                progress.update(old, visible=False)

        yield show
