"""The demo as a drill: a person rejects a plan, and the demo is interrupted at different moments."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from deployments.sandbox.runs import connected_to

pytestmark = [
    pytest.mark.drill,
    pytest.mark.timeout(480),  # a whole sandbox each time
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="left-overs are looked for in /proc"),
]

OPEN_FORM = re.compile(r"Open (http://127\.0\.0\.1:\d+)/runs/flow-run/([0-9a-f-]{36}) and")


def answer(demo: Any, decision: str, destination: str, **more: str) -> str:
    """Answer the next form as the demo describes, with the digits that it prints, and return the address of the UI."""
    link = OPEN_FORM.search(demo.read_until("press Resume"))
    code = re.search(r"Type the code of the plan: (\S+)", demo.read_until("Type the code of the plan"))
    assert destination in demo.read_until("For example")
    digits = re.search(r"now: (\d{3} \d{3}) ", demo.read_until("six digits now"))
    assert link
    assert code
    assert digits
    form = {
        "decision": decision, "plan": code[1], "destination": destination, "approver": "Demo Lead", "proof": digits[1],
        "reason": "as described by the demo",
    }  # fmt: skip
    with connected_to(f"{link[1]}/api") as runs:
        runs.answer(UUID(link[2]), form | more)
    return str(link[1])


def test_a_person_answers_in_the_demo(perform: Callable[..., Any]) -> None:
    """Attended, it prints where, how and with which digits to answer, accepts a rejection, stays up, and exits 0 at Ctrl-C."""
    demo = perform()
    answer(demo, "approve", "schulprod", restore="no")
    url = answer(demo, "reject", "staging.schule.example")
    demo.read_until("Everything stays up")
    assert "(promote verified)" in demo.printed
    assert "Demo Lead rejected plan" in demo.printed
    assert "The ledger is whole" in demo.printed
    assert "no nightly reload" in demo.printed
    demo.note_family()
    os.kill(demo.process.pid, signal.SIGINT)
    assert demo.finish() == 0
    assert demo.nothing_left()
    assert demo.port_is_free(url)
