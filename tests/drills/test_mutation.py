"""The breakages that `make mutate` plants: complete, valid, and noticed by the suite; a sample of fifty is a drill."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.drills.mutation.__main__ import SURVIVED
from tests.drills.mutation.breakages import breakages
from tests.drills.mutation.guards import GROUPS
from tests.drills.mutation.planting import planted_here
from tests.drills.mutation.running import ROOT

pytestmark = pytest.mark.drill

QUICK = ("--tests", "tests/tasks", "--tests", "tests/deployments/worker")
SLOW = ("--tests", "tests/flows", "--tests", "tests/deployments/cli")
MOST_SURVIVORS = 2  # of fifty: the goal of 95 %

GUARDS = '''
def send(plan, ledger):
    """Send once."""
    require_permission(plan)
    if not plan.approved or plan.late > 3:
        raise Refused("no")
    ledger.record("sent", once=plan.run)
    return [fact for fact in ledger if fact.run == plan.run]
'''


@pytest.mark.parametrize(
    "lost",
    [
        "require_permission(plan)  =>  pass",
        "raise Refused('no')  =>  pass",
        "ledger.record('sent', once=plan.run)  =>  ledger.record('sent')",
        "not plan.approved or plan.late > 3  =>  plan.late > 3",
        "not plan.approved or plan.late > 3  =>  not plan.approved and plan.late > 3",
        "plan.late > 3  =>  plan.late >= 3",
        "3  =>  4",
        "not plan.approved  =>  plan.approved",
        "[fact for fact in ledger if fact.run == plan.run]  =>  [fact for fact in ledger]",
    ],
)
def test_each_way_to_lose_a_guard_is_planted(lost: str) -> None:
    """A lost check, a lost call, a lost keyword, a wrong operator and a lost filter are all among the breakages."""
    assert f"send: {lost}" in {each.key for each in breakages(GUARDS)}


@pytest.mark.parametrize("path", [path for paths in GROUPS.values() for path in paths])
def test_every_breakage_is_a_program(path: str) -> None:
    """Each changed file is valid Python, differs from the original and has a key of its own."""
    source = (ROOT / path).read_text(encoding="utf-8")
    planted = list(breakages(source))
    assert planted
    assert len({each.key for each in planted}) == len(planted)
    for each in planted:
        assert each.text != source
        ast.parse(each.text)


def test_a_sample_of_fifty_breakages_is_noticed() -> None:
    """Of fifty breakages, drawn anew each time, at least 95 % make a test fail.

    The slow tests, which run flows and commands, are tried only on what the others do not notice.
    """
    tried = _mutate("--sample", "50", *QUICK)
    if len(_survived()) > MOST_SURVIVORS:
        tried += _mutate("--again", *SLOW)
    assert len(_survived()) <= MOST_SURVIVORS, tried[-6000:]


def _mutate(*given: str) -> str:
    """Return what the command prints. It must reach its report: exit code 1 means that too few are noticed."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.drills.mutation", *given],
        cwd=Path(ROOT), check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert "breakages noticed" in ran.stdout, ran.stdout[-6000:] + ran.stderr[-6000:]
    return ran.stdout


def _survived() -> list[str]:
    return SURVIVED.read_text(encoding="utf-8").splitlines()


SOURCE = """LIMIT = 3
def late(n, most=4):
    return n > 5
class Plan:
    def late(self, n):
        return any(each > 6 for each in [n])
"""


@pytest.mark.parametrize(
    ("key", "planted", "function", "method"),
    [
        ("late: n > 5  =>  n >= 5", True, True, False),
        ("late: 5  =>  6", True, False, False),
        ("Plan.late: each > 6  =>  each >= 6", True, False, True),
        (": 3  =>  4", False, False, False),
        ("late: 4  =>  5", False, False, False),
    ],
)
def test_a_breakage_is_planted_in_this_process(key: str, planted: bool, function: bool, method: bool) -> None:
    """Whoever holds the function holds the broken one; a constant and a default need a copy of the project."""
    made: dict[str, Any] = {}
    exec(compile(SOURCE, f"{key}.py", "exec"), made)  # noqa: S102  # the text above
    late, plan = made["late"], made["Plan"]()
    (breakage,) = [each for each in breakages(SOURCE) if each.key == key]
    assert planted_here(SOURCE, breakage, f"{key}.py") is planted
    assert (late(5), plan.late(6)) == (function, method)
