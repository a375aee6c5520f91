"""Our side of Prefect: forms, notices, states, retries and the resources that every step shares."""

from tasks.runtime import runners

__all__ = ["runners"]  # loaded in every process: it fixes the name under which states are pickled
