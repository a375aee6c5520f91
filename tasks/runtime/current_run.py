"""The run that this code works for: its id, its logger, and the listener that shows its progress in a terminal."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect import get_run_logger
from prefect.exceptions import MissingContextError
from prefect.runtime import flow_run

_run_id: ContextVar[str] = ContextVar("run_id", default="")
_listener: ContextVar[Callable[[str, int, int, int], None] | None] = ContextVar("listener", default=None)


@contextmanager
def outside_prefect(run_id: str, listener: Callable[[str, int, int, int], None]) -> Iterator[None]:
    """Work for a run of this process without Prefect: a command in a terminal.

    `listener(table, rows, done, whole)` is called with the progress of each table; `done` of `whole` in bytes or rows.
    """
    run, before = _run_id.set(run_id), _listener.set(listener)
    try:
        yield
    finally:
        _run_id.reset(run)
        _listener.reset(before)


def this_run() -> str:
    """Return the id of the run that this code works for; "no-run" outside a run."""
    return str(flow_run.get_id() or _run_id.get() or "no-run")


def show_progress(table: str, *, rows: int, done: int, whole: int) -> None:
    """Report how far one table of an export or load is, to the listener if there is one."""
    listener = _listener.get()
    if listener is not None:
        listener(table, rows, done, whole)


def run_logger() -> "logging.Logger | logging.LoggerAdapter[logging.Logger]":
    """Return the logger of the run, so that people see its lines in Prefect; outside a run, Python's own."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("understudy")
