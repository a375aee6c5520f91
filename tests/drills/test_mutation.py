"""The breakages that `make mutate` plants: complete, valid, and noticed by the suite; a sample of fifty is a drill."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drills.mutation.__main__ import GROUPS, ROOT
from tests.drills.mutation.breakages import breakages

pytestmark = pytest.mark.drill

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
    """Of fifty breakages, drawn anew each time, at least 95 % make a test fail."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.drills.mutation", "--sample", "50"],
        cwd=Path(ROOT),
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-6000:]
