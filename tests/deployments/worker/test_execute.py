"""Execute: it runs our flows from our folder, and nothing else that Prefect's API names."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import cloudpickle
import pytest
import yaml
from prefect.exceptions import Pause
from prefect.filesystems import LocalFileSystem
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect.states import Pending

from deployments.sandbox.host.host import Host
from deployments.worker import execute
from deployments.worker.execute import our_flow, verbs
from tests.deployments.conftest import DIAGNOSE, Pool

SHELL = "prefect.deployments.steps.run_shell_script"
FOLDER = {"prefect.deployments.steps.set_working_directory": {"directory": "/nowhere"}}


class Marks:
    """An object that writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.file, "unpickled"))


def test_every_file_in_flows_is_a_verb_and_its_flow_has_no_hooks() -> None:
    """The list matches the folder; each flow has the name of its file and no hooks, which the worker would not run."""
    assert DIAGNOSE in verbs()
    assert len(verbs()) == len(list((execute.PROJECT / "flows").glob("[!_]*.py")))
    for entrypoint, verb in verbs().items():
        ours = our_flow(entrypoint)
        assert ours.name == verb
        assert not ours.isasync
        assert not [*ours.on_cancellation_hooks, *ours.on_crashed_hooks]


def test_everything_in_prefect_yaml_is_a_verb() -> None:
    """Our own deployments are not refused for their entrypoints or pull steps."""
    file = yaml.safe_load((execute.PROJECT / "prefect.yaml").read_text())
    assert {deployment["entrypoint"] for deployment in file["deployments"]} <= set(verbs())
    assert {name for step in file["pull"] for name in step} <= execute.ACCEPTED_STEPS


@pytest.mark.parametrize(
    ("entrypoint", "more", "why"),
    [
        ("os.getcwd", {}, "entrypoint is 'os.getcwd'"),
        ("flows/promote.py:promote", {"flow": "promote"}, "entrypoint is 'flows/promote.py:promote'"),
        ("flows.promote.promote ", {"flow": "promote"}, "entrypoint is"),
        ("flows.diagnose.reports", {}, "entrypoint is"),
        ("flows.__init__.__init__", {}, "entrypoint is"),
        (None, {}, "entrypoint is 'nothing'"),
        ("flows.promote.promote", {}, "named 'diagnose'; expected 'promote'"),
        (DIAGNOSE, {"pull_steps": [FOLDER, {SHELL: {"script": "true"}}]}, f"pull steps {SHELL}"),
        (
            DIAGNOSE,
            {"parameters": {"install": {"deep": [{"$ref": "8d6c1c1e-4a3f-4f0e-9f0e-1f6f3e5b7a11"}]}}},
            "loads a block",
        ),
    ],
)
def test_anything_but_a_flow_of_ours_is_refused(
    pool: Pool, entrypoint: str | None, more: dict[str, Any], why: str
) -> None:
    """The run ends as Refused with what was found; executing it again changes nothing."""
    run = pool.start(entrypoint, **more)
    execute.execute(run)
    state = pool.state(run)
    assert (state.name, state.is_failed()) == ("Refused", True)
    assert why in str(state.message)
    execute.execute(run)
    assert pool.state(run).id == state.id


@pytest.mark.parametrize(
    "parameters", [{"instal": "x"}, {}, {"install": {"a": 1}}, {"install": "schulprod", "more": 1}]
)
def test_parameters_that_do_not_fit_have_a_name(pool: Pool, parameters: dict[str, Any]) -> None:
    """A run that was started without schema validation ends as Misconfigured, with the fault and the next step."""
    run = pool.start(DIAGNOSE, parameters=parameters)
    execute.execute(run)
    state = pool.state(run)
    assert (state.name, state.is_failed()) == ("Misconfigured", True)
    assert "The parameters do not fit the flow" in str(state.message)
    assert "Correct the setting or parameter" in str(state.message)


