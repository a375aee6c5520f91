"""Following a run: what it waits for is reported, the wait has a limit, and Ctrl-C has no result."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import typer
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL
from prefect.states import AwaitingConcurrencySlot, Completed, Running, Scheduled
from typer.testing import CliRunner

from deployments.blocked_runs import Obstacle
from deployments.cli.follow_run import LIMITS, Limits, follow, watch
from deployments.cli.output import NoResult, Result, command, new_group

ROOT = Path(__file__).parents[3]
NOBODY = Obstacle("No worker is online.", "Start one.")
TURN = Obstacle("It waits for its turn.", passes=True)
DONE = Completed(name="Verified")


class Stage:
    """A Prefect server and its clock: a run passes through these states, one per request, and remains in the last."""

    def __init__(self, *states: Any, obstacle: Obstacle = NOBODY) -> None:
        self.states, self.now, self.obstacles = list(states), 0.0, obstacle
        self.id = uuid4()

    def start(self, deployment: str, parameters: Any) -> Any:
        """Return the id of the only run."""
        return self.id

    def run(self, run: Any) -> FlowRun:
        """Return the run in its next state; an exception is raised."""
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, BaseException):
            raise state
        return FlowRun(id=self.id, name="my-run", flow_id=uuid4(), state=state)

    def form(self, run: FlowRun) -> None:
        """Return no form: the run asks nothing."""

    def obstacle(self, run: FlowRun) -> Obstacle:
        """Return the given obstacle."""
        return self.obstacles

    def steps(self, run: Any) -> list[Any]:
        """Return no steps."""
        return []

    def progress(self, run: Any) -> list[Any]:
        """Return no bars."""
        return []

    def limits(self, **more: float) -> Limits:
        """Return limits with a simulated clock: each sleep advances it."""

        def sleep(seconds: float) -> None:
            self.now += seconds

        return Limits(clock=lambda: self.now, sleep=sleep, **{"poll_every": 0.5, **more})

    def follow(self, **more: float) -> Any:
        """Follow the run."""
        server: Any = self
        return follow(server, "promote/promote", {}, self.limits(**more))


def test_the_obstacle_is_reported_once_after_half_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """What a run at work waits for is not reported before 30 s nor twice, and following ends with the run."""
    stage = Stage(*[Running()] * 59, DONE)
    assert stage.follow()[0].state.name == "Verified"
    assert "Waiting" not in capsys.readouterr().err
    stage = Stage(*[Running()] * 300, DONE)
    assert stage.follow()[0].state.name == "Verified"
    assert capsys.readouterr().err.count("Waiting. No worker is online. Start one.") == 1


@pytest.mark.parametrize(("obstacle", "reported"), [(NOBODY, True), (TURN, False)])
def test_a_run_that_nobody_can_pick_up_is_reported_early(
    obstacle: Obstacle, reported: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a worker it is reported after 5 s; a worker that has not asked for the run yet is not."""
    stage = Stage(*[Scheduled()] * 20, DONE, obstacle=obstacle)
    stage.follow()
    assert ("Waiting." in capsys.readouterr().err) == reported
    stage = Stage(*[Scheduled()] * 9, DONE, obstacle=obstacle)
    stage.follow()
    assert "Waiting." not in capsys.readouterr().err


def test_it_stops_if_nobody_removes_the_obstacle(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten minutes after the obstacle was met, it stops with the obstacle, how to continue, and exit code 3."""
    stage = Stage(Scheduled())
    with pytest.raises(NoResult, match="No worker is online") as ended:
        stage.follow()
    assert 5 + 600 <= stage.now < 5 + 602
    assert (ended.value.code, ended.value.facts["run"]) == (3, str(stage.id))
    assert f"understudy watch {stage.id}" in ended.value.next_step


@pytest.mark.parametrize("state", [Running(), AwaitingConcurrencySlot()])
def test_an_obstacle_that_passes_is_followed_up_to_the_longest_limit(state: Any) -> None:
    """A run at work, or queued behind another, is followed beyond ten minutes, but not without limit."""
    stage = Stage(*[state.fresh_copy() for _ in range(5000)], DONE, obstacle=TURN)
    assert stage.follow()[0].state.name == "Verified"
    assert stage.now > 2 * LIMITS.stuck
    stage = Stage(state, obstacle=TURN)
    with pytest.raises(NoResult, match="turn"):
        stage.follow(longest=7200.0, poll_every=10.0)
    assert 7200 <= stage.now < 7220


def test_the_repeated_state_of_a_queued_run_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Prefect sets a new state whenever the run must wait longer; the state and the obstacle are reported once."""
    stage = Stage(*[AwaitingConcurrencySlot() for _ in range(100)], DONE, obstacle=TURN)
    stage.follow()
    shown = capsys.readouterr().err
    assert (shown.count("AwaitingConcurrencySlot"), shown.count("its turn")) == (1, 1)


def answered(status: int) -> httpx.HTTPStatusError:
    """Return the server's response as an exception."""
    request = httpx.Request("GET", "http://prefect.example/api")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize("trouble", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), answered(503)])
