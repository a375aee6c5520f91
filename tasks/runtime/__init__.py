"""Our side of Prefect: forms, notices, reports, states, retries, and the resources that every step uses."""

from tasks.runtime import task_runners

__all__ = ["task_runners"]  # loaded in every process: it fixes the name under which states are pickled
