"""After an answer: whether it counted is read from what the run does next."""

from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.states import Completed, Failed, Running, Scheduled, Suspended

from deployments.blocked_runs import Obstacle
from deployments.cli.answer_taken import await_taken
from deployments.cli.follow_run import Limits
from deployments.prefect_server import Form

FORM = Form("suspended-appr-00000000-0-schema", "", {}, ())
BEFORE = ["Compare the installs-1a2", "Back up schulprod"]


def step(name: str) -> TaskRun:
    """Return a step of this name."""
    return TaskRun(name=name, task_key="t", dynamic_key="0", flow_run_id=uuid4())


class Server:
    """A server whose run has this state after the answer, with these steps and this form."""

    def __init__(self, state: Any, steps: list[str], form: Form | None = None) -> None:
        self._run = FlowRun(name="promote", flow_id=uuid4(), state=state)
        self._steps, self._form = steps, form

    def run(self, run: object) -> FlowRun:
        """Return the run."""
        return self._run

    def steps(self, run: object) -> list[TaskRun]:
        """Return the steps."""
        return [step(name) for name in self._steps]

    def progress(self, run: object) -> list[Any]:
        """Return no bars."""
        return []

    def form(self, run: object) -> Form | None:
        """Return the form."""
        return self._form

    def obstacle(self, run: object) -> Obstacle:
        """Return an obstacle."""
        return Obstacle("No worker is online.", "Start one.")


def taken(server: Any, decision: str = "approve") -> Any:
    """Return the result for an answer with this decision, with a simulated clock."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    limits = Limits(clock=lambda: now[0], sleep=sleep)
    before = [step(name) for name in BEFORE]
    return await_taken(server, uuid4(), FORM, before, {"decision": decision}, limits)


def asks(text: str) -> Server:
    """Return a server whose run asks again with this text."""
    state = Suspended(timeout_seconds=9)
    state.state_details.run_input_keyset = {"schema": "suspended-appr-00000000-1-schema"}
    return Server(state, BEFORE, Form("suspended-appr-00000000-1-schema", text, {}, ()))


def test_a_new_step_means_that_the_answer_counted() -> None:
    """The steps before the approval gate run again under other suffixes; the first new name is past it."""
    result = taken(Server(Running(), [*BEFORE, "Compare the installs-3b4", "Send the copy-7f0"]))
    assert (result.document["counted"], result.failed) == (True, False)


def test_steps_before_the_gate_prove_nothing() -> None:
    """While only known steps run again, it is not known whether the answer counted."""
    with pytest.raises(Exception, match="neither asks nor ends"):
        taken(Server(Running(), [*BEFORE, "Compare the installs-3b4"]))


def test_an_answer_that_did_not_count_is_reported_with_its_reason() -> None:
    """The form that asks again contains the reason; the exit code is 1."""
    result = taken(
        asks("* Plan **A**\n* **The last answer did not count: the code was used before\\.** Attempts left: 4")
    )
    assert (result.document["counted"], result.failed) == (False, True)
    assert result.document["why"] == "The last answer did not count: the code was used before. Attempts left: 4"


def test_the_first_of_two_people_reads_who_has_approved() -> None:
    """An answer that counts while another one is missing is no failure."""
    result = taken(asks("* **Anna Lead** approved (signature, 2026-11-25 22:31:00 UTC)"))
    assert (result.document["counted"], result.failed) == (True, False)
    assert "Anna Lead approved (signature, 2026-11-25 22:31:00 UTC)" in result.lines


@pytest.mark.parametrize(
    ("decision", "state", "counted", "failed"),
    [
        ("reject", Failed(name="Rejected"), True, False),
        ("approve", Failed(name="Rejected"), None, True),
        ("approve", Failed(name="Stale"), None, True),
        ("approve", Completed(name="Verified"), True, False),
    ],
)
def test_a_run_that_ended_is_reported(decision: str, state: Any, counted: bool | None, failed: bool) -> None:
    """A rejected run is a success of whoever rejects it, and every other refusal is not."""
    result = taken(Server(state, BEFORE), decision)
    assert (result.document["counted"], result.failed) == (counted, failed)


def test_without_a_worker_it_ends_with_what_it_waits_for() -> None:
    """The obstacle is named after its limit."""
    with pytest.raises(Exception, match="No worker is online"):
        taken(Server(Scheduled(), BEFORE))
