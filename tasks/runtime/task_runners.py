"""Task runners: where the units of an export run. One machine by default; a cluster by configuration."""

import os
from typing import Any

from prefect.client.schemas.objects import State
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from tasks.estate.errors import Misconfigured

RUNNER = "UNDERSTUDY_EXPORT_RUNNER"
WORKERS = "UNDERSTUDY_EXPORT_WORKERS"
KINDS = ("threads", "processes", "dask")

# Processes of an export exchange states as pickles. pydantic names `State[Any]` after the module that mentions it first, so the
# name is set here, and tasks/runtime/__init__.py loads this file in every process.
_any_state: Any = State[Any]
_any_state.__module__ = __name__
globals()["State[Any]"] = _any_state


def for_exports() -> TaskRunner[Any]:
    """Return the task runner that the environment names: threads (default), processes or dask.

    Prefect requires it when the flow is loaded. Dask needs the package prefect-dask, and an address
    or a machine of its own; its workers need this project and the UNDERSTUDY_… variables too, and a work folder
    that all of them share. Raises `Misconfigured`.
    """
    kind, workers = os.environ.get(RUNNER, "threads"), export_workers()
    if kind == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    if kind == "processes":
        return ProcessPoolTaskRunner(max_workers=workers)
    address = os.environ.get(f"{RUNNER}_ADDRESS", "")
    if kind == "dask":
        from prefect_dask.task_runners import DaskTaskRunner  # an optional package, needed only if it is named

        dask: TaskRunner[Any] = DaskTaskRunner(**({"address": address} if address else _local_cluster(workers)))
        return dask
    raise Misconfigured(f"{RUNNER} is {kind!r}; expected one of {', '.join(KINDS)}.")


def export_workers() -> int:
    """Return how many units an export writes at once, each on a connection to the source of its own."""
    return int(os.environ.get(WORKERS, "2"))


def _local_cluster(workers: int) -> dict[str, Any]:
    return {"cluster_kwargs": {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}}
