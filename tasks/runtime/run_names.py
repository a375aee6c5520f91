"""Names of runs, for flows whose form offers choices: a name contains what was chosen, and not the words around it."""

from collections.abc import Callable
from typing import Any

from prefect.runtime import flow_run

from tasks.estate.errors import Misconfigured
from tasks.estate.form_choices import chosen_code, chosen_database, chosen_name, chosen_pair


def of_pair(pattern: str) -> Callable[[], str]:
    """Return what names a run after `source` and `destination`, such as `promote {source} to {destination}`."""
    return lambda: _named(pattern, lambda given: chosen_pair(given["site"], given["source"], given["destination"]))


def of_load(pattern: str) -> Callable[[], str]:
    """Return what names a run after `hostname` and `policy`, such as `reload {hostname} from {policy}`."""
    return lambda: _named(pattern, lambda given: chosen_database(given["loaded"], given["policy"], given["hostname"]))


def of_place(pattern: str) -> Callable[[], str]:
    """Return what names a run after its parameters, such as `diagnose {install}`; an install without the words of its choice."""
    return lambda: pattern.format_map(_names(flow_run.parameters))


def of_hold() -> str:
    """Return the name of a run that places a hold, or ends one."""
    given = flow_run.parameters
    return f"{'end the holds of' if given['end_hold'] else 'hold'} {chosen_name(given['destination'])}"


def of_restore() -> str:
    """Return the name of a restore: its destination if the run to undo was picked from the list, otherwise who asks."""
    given = flow_run.parameters
    if chosen_code(given["promotion"]):
        return f"restore {given['promotion'].partition(': ')[0]}"
    return f"restore for {given['requested_by']}"


def _names(given: dict[str, Any]) -> dict[str, Any]:
    return {name: chosen_name(value) if isinstance(value, str) else value for name, value in given.items()}


def _named(pattern: str, choose: Callable[[dict[str, Any]], tuple[str, str]]) -> str:
    """Return the name, or the verb alone if the run has no pair: its first step then ends it with the reason."""
    try:
        first, second = choose(flow_run.parameters)
    except Misconfigured:
        return pattern.partition(" ")[0]
    return pattern.format(source=first, destination=second, policy=first, hostname=second)
