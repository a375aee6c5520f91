"""Fixtures of the emulator's SSH gateway, and of a worker that may use it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.ssh_gateway import SshGateway
from tasks.configuration.settings import Settings, forget_settings, load_settings
from tasks.wpcli.access import Access, access_to
from tasks.wpcli.connection import Connection
from tasks.wpcli.wordpress import WordPress

INSTALLS = ("schulprod", "schulstage", "fremdstage")
GATEWAY = "{install}.ssh.wpengine.example"
_keys: list[asyncssh.SSHKey] = []


def worker_key() -> asyncssh.SSHKey:
    """Return the key of the worker, the same in all tests of a process."""
    if not _keys:
        _keys.append(asyncssh.generate_private_key("ssh-ed25519"))
    return _keys[0]


@pytest.fixture
def gateway(estate: Host) -> Iterator[SshGateway]:
    """The emulator's SSH gateway, which accepts the worker's key for the installs of the first account."""
    estate.add_key(worker_key().export_public_key().decode())
    served = SshGateway(estate)
    yield served
    served.close()


@pytest.fixture
def ssh(gateway: SshGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Settings]]:
    """The settings of a worker that may log in to all installs and trusts their gateways; call it for the settings."""
    key, known = tmp_path / "ssh_key", tmp_path / "known_hosts"
    key.touch(mode=0o600)
    key.write_bytes(worker_key().export_private_key())
    known.write_text(gateway.known_hosts(*(GATEWAY.format(install=name) for name in INSTALLS)))
    values = {
        "INSTALLS": "*",
        "KEY_FILE": str(key),
        "KNOWN_HOSTS": str(known),
        "HOST": GATEWAY,
        "GATEWAY": gateway.address,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"UNDERSTUDY_SSH_{name}", value)
    forget_settings()
    yield load_settings
    forget_settings()


@pytest.fixture
def access(ssh: Callable[[], Settings]) -> Access:
    """How staging is reached."""
    return access_to("schulstage", ssh())


@pytest.fixture
def connection(access: Access) -> Iterator[Connection]:
    """An open connection to staging."""
    with Connection(access) as opened:
        yield opened


@pytest.fixture
def wordpress(connection: Connection) -> WordPress:
    """The WordPress of staging."""
    return WordPress(connection)


@pytest.fixture
def inside(worker: Host, ssh: Callable[[], Settings], monkeypatch: pytest.MonkeyPatch) -> Host:
    """The emulated host, and a worker that has WP-CLI access to its installs and a masking key."""
    monkeypatch.setenv("UNDERSTUDY_MASKING_KEY", "0123456789abcdef" * 4)
    forget_settings()
    return worker
