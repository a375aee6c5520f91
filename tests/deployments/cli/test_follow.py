"""Following a run: it says for what it waits, ends by itself, and Ctrl-C is no result."""

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

from deployments.cli.follow import PATIENCE, Patience, follow, watch
from deployments.cli.output import Ended, Told, command, new_group
from deployments.obstacles import Obstacle

ROOT = Path(__file__).parents[3]
NOBODY = Obstacle("No worker is online.", "Start one.")
TURN = Obstacle("It waits for its turn.", passes=True)
DONE = Completed(name="Verified")


class Stage:
    """A Prefect server and its clock: a run goes through these states, one at each look, and stays in the last."""

    def __init__(self, *states: Any, obstacle: Obstacle = NOBODY) -> None:
        self.states, self.now, self.obstacles = list(states), 0.0, obstacle
        self.id = uuid4()

    def start(self, deployment: str, parameters: Any) -> Any:
        """The only run."""
        return self.id

    def run(self, run: Any) -> FlowRun:
        """The run in its next state; an exception is raised."""
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, BaseException):
            raise state
        return FlowRun(id=self.id, name="my-run", flow_id=uuid4(), state=state)

    def form(self, run: FlowRun) -> None:
        """It asks nothing."""

    def obstacle(self, run: FlowRun) -> Obstacle:
        """The one that was given."""
        return self.obstacles

    def patience(self, **more: float) -> Patience:
        """Waits without waiting: the clock goes on with each sleep."""

        def sleep(seconds: float) -> None:
            self.now += seconds

        return Patience(clock=lambda: self.now, sleep=sleep, **more)

    def follow(self, **more: float) -> Any:
        """Follow the run."""
        server: Any = self
        return follow(server, "promote/promote", {}, self.patience(**more))


def test_it_says_for_what_it_waits_after_half_a_minute_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Not before 30 s, not again while nothing is new; and the run's end is its end."""
    stage = Stage(*[Scheduled()] * 59, DONE)
    assert stage.follow()[0].state.name == "Verified"
    assert "Waiting" not in capsys.readouterr().err
    stage = Stage(*[Scheduled()] * 300, DONE)
    assert stage.follow()[0].state.name == "Verified"
    assert capsys.readouterr().err.count("Waiting. No worker is online. Start one.") == 1


def test_it_ends_where_nobody_takes_the_obstacle_away(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten minutes after the obstacle was met: what it was, that the run goes on, and how to look again; exit code 3."""
    stage = Stage(Scheduled())
    with pytest.raises(Ended, match="No worker is online") as ended:
        stage.follow()
    assert 30 + 600 <= stage.now < 30 + 602
    assert (ended.value.code, ended.value.facts["run"]) == (3, str(stage.id))
    assert f"prefect flow-run inspect {stage.id}" in ended.value.next_step


@pytest.mark.parametrize("state", [Running(), AwaitingConcurrencySlot()])
def test_what_passes_by_itself_is_followed_to_the_last_limit(state: Any) -> None:
    """A run at work, or queued behind another, is not left after ten minutes, and not followed for ever either."""
    stage = Stage(*[state.fresh_copy() for _ in range(5000)], DONE, obstacle=TURN)
    assert stage.follow()[0].state.name == "Verified"
    assert stage.now > 2 * PATIENCE.stuck
    stage = Stage(state, obstacle=TURN)
    with pytest.raises(Ended, match="turn"):
        stage.follow(longest=7200.0, every=10.0)
    assert 7200 <= stage.now < 7220


def test_a_queued_run_that_gets_its_state_again_and_again_is_still_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Prefect makes a new state each time that the run must wait longer; that is no news."""
    stage = Stage(*[AwaitingConcurrencySlot() for _ in range(100)], DONE, obstacle=TURN)
    stage.follow()
    told = capsys.readouterr().err
    assert (told.count("AwaitingConcurrencySlot"), told.count("its turn")) == (1, 1)


def answered(status: int) -> httpx.HTTPStatusError:
    """The server's answer as an exception."""
    request = httpx.Request("GET", "http://prefect.example/api")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize("trouble", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), answered(503)])
def test_a_server_that_is_away_for_a_while_is_waited_for(
    trouble: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said at once and once, and that it answers again; ten minutes without it are the limit."""
    stage = Stage(Running(), *[trouble] * 300, Running(), DONE)
    assert stage.follow()[0].state.name == "Verified"
    told = capsys.readouterr().err
    assert (told.count("Waiting. The Prefect server"), told.count("answers again")) == (1, 1)
    stage = Stage(trouble)
    with pytest.raises(Ended, match=r"out of sight.*The Prefect server"):
        stage.follow()
    assert 600 <= stage.now < 602


def test_an_answer_that_says_no_is_not_waited_for() -> None:
    """A refusal of the server (a missing right) is no outage: it reaches the caller."""
    with pytest.raises(httpx.HTTPStatusError):
        Stage(answered(403)).follow()


def test_ctrl_c_says_that_the_run_goes_on_and_is_no_result() -> None:
    """While it is followed, and while it is started, when nobody knows whether it exists."""
    stage = Stage(Running(), KeyboardInterrupt())
    with pytest.raises(Ended, match="The run goes on") as ended:
        stage.follow()
    assert (ended.value.code, ended.value.facts["run"]) == (130, str(stage.id))
    stage.start = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())  # type: ignore[method-assign]  # the moment of the start
    with pytest.raises(Ended, match="not known") as ended:
        stage.follow()
    assert (ended.value.code, ended.value.facts) == (130, {})


def test_the_program_turns_it_into_its_exit_code() -> None:
    """For machines it is one document with the error, and no result; for people nothing is on standard output."""
    group = new_group("tests")
    command(group, "a")(lambda: Told({"never": 1}))
    stage = Stage(Scheduled())

    def follows() -> Told:
        """Follow."""
        server: Any = stage
        watch(server, stage.id, patience=stage.patience())
        return Told({"result": 1})

    command(group, "b")(follows)
    done = CliRunner().invoke(group, ["b"])
    assert (done.exit_code, done.stdout) == (3, "")
    done = CliRunner().invoke(group, ["b", "--json"])
    document = json.loads(done.stdout)
    assert (done.exit_code, document["error"]["outcome"], document["error"]["run"]) == (3, "StillOpen", str(stage.id))
    assert isinstance(group, typer.Typer)


@pytest.fixture
def unserved(prefect_server: None) -> Iterator[str]:
    """A deployment `promote/promote` of a pool for which nobody works."""
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


def test_ctrl_c_leaves_at_once(unserved: str, tmp_path: Path) -> None:
    """The program, its signal, Prefect's real API: gone within seconds on a busy machine, exit code 130, the run still scheduled."""
    command = [sys.executable, "-m", "deployments.cli", "plan", "promote", "a", "b", "--json"]
    environment = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PYTHONPATH": str(ROOT)}
    said = tmp_path / "said"
    with said.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a suite in the background ignores it
        )  # fmt: skip
    deadline = time.monotonic() + 60
    while "Scheduled" not in said.read_text() and time.monotonic() < deadline:
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
