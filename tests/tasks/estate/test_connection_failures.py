"""Why a connection failed: each fault of a certificate, over real TLS, and each step that failed."""

import socket
import ssl
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from tasks.capi.client import Client
from tasks.estate.connection_failures import CERTIFICATES, why_failed
from tasks.estate.errors import Unreachable
from tasks.websites.fetcher import Fetcher
from tests.tls import certificate, served


def failure(url: str, trusted: Path | None = None, within: float = 30.0) -> Exception:
    """Return what a request raises; `trusted` is a certificate that is its own authority, `within` a number of seconds."""
    context = ssl.create_default_context(cafile=str(trusted) if trusted else None)
    with (
        httpx.Client(verify=context, trust_env=False, timeout=within) as client,
        pytest.raises(httpx.HTTPError) as failed,
    ):
        client.get(url)
    return failed.value


@pytest.mark.parametrize(
    ("host", "days", "named", "remedy"),
    [
        ("localhost", (-9, -2), "has expired", "Renew"),
        ("localhost", (2, 9), "is not valid yet", "clock"),
        ("other.example", (-1, 9), "is for another host", "name in the address"),
        ("*.localhost", (-1, 9), "is for another host", "name in the address"),
    ],
)
def test_a_trusted_certificate_that_does_not_fit_is_named(
    tmp_path: Path, host: str, days: tuple[float, float], named: str, remedy: str
) -> None:
    """An expired, not yet valid or foreign certificate is named, with the remedy."""
    file = certificate(tmp_path, host, begins=days[0], ends=days[1])
    with served(file) as port:
        failed = failure(f"https://localhost:{port}/", file)
        why, what_to_do = why_failed(failed)
        assert (why.startswith("TLS: its certificate"), named in why, remedy in what_to_do) == (True, True, True), why
        by_number = failure(f"https://127.0.0.1:{port}/", file)
    if days == (-1, 9):
        assert why_failed(by_number) == (f"TLS: {CERTIFICATES[64][0]}", CERTIFICATES[64][1])


def test_a_certificate_of_nobody_is_named(tmp_path: Path) -> None:
    """For a self-signed certificate that is not trusted, the remedy mentions a proxy."""
    with served(certificate(tmp_path)) as port:
        why, remedy = why_failed(failure(f"https://localhost:{port}/"))
    assert ("self-signed" in why, "proxy" in remedy) == (True, True)


def test_a_port_without_tls_is_named() -> None:
    """An https request to an http port is named."""
    with served(None) as port:
        why, remedy = why_failed(failure(f"https://127.0.0.1:{port}/"))
    assert (why, "Check scheme and port" in remedy) == ("TLS: this port does not use TLS", True)


def test_every_other_step_is_named() -> None:
    """No such host, no listener and no answer in time are named; other failures keep the name of the exception."""
    assert "cannot be resolved" in why_failed(failure("http://no-such-host.invalid/"))[0]
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        refusing = failure(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert "nothing listens" in why_failed(refusing)[0]
        silent.listen()
        slow = failure(f"http://127.0.0.1:{silent.getsockname()[1]}/", within=0.5)
    assert "did not answer in time" in why_failed(slow)[0]
    assert why_failed(httpx.RemoteProtocolError("<b>words of the other side</b>")) == ("RemoteProtocolError", "")


def test_a_group_of_failures_is_read_by_its_first() -> None:
    """A group has the reason of its first member, and a cycle of causes ends."""
    inner = httpx.ConnectError("")
    inner.__cause__ = ConnectionRefusedError()
    assert "nothing listens" in why_failed(ExceptionGroup("two", [inner, ValueError()]))[0]
    circle = ValueError()
    circle.__cause__ = KeyError()
    circle.__cause__.__cause__ = circle
    assert why_failed(circle) == ("ValueError", "")


def test_the_hosting_api_and_sites_say_which_address_and_why(tmp_path: Path) -> None:
    """The client's error has address, fault and remedy; the page of a site has the fault and fails for everybody."""
    with served(certificate(tmp_path)) as port:
        with (
            Client(f"https://localhost:{port}/v1", SecretStr("u"), SecretStr("geheim")) as client,
            pytest.raises(Unreachable, match=rf"localhost:{port}: TLS: its certificate is self-signed.*not sent") as no,
        ):
            client.installs()
        assert "proxy" in no.value.next_step
        assert "geheim" not in str(no.value.__dict__)
        with Fetcher("https") as fetcher:
            page = fetcher.page(f"localhost:{port}")
    assert (page.status, page.for_everybody, "self-signed" in page.detail) == (None, True, True)