def test_a_foreign_module_is_not_even_imported(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entrypoint can be any module on the path, and importing it would run it."""
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    run = pool.start("theirs.diagnose")
    execute.execute(run)
    assert pool.end(run) == "Refused"
    assert "theirs" not in sys.modules
    assert not (tmp_path / "mark").exists()


def test_code_in_a_storage_block_is_refused(pool: Pool, tmp_path: Path) -> None:
    """A deployment that names a storage block for its code is refused."""
    block = LocalFileSystem(basepath=str(tmp_path))
    block.save(uuid4().hex[:10])
    run = pool.start(DIAGNOSE, storage_document_id=block._block_document_id)
    execute.execute(run)
    assert "storage block" in str(pool.state(run).message)


def test_a_run_without_deployment_is_refused(pool: Pool) -> None:
    """A run that was put into the pool without a deployment is refused."""
    run = pool.start_without_deployment()
    execute.execute(run)
    assert "It has no deployment" in str(pool.state(run).message)


def test_a_flow_of_ours_runs_to_its_outcome(pool: Pool, worker: Host) -> None:
    """A deployed flow is run with the parameters of the run; a template in them is not filled in."""
    run = pool.start(DIAGNOSE, pull_steps=[FOLDER])
    typo = pool.start(DIAGNOSE, parameters={"install": "{{ $HOME }}", "compare_with": ""})
    for each in (run, typo):
        pool.client.set_flow_run_state(each, Pending(), force=True)
        execute.execute(each)
    assert pool.end(run) == "Healthy"
    assert pool.end(typo) == "NotFound"
    assert "{{ $HOME }}" in str(pool.state(typo).message)


@pytest.fixture
def theirs(pool: Pool, tmp_path: Path) -> Iterator[LocalFileSystem]:
    """A folder that somebody set as the server's default for results through its API; it could be a bucket."""
    block = LocalFileSystem(basepath=str(tmp_path / "theirs"))
    block.save(uuid4().hex[:10])
    answer = pool.client.request(
        "PUT", "/admin/storage", json={"default_result_storage_block_id": str(block._block_document_id)}
    )
    answer.raise_for_status()
    yield block
    pool.client.request("DELETE", "/admin/storage")


def test_results_stay_on_this_machine(pool: Pool, worker: Host, theirs: LocalFileSystem, tmp_path: Path) -> None:
    """Results of steps are neither written to, nor after a suspension unpickled from, the server's default."""
    parameters = {"source": "schulprod", "destination": "schulstage", "requested_by": "Dora Developer"}
    run = pool.start("flows.refresh.refresh", flow="refresh", parameters=parameters)
    pool.client.set_flow_run_state(run, Pending(), force=True)
    with pytest.raises(Pause):
        execute.execute(run)
    assert pool.end(run) == "Suspended"
    assert not (tmp_path / "theirs").exists()
    assert list(Path(PREFECT_LOCAL_STORAGE_PATH.value()).iterdir())


def planted(pool: Pool, block: LocalFileSystem, mark: Path) -> UUID:
    """Return a run that is marked as completed, with a pickle as its result that writes `mark`."""
    record = {
        "metadata": {"storage_key": "key", "serializer": {"type": "pickle"}, "prefect_version": "3.9.1"},
        "result": base64.encodebytes(cloudpickle.dumps(Marks(mark))).decode(),
    }
    block.write_path("key", json.dumps(record).encode())
    run = pool.start(DIAGNOSE)
    data = record["metadata"] | {"storage_block_id": str(block._block_document_id)}
    body = {"state": {"type": "COMPLETED", "data": data}, "force": True}
    pool.client.request("POST", f"/flow_runs/{run}/set_state", json=body).raise_for_status()
    return run


def test_no_result_of_the_api_is_unpickled(pool: Pool, worker: Host, theirs: LocalFileSystem, tmp_path: Path) -> None:
    """A state set through the API can point to a foreign pickle: Prefect's engine loads it, ours does not."""
    execute.execute(planted(pool, theirs, tmp_path / "mark"))
    assert not (tmp_path / "mark").exists()
    run = planted(pool, theirs, tmp_path / "mark")
    run_flow(our_flow(DIAGNOSE), flow_run=pool.client.read_flow_run(run))
    assert (tmp_path / "mark").exists()
