"""The progress of a run: each ended step and each large move of a bar is reported once."""

from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.objects import Artifact, TaskRun
from prefect.states import Completed, Failed, Running

from deployments.run_progress import OF_A_KIND, Progress, step_name

RUN = UUID("11111111-1111-4111-8111-111111111111")


def step(name: str, state: Any, kind: str = "kind") -> TaskRun:
    """Return a step."""
    return TaskRun(name=name, task_key=kind, dynamic_key="0", flow_run_id=RUN, state=state)


class Server:
    """A server with these steps and bars."""

    def __init__(self, *steps: TaskRun, bars: tuple[Artifact, ...] = ()) -> None:
        self.found, self.bars = list(steps), list(bars)

    def steps(self, run: UUID) -> list[TaskRun]:
        """Return the steps."""
        return self.found

    def progress(self, run: UUID) -> list[Artifact]:
        """Return the bars."""
        return self.bars


def test_ended_steps_are_reported_once_also_after_an_answer() -> None:
    """A step that runs is no news; one that ended again, because the run began anew, is not either."""
    server, progress = Server(step("Back up schulprod-1a2", Completed()), step("Compare-1a3", Running())), Progress()
    assert progress.news(server, RUN) == ["✓ Back up schulprod"]
    server.found += [step("Back up schulprod-9f0", Completed()), step("Compare-1a3", Failed())]
    assert progress.news(server, RUN) == ["✗ (Failed) Compare"]
    server.found.append(step("Draft-000", Completed(name="Cached")))
    assert progress.news(server, RUN) == []


def test_of_many_steps_of_one_kind_the_first_and_the_failed_are_reported() -> None:
    """An export has hundreds of batches; one that fails is reported all the same."""
    many = [step(f"Extract {number}", Completed()) for number in range(100)]
    lines = Progress().news(Server(*many, step("Extract 100", Failed())), RUN)
    assert len(lines) == OF_A_KIND + 1
    assert lines[-1] == "✗ (Failed) Extract 100"


def test_a_bar_is_reported_when_it_has_moved_far() -> None:
    """At 3, 25 and 100 percent, not at 26; its text is shown as it reads."""
    bar = Artifact(id=uuid4(), type="progress", data=3.0, description=r"backup of a\_b")
    server, progress = Server(bars=(bar,)), Progress()
    assert progress.news(server, RUN) == ["…   3 % backup of a_b"]
    shown = []
    for percent in (4.0, 25.0, 26.0, 100.0):
        bar.data = percent
        shown += [line.split()[1] for line in progress.news(server, RUN)]
    assert shown == ["25", "100"]


def test_only_the_suffix_of_prefect_is_cut() -> None:
    """`-1a2` at the end is Prefect's; the name of an install is ours."""
    assert step_name(step("Verify schul-stage-1a2", None)) == "Verify schul-stage"
    assert step_name(step("Verify schul-stage", None)) == "Verify schul-stage"
