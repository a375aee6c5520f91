"""The run that this code works for: its id, its logger, and whoever follows its progress in a terminal."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect import get_run_logger
from prefect.exceptions import MissingContextError
from prefect.runtime import flow_run

_run_here: ContextVar[str] = ContextVar("run_here", default="")


_listener: ContextVar[Callable[[str, int, int, int], None] | None] = ContextVar("listener", default=None)


@contextmanager
def outside_prefect(run_id: str, listener: Callable[[str, int, int, int], None]) -> Iterator[None]:
    """Work for a run of this process that Prefect does not know: a command in a terminal.

    `listener(table, rows, done, whole)` hears of the progress of each table, in bytes or rows of its whole.
    """
    run, heard = _run_here.set(run_id), _listener.set(listener)
    try:
        yield
    finally:
        _run_here.reset(run)
        _listener.reset(heard)


def this_run() -> str:
    """Return the id of the run that this code works for; a fixed word outside a run (a REPL)."""
    return str(flow_run.get_id() or _run_here.get() or "no-run")


def show_progress(table: str, *, rows: int, done: int, whole: int) -> None:
    """Report how far one table of an export or load is; `done` of `whole` in bytes or rows."""
    listener = _listener.get()
    if listener is not None:
        listener(table, rows, done, whole)


def run_logger() -> "logging.Logger | logging.LoggerAdapter[logging.Logger]":
    """Return the logger of the run, so that people see its lines in Prefect; outside a run, Python's own."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("understudy")
