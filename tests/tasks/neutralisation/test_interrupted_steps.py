"""Every step, interrupted at every command: it never reports more than it did, and a repetition completes it.

A connection is lost before a command or after it, with its answer; a command runs out of memory; the gateway refuses.
"""

from collections.abc import Callable
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from tasks.estate.errors import CommandRefused, UnderstudyError, Unreachable
from tasks.estate.recipes import CopyStep
from tasks.neutralisation.context import Context
from tasks.neutralisation.steps import STEPS
from tests.tasks.neutralisation.conftest import Interrupted, copy_down, dropped

FAULTS: dict[str, Callable[[], UnderstudyError]] = {
    "dropped": lambda: Unreachable("schulstage: the connection was lost."),
    "refused": lambda: CommandRefused("schulstage: exit code 1."),
}
MASK_EVERY = 7  # masking is interrupted at every seventh of its 120 commands: at each of them takes twenty minutes
# With these it still takes five.
STEPS_HERE = [
    pytest.param(step, marks=pytest.mark.drill) if step is CopyStep.MASK_PEOPLE else step for step in CopyStep
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS_HERE)
def test_an_interrupted_step_is_completed_by_its_repetition(
    step: CopyStep, fault: str, when: str, connection: Any, context: Context, estate: Host
) -> None:
    """The step fails or is not safe, whatever the command was; a repetition makes the site what it is without an interruption."""
    STEPS[step].apply(connection, context)
    complete = _state(estate)
    every = MASK_EVERY if step is CopyStep.MASK_PEOPLE else 1
    for number in range(0, len(connection.commands), every):
        copy_down(estate)
        connection.interrupt = Interrupted(number, when, FAULTS[fault])
        assert not _is_safe(step, connection, context)
        assert STEPS[step].apply(connection, context).is_safe
        assert _state(estate) == complete
        connection.interrupt = lambda command, moment: None


def _is_safe(step: CopyStep, connection: Any, context: Context) -> bool:
    try:
        return STEPS[step].apply(connection, context).is_safe
    except UnderstudyError:
        return False


def _state(estate: Host) -> Any:
    staging = estate.named("schulstage")
    files = {part: file["text"] for part, file in staging["files"].get("must_use", {}).items()}
    rows = {table: sorted(map(str, rows)) for table, rows in staging["database"]["rows"].items()}
    return rows, files, staging["database"]["home"]


def test_a_search_that_runs_out_of_memory_is_made_table_by_table(connection: Any, context: Context) -> None:
    """The search of all tables is killed each time; each table by itself is small enough."""

    def too_big(command: Any, when: str) -> None:
        everywhere = command.options.get("all-tables-with-prefix") and not command.options.get("dry-run")
        if when == "before" and command.words == ("search-replace",) and everywhere:
            raise Unreachable("wp search-replace: the gateway ended it.", memory=True)

    connection.interrupt = too_big
    done = STEPS[CopyStep.REPLACE_URLS].apply(connection, context)
    assert done.is_safe
    assert done.changed == 3


def test_a_lost_connection_is_not_taken_for_too_little_memory(connection: Any, context: Context) -> None:
    """Only memory and time are a reason to search table by table; everything else is raised and retried."""
    connection.interrupt = Interrupted(0, "before", dropped)
    with pytest.raises(Unreachable):
        STEPS[CopyStep.REPLACE_URLS].apply(connection, context)
    assert not connection.commands


def test_masking_that_stops_between_two_tables_leaves_equal_addresses_equal(
    connection: Any, context: Context, estate: Host
) -> None:
    """An address that was masked before the interruption is not masked twice: accounts and orders still belong together."""
    connection.interrupt = Interrupted(20, "after", dropped)
    with pytest.raises(Unreachable):
        STEPS[CopyStep.MASK_PEOPLE].apply(connection, context)
    STEPS[CopyStep.MASK_PEOPLE].apply(connection, context)
    rows = estate.named("schulstage")["database"]["rows"]
    accounts = [row[4] for row in rows["wp_users"][1:]]
    assert accounts == [row[1] for row in rows["wp_wc_orders"]]
    assert accounts == [row[1] for row in rows["wp_newsletter"]]
