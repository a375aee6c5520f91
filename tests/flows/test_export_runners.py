"""Other task runners: an export's units in processes or on a cluster, by configuration alone."""

from collections.abc import Callable
from typing import Any

import pytest

from flows.anonymize import anonymize
from tasks.estate.errors import Misconfigured
from tasks.runtime.task_runners import for_exports


@pytest.mark.parametrize("runner", ["processes", pytest.param("dask", marks=pytest.mark.drill)])
def test_units_run_under_the_task_runner_that_the_environment_names(
    runner: str, start: Callable[..., Any], school: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable set, the same flow exports the same rows from other processes, or on a Dask cluster."""
    if runner == "dask":
        pytest.importorskip("prefect_dask", reason="prefect-dask is not installed")
    monkeypatch.setenv("UNDERSTUDY_EXPORT_RUNNER", runner)
    run = start(anonymize.with_options(task_runner=for_exports()))
    assert run.state == "Exported", run.message
    (rows,) = school.ask("SELECT count(*) FROM messages", production=True)
    assert f"| messages | {rows[0]} |" in run.report


def test_an_unknown_runner_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo in the variable is refused, and the message names the possible values."""
    monkeypatch.setenv("UNDERSTUDY_EXPORT_RUNNER", "cluster")
    with pytest.raises(Misconfigured, match="threads, processes, dask"):
        for_exports()
