"""Runners: where the units of an export run. One machine by default; a cluster by configuration alone."""

import os
from typing import Any

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from tasks.estate.errors import Misconfigured

RUNNER = "UNDERSTUDY_EXPORT_RUNNER"
WORKERS = "UNDERSTUDY_EXPORT_WORKERS"
KINDS = ("threads", "processes", "dask", "ray")


def for_exports() -> TaskRunner[Any]:
    """The task runner that the environment names: threads (default), processes, dask or ray.

    Read when the flow is loaded, because Prefect wants it there. Dask and Ray need the package prefect-dask or
    prefect-ray and an address; their workers need this project and the UNDERSTUDY_… variables too, and a work folder
    that all of them share. Raises `Misconfigured`.
    """
    kind, workers = os.environ.get(RUNNER, "threads"), int(os.environ.get(WORKERS, "2"))
    if kind == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    if kind == "processes":
        return ProcessPoolTaskRunner(max_workers=workers)
    address = os.environ.get(f"{RUNNER}_ADDRESS", "")
    if kind == "dask":
        from prefect_dask.task_runners import DaskTaskRunner  # an optional package, needed only by whoever names it

        dask: TaskRunner[Any] = DaskTaskRunner(**({"address": address} if address else _local_cluster(workers)))
        return dask
    if kind == "ray":
        from prefect_ray import RayTaskRunner  # the same

        ray: TaskRunner[Any] = RayTaskRunner(address=address or None)
        return ray
    raise Misconfigured(f"{RUNNER} is {kind!r}; expected one of {', '.join(KINDS)}.")


def _local_cluster(workers: int) -> dict[str, Any]:
    return {"cluster_kwargs": {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}}
