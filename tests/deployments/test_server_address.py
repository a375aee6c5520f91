"""The Prefect server's address, and why it cannot be reached: the same messages for every program."""

from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL, temporary_settings

from deployments import bootstrap
from deployments.server_address import server_address, unreachable
from deployments.worker import worker
from tasks.estate.errors import Misconfigured
from tests.tls import certificate, served


def test_an_address_without_api_is_refused() -> None:
    """Worker, bootstrap and commands end with the same sentence; it names the expected form."""
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9"}):
        with pytest.raises(Misconfigured, match="which ends with /api"):
            server_address()
        with pytest.raises(SystemExit, match="which ends with /api"):
            worker.main([])
        with pytest.raises(SystemExit) as ended:
            bootstrap.main([])
    assert ended.value.code == 2


def test_an_untrusted_server_is_not_waited_for(tmp_path: Path) -> None:
    """Worker and bootstrap end with the address, the fault, and Prefect's setting for a certificate authority."""
    with (
        served(certificate(tmp_path)) as port,
        temporary_settings({PREFECT_API_URL: f"https://localhost:{port}/api", PREFECT_API_SSL_CERT_FILE: None}),
    ):
        for start in (worker.main, bootstrap.main):
            with pytest.raises(
                SystemExit, match=rf"https://localhost:{port}/api cannot be reached: TLS: .*self-signed"
            ) as no:
                start([])
            assert "PREFECT_API_SSL_CERT_FILE" in str(no.value)


def test_a_server_that_is_away_is_reported_and_does_not_end_a_worker(capsys: pytest.CaptureFixture[str]) -> None:
    """Prefect's worker waits for a server that is away. Ours reports at once that it does not respond."""
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        worker.require_usable("http://127.0.0.1:9/api", "understudy")
    assert "cannot be reached" in capsys.readouterr().err


def test_a_login_in_the_address_is_not_shown() -> None:
    """The message contains the address without user and password."""
    error = unreachable("https://user:geheim@prefect.example/api", httpx.ConnectError(""))
    assert "https://prefect.example/api" in error.message
    assert "geheim" not in error.message + error.next_step
