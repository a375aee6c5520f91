"""The SSH connection: which ends are temporary, which are refusals, and that nothing of a site's data is shown."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.ssh_gateway import SshGateway
from tasks.configuration.settings import Settings
from tasks.estate.errors import (
    CommandRefused,
    GatewayRefused,
    HostKeyRefused,
    Misconfigured,
    Transient,
    UnderstudyError,
    Unreachable,
)
from tasks.wpcli.access import Access, access_to
from tasks.wpcli.commands import Command
from tasks.wpcli.connection import LONGEST_COMMAND, Connection

HOME = Command(("option", "get"), ("home",))

# Fault of the gateway while a command runs, the error, and what its message contains.
ENDS: list[tuple[str, type[UnderstudyError], str]] = [
    ("ssh-dropped", Unreachable, "connection was lost"),
    ("ssh-session-killed", Unreachable, "the gateway ended it"),
    ("ssh-out-of-memory", Unreachable, "ran out of memory"),
    ("ssh-database-down", Unreachable, "database did not answer"),
    ("ssh-php-fails", CommandRefused, "exit code 255: PHP fails"),
    ("ssh-no-wp", CommandRefused, "exit code 127: WP-CLI is not installed"),
]


@pytest.mark.parametrize(("fault", "error", "message"), ENDS, ids=[fault for fault, _, _ in ENDS])
def test_a_command_that_fails_is_temporary_or_refused(
    fault: str, error: type[UnderstudyError], message: str, connection: Connection, estate: Host
) -> None:
    """What may succeed later is `Unreachable`, which steps retry; the rest is `CommandRefused`. Both name install and command."""
    estate.switch_on(fault, install="schulstage", times=1)
    with pytest.raises(error, match=message) as ended:
        connection.run(HOME)
    assert "schulstage: wp option get" in ended.value.message
    assert isinstance(ended.value, Transient) == (error is Unreachable)


def test_a_connection_outlasts_a_killed_command(connection: Connection, estate: Host) -> None:
    """After a command that the gateway ended, the next one is answered."""
    estate.switch_on("ssh-session-killed", times=1)
    with pytest.raises(Unreachable):
        connection.run(HOME)
    assert connection.run(HOME).output == "http://schulstage.wpengine.example\n"


def test_a_command_that_takes_too_long_is_ended(connection: Connection, estate: Host) -> None:
    """A command has a time limit, and its error can be distinguished from a lost connection."""
    estate.switch_on("ssh-late", times=1, seconds=300)
    with pytest.raises(Unreachable, match=r"did not end within 0 s") as late:
        connection.run(HOME, within=0.05)
    assert late.value.facts == {"overdue": True}


def test_no_command_may_outlast_the_gateway() -> None:
    """The gateway ends a session after ten minutes without output: no limit may be longer."""
    assert LONGEST_COMMAND < 600
    with pytest.raises(ValueError, match="at most"):
        Connection.run(object.__new__(Connection), HOME, within=600)


def test_exit_codes_that_are_expected_are_answers(connection: Connection) -> None:
    """An exit code that a command uses as an answer is not an error."""
    absent = Command(("option", "get"), ("no-such-option",))
    assert connection.run(absent, accepted=(0, 1)).status == 1
    with pytest.raises(CommandRefused, match="exit code 1: its reason is not shown") as refused:
        connection.run(absent)
    assert "no-such-option" not in refused.value.message


@pytest.mark.parametrize("fault", ["ssh-key-refused", "key-of-another"])
def test_a_refused_key_is_named(fault: str, access: Access, estate: Host) -> None:
    """A gateway that does not know the key refuses; no other way to log in is tried."""
    if fault == "key-of-another":
        access = replace(access, key=asyncssh.generate_private_key("ssh-ed25519"))
    else:
        estate.switch_on(fault)
    with pytest.raises(GatewayRefused, match="refuses the key for schulstage"), Connection(access):
        pass


def test_an_install_of_another_account_refuses(ssh: Callable[[], Settings]) -> None:
    """A key reaches the installs of its own account only."""
    with (
        pytest.raises(GatewayRefused, match="refuses the key for fremdstage"),
        Connection(access_to("fremdstage", ssh())),
    ):
        pass


def test_another_host_key_is_refused(access: Access, estate: Host) -> None:
    """A gateway with another key than the trusted one receives no login."""
    estate.switch_on("ssh-host-key-changed", times=1)
    with pytest.raises(HostKeyRefused, match="another host key than the trusted one"), Connection(access):
        pass


def test_an_unknown_host_is_not_trusted_on_first_use(access: Access) -> None:
    """Without an entry no connection is made, and the message names the command that makes one."""
    access.known_hosts.unlink()
    with pytest.raises(HostKeyRefused, match="no trusted host key") as refused, Connection(replace(access, port=1)):
        pass
    assert "understudy trust-host schulstage" in refused.value.next_step
    assert not access.known_hosts.exists()


def test_a_gateway_that_is_away_is_temporary(access: Access, gateway: SshGateway) -> None:
    """If nothing listens, the reason is in the message."""
    gateway.close()
    with pytest.raises(Unreachable, match="nothing listens"), Connection(access):
        pass


def test_a_worker_without_any_key_sends_nothing(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key in the settings and without an agent, the message names both."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(Misconfigured, match="has no SSH key"), Connection(replace(access, key=None)):
        pass


def test_nothing_of_a_site_is_logged_or_raised(
    connection: Connection, estate: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """Command lines, values and outputs appear in no log, no exception and no representation, at any level."""
    with caplog.at_level(logging.DEBUG):
        answer = connection.run(HOME)
        estate.switch_on("ssh-php-fails", times=1)
        with pytest.raises(CommandRefused) as refused:
            connection.run(HOME)
    seen = caplog.text + repr(answer) + repr(connection) + repr(vars(refused.value)) + str(refused.value.__cause__)
    for data in ("planted@customer.example", "schulstage.wpengine.example", "/sites/", "home"):
        assert data not in seen


def test_a_user_file_of_ssh_changes_nothing(access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration of the worker's user could send the key elsewhere, so it is not read."""
    folder = tmp_path / ".ssh"
    folder.mkdir()
    (folder / "config").write_text("Host *\n  HostName 127.0.0.2\n  Port 1\n  User somebody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with Connection(access) as opened:
        assert opened.run(HOME).status == 0
