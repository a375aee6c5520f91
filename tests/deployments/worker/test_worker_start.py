"""The start of the worker: what it refuses, reports and passes on before it takes runs."""

import asyncio
import sys
from typing import Any

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.worker import worker as worker_module
from deployments.worker.worker import Worker
from tests.deployments.conftest import Pool


def test_without_a_server_it_does_not_start() -> None:
    """Without the address of a Prefect server, it ends with a message instead of waiting."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(SystemExit, match="PREFECT_API_URL"):
        worker_module.main([])


def test_without_its_pool_it_does_not_start(pool: Pool) -> None:
    """A server without the pool, or with one of another type, ends the worker with a message that contains what to do."""
    with pytest.raises(SystemExit, match=r"no work pool 'absent'.*usual one is 'understudy'"):
        worker_module.main(["--pool", "absent"])
    docker = f"{pool.name}-docker"
    pool.client.create_work_pool(WorkPoolCreate(name=docker, type="docker"))
    try:
        with pytest.raises(SystemExit, match="has type 'docker'; expected 'process'"):
            worker_module.main(["--pool", docker])
    finally:
        pool.client.delete_work_pool(docker)


def test_a_pool_that_the_server_lacks_later_is_reported_once(
    prefect_server: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker that waited for its server, or whose pool was deleted, reports the missing pool."""

    async def sync_twice() -> None:
        async with Worker("absent", create_pool_if_not_found=False) as idle:
            await idle.sync_with_backend()
            await idle.sync_with_backend()

    asyncio.run(sync_twice())
    assert capsys.readouterr().err.count("Prefect has no work pool 'absent'") == 1


def test_the_command_takes_the_flags_of_the_standard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--pool`, `--name` and `--limit` are passed to the worker."""
    made: list[tuple[Any, ...]] = []

    async def start(self: Worker) -> None:
        made.append((self._work_pool_name, self.name, self._limit, self._create_pool_if_not_found))

    monkeypatch.setattr(Worker, "start", start)
    monkeypatch.setattr(worker_module.signal, "signal", lambda *_: None)
    monkeypatch.setattr(worker_module, "require_usable", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["understudy-worker", "--name", "one", "--limit", "2"])
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        worker_module.main()
    assert made == [("understudy", "one", 2, False)]
