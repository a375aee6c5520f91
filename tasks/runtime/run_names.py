"""Names of runs, for flows whose form may name both sides in one choice."""

from collections.abc import Callable
from typing import Any

from prefect.runtime import flow_run

from tasks.estate.errors import Misconfigured
from tasks.estate.form_choices import chosen_database, chosen_pair


def of_pair(pattern: str) -> Callable[[], str]:
    """Return what names a run after `source` and `destination`, such as `promote {source} to {destination}`."""
    return lambda: _named(pattern, lambda given: chosen_pair(given["site"], given["source"], given["destination"]))


def of_load(pattern: str) -> Callable[[], str]:
    """Return what names a run after `hostname` and `policy`, such as `reload {hostname} from {policy}`."""
    return lambda: _named(pattern, lambda given: chosen_database(given["loaded"], given["policy"], given["hostname"]))


def _named(pattern: str, choose: Callable[[dict[str, Any]], tuple[str, str]]) -> str:
    """Return the name, or the verb alone if the run has no pair: its first step then ends it with the reason."""
    try:
        first, second = choose(flow_run.parameters)
    except Misconfigured:
        return pattern.partition(" ")[0]
    return pattern.format(source=first, destination=second, policy=first, hostname=second)
