"""Prefect's server is away for two minutes during a copy: the run continues, and sends nothing twice."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prefect.settings import PREFECT_API_URL
from prefect.states import Pending

from deployments.sandbox.host.host import Host
from deployments.worker.execute import PROJECT
from tasks.ledger.ledger import Ledger
from tests.deployments.conftest import Pool
from tests.deployments.worker.test_worker import REFRESH, REFRESHED, Deployed

AWAY = 120.0  # seconds


class Between:
    """A TCP proxy in front of Prefect's server; while it is away, it refuses and breaks every connection."""

    def __init__(self, port: int) -> None:
        self._target, self._open = port, list[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.away, self._over, self.refused = False, False, 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._over:
            with contextlib.suppress(OSError):
                near, _ = self._listener.accept()
                if self.away:
                    self.refused += 1
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Break open connections, and refuse new ones."""
        self.away = True
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Stop permanently."""
        self._over = True
        self.leave()
        self._listener.close()


@pytest.fixture
def between(prefect_server: None) -> Iterator[Between]:
    """A proxy in front of the tests' server."""
    proxy = Between(urlsplit(str(PREFECT_API_URL.value())).port or 0)
    yield proxy
    proxy.end()


@pytest.mark.drill  # real minutes: what is tried is how long Prefect's own clients wait
@pytest.mark.timeout(600)
def test_a_server_that_is_away_during_a_copy_changes_nothing(
    pool: Pool, worker: Host, ledger: Ledger, between: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two minutes without connections, the run ends as Verified, with one copy and its report."""
    worker.publish("schulprod", "files")
    run = Deployed(pool, REFRESH, "refresh", REFRESHED).go()
    assert run.state == "Suspended", run.message
    assert run.say() == "ACCEPT"
    pool.client.set_flow_run_state(run._uuid, Pending(), force=True)
    worker.scale = AWAY * 1.3 / 1200  # the copy takes a bit longer than the server is away
    monkeypatch.setenv("UNDERSTUDY_PACE", str(worker.scale))
    environment = os.environ | {"PREFECT_API_URL": f"http://127.0.0.1:{between.port}/api", "PYTHONPATH": str(PROJECT)}
    output = tmp_path / "output"
    with output.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments.worker.execute", run.id],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + 120
    while not worker.copies_received() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    between.leave()
    time.sleep(AWAY)
    between.away = False
    process.wait(300)
    assert between.refused > 0
    assert (run.state, worker.copies_received()) == ("Verified", 1), run.message + output.read_text()[-3000:]
    assert "Verified" in run.report
    assert len(ledger.facts(run_id=run.id, kind="sending")) == 1
