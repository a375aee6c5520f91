"""The connection against a real OpenSSH server with a real shell: what the emulated gateway cannot prove about itself.

The server listens on loopback for the user who runs the tests. Its `wp` is a script that prints its arguments, or ends as asked.
"""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given, settings

from tasks.estate.errors import CommandRefused, GatewayRefused, HostKeyRefused, Unreachable
from tasks.wpcli.access import Access
from tasks.wpcli.commands import Command
from tasks.wpcli.connection import Connection
from tests.drills.wordpress.servers import free_port, running, wait_for
from tests.tasks.wpcli.test_commands import ARGUMENTS

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(SSHD is None, reason="OpenSSH's server is not installed (Debian: openssh-server)"),
]
WP = """#!/bin/sh
case "$1" in
  killed) kill -9 $$ ;;
  hungry) echo 'PHP Fatal error:  Allowed memory size of 1 bytes exhausted' >&2; exit 255 ;;
  dropped) kill -9 "$PPID" ;;
  sleeping) sleep 300 ;;
  echo) shift; printf '%s\\0' "$@" ;;
  *) echo "Error: '$1' is not a registered wp command." >&2; exit 1 ;;
esac
"""
CONFIG = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv PATH={folder}:/usr/bin:/bin
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """An OpenSSH server whose `wp` is the script above. Yields how it is reached."""
    folder, port = tmp_path_factory.mktemp("sshd"), free_port()
    folder.chmod(0o755)
    host_key, own = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    for name, content, mode in (
        ("host_key", host_key.export_private_key(), 0o600),
        ("authorized_keys", own.export_public_key(), 0o600),
        ("known_hosts", b"openssh.example " + host_key.export_public_key(), 0o600),
        ("wp", WP.encode(), 0o755),
        ("config", CONFIG.format(port=port, folder=folder).encode(), 0o600),
    ):
        (folder / name).touch(mode=mode)
        (folder / name).write_bytes(content)
        (folder / name).chmod(mode)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where a server of root confines its child processes
    assert SSHD is not None
    with running([SSHD, "-D", "-e", "-f", str(folder / "config")], folder / "sshd.log"):
        access = Access(getpass.getuser(), "openssh.example", "127.0.0.1", port, folder / "known_hosts", own)

        def answers() -> None:
            try:
                with Connection(access):
                    pass
            except Unreachable as not_yet:
                raise RuntimeError(not_yet.message) from not_yet

        wait_for(answers)
        yield access


@pytest.fixture
def connection(server: Access) -> Iterator[Connection]:
    """An open connection."""
    with Connection(server) as opened:
        yield opened


@settings(max_examples=100)
@given(values=ARGUMENTS)
def test_every_value_arrives_as_it_is(values: list[str], connection: Connection) -> None:
    """Through SSH and the login shell, a program receives exactly the values."""
    plain = tuple(value for value in values if not value.startswith("-"))
    arrived = connection.run(Command(("echo",), plain)).output.split("\0")[:-1]
    assert arrived == [*plain, f"--path=/sites/{getpass.getuser()}"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("killed", "the gateway ended it"),
        ("hungry", "ran out of memory"),
        ("dropped", "the connection was lost|the gateway ended it"),
    ],
)
def test_ends_of_openssh_are_temporary(word: str, message: str, server: Access) -> None:
    """A killed command, one without memory and a killed session are temporary, as at the emulator."""
    with Connection(server) as connection, pytest.raises(Unreachable, match=message):
        connection.run(Command((word,)))


def test_a_command_that_does_not_end_is_given_up(server: Access) -> None:
    """The time limit ends the wait, and the connection can be closed."""
    with Connection(server) as connection, pytest.raises(Unreachable, match="did not end within"):
        connection.run(Command(("sleeping",)), within=0.5)


def test_a_refusal_is_not_temporary(connection: Connection) -> None:
    """An exit code that was not expected is a refusal."""
    with pytest.raises(CommandRefused, match="its WP-CLI does not know this command"):
        connection.run(Command(("unknown",)))


def test_keys_are_refused_on_both_sides(server: Access, tmp_path: Path) -> None:
    """OpenSSH refuses another key of ours, and another key of the server is refused."""
    other = asyncssh.generate_private_key("ssh-ed25519")
    with (
        pytest.raises(GatewayRefused),
        Connection(Access(server.install, server.host, server.address, server.port, server.known_hosts, other)),
    ):
        pass
    known = tmp_path / "known_hosts"
    known.write_bytes(b"openssh.example " + other.export_public_key())
    with (
        pytest.raises(HostKeyRefused, match="another host key"),
        Connection(Access(server.install, server.host, server.address, server.port, known, server.key)),
    ):
        pass


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="OpenSSH's agent is not installed")
def test_the_keys_of_an_agent_are_used(server: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key in the settings, an agent signs."""
    socket = tmp_path / "agent"
    assert server.key is not None
    key = server.key.export_private_key()
    with running(["ssh-agent", "-D", "-a", str(socket)], tmp_path / "agent.log"):
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))

        def add() -> None:
            if subprocess.run(["ssh-add", "-"], input=key, capture_output=True, check=False).returncode:
                raise RuntimeError("the agent does not answer yet")

        wait_for(add)
        with Connection(
            Access(server.install, server.host, server.address, server.port, server.known_hosts)
        ) as connection:
            assert connection.run(Command(("echo",), ("here",))).output.startswith("here\0")