def test_a_server_that_is_away_for_a_while_is_waited_for(
    trouble: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """An outage and its end are reported once each; following stops after ten minutes of it."""
    stage = Stage(Running(), *[trouble] * 300, Running(), DONE)
    assert stage.follow()[0].state.name == "Verified"
    shown = capsys.readouterr().err
    assert (shown.count("Waiting. The Prefect server"), shown.count("responds again")) == (1, 1)
    stage = Stage(trouble)
    with pytest.raises(NoResult, match=r"out of sight.*The Prefect server"):
        stage.follow()
    assert 600 <= stage.now < 602


def test_a_refused_request_is_not_repeated() -> None:
    """A missing permission is not an outage: the error is raised."""
    with pytest.raises(httpx.HTTPStatusError):
        Stage(answered(403)).follow()


def test_ctrl_c_reports_that_the_run_continues() -> None:
    """Ctrl-C while following reports the run; while starting, it reports that the run may exist."""
    stage = Stage(Running(), KeyboardInterrupt())
    with pytest.raises(NoResult, match="The run continues") as ended:
        stage.follow()
    assert (ended.value.code, ended.value.facts["run"]) == (130, str(stage.id))
    stage.start = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())  # type: ignore[method-assign]  # the moment of the start
    with pytest.raises(NoResult, match="not known") as ended:
        stage.follow()
    assert (ended.value.code, ended.value.facts) == (130, {})


def test_no_result_becomes_an_exit_code() -> None:
    """With --json there is one document with the error; otherwise standard output is empty."""
    group = new_group("tests")
    command(group, "a")(lambda: Result({"never": 1}))
    stage = Stage(Scheduled())

    def follows() -> Result:
        """Follow."""
        server: Any = stage
        watch(server, stage.id, limits=stage.limits())
        return Result({"result": 1})

    command(group, "b")(follows)
    done = CliRunner().invoke(group, ["b"])
    assert (done.exit_code, done.stdout) == (3, "")
    done = CliRunner().invoke(group, ["b", "--json"])
    document = json.loads(done.stdout)
    assert (done.exit_code, document["error"]["outcome"], document["error"]["run"]) == (3, "StillOpen", str(stage.id))
    assert isinstance(group, typer.Typer)


@pytest.fixture
def unserved(prefect_server: None) -> Iterator[str]:
    """A deployment `promote/promote` in a pool without a worker."""
    with get_client(sync_client=True) as client:
        name = f"pool-{uuid4().hex[:8]}"
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        flow = client.request("POST", "/flows/", json={"name": "promote"}).json()["id"]
        made = client.create_deployment(
            flow_id=flow, name="promote", work_pool_name=name, enforce_parameter_schema=False
        )
        yield name
        client.delete_deployment(made)
        client.delete_work_pool(name)


def test_ctrl_c_ends_the_program_at_once(unserved: str, tmp_path: Path) -> None:
    """The program ends within seconds with exit code 130, and its run remains scheduled."""
    command = [sys.executable, "-m", "deployments.cli", "plan", "promote", "a", "b", "--json"]
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PYTHONPATH": str(ROOT)}
    log = tmp_path / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a suite in the background ignores it
        )  # fmt: skip
    deadline = time.monotonic() + 60
    while "Scheduled" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=200)
    assert time.monotonic() - asked < 10  # Prefect's own waits would take 30 and more; alone it takes half a second
    document = json.loads(out)
    assert (process.returncode, document["error"]["outcome"]) == (130, "Interrupted")
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(document["error"]["run"]).state
        assert state is not None
        assert state.is_scheduled()
