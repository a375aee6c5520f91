"""The emulated SSH gateway: who may log in, what a session is, and how it ends. No code of ours on this side of it."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from deployments.sandbox.host.faults import SSH_FAULTS
from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request
from deployments.sandbox.host.ssh_gateway import SshGateway
from tests.ssh_access import worker_key

Run = Callable[..., asyncssh.SSHCompletedProcess]


@pytest.fixture
def run(gateway: SshGateway) -> Run:
    """Run one command line at the gateway: `run("wp …", user="schulprod")`."""
    address, _, port = gateway.address.partition(":")

    def once(
        line: str, *, user: str = "schulstage", key: asyncssh.SSHKey | None = None
    ) -> asyncssh.SSHCompletedProcess:
        async def talk() -> asyncssh.SSHCompletedProcess:
            options: dict[str, Any] = {"known_hosts": None, "config": None, "agent_path": None, "username": user}
            async with asyncssh.connect(address, int(port), client_keys=[key or worker_key()], **options) as connection:
                return await connection.run(line)

        return asyncio.run(talk())

    return once


def test_a_command_runs_in_a_session(run: Run) -> None:
    """The exit code, the output and the errors of a command are its own."""
    found = run("wp option get home --path=/sites/schulstage")
    assert (found.exit_status, found.stdout, found.stderr) == (0, "http://schulstage.wpengine.example\n", "")


@pytest.mark.parametrize("user", ["fremdstage", "nobody"])
def test_a_key_reaches_the_installs_of_its_account(user: str, run: Run) -> None:
    """Installs of another account, and names of no install, refuse the key."""
    with pytest.raises(asyncssh.PermissionDenied):
        run("wp core is-installed", user=user)


def test_a_key_that_nobody_added_is_refused(run: Run) -> None:
    """Only added keys are accepted."""
    with pytest.raises(asyncssh.PermissionDenied):
        run("wp core is-installed", key=asyncssh.generate_private_key("ssh-ed25519"))


@pytest.mark.parametrize(
    "line",
    [
        "wp option get home; id",
        "wp option get $HOME",
        "wp option get `id`",
        "wp option get 'home",
        "wp a && wp b",
        "wp a\nid",
    ],
)
def test_more_than_one_plain_command_is_refused(line: str, run: Run) -> None:
    """What a shell would expand, chain or wait for is a mistake of the caller, and shows as one."""
    assert run(line).exit_status == 2


@pytest.mark.parametrize("line", ["mysql -e x", "id", ""])
def test_only_wp_is_installed(line: str, run: Run) -> None:
    """Other programs are not found; a session without a command has nothing to do."""
    assert run(line).exit_status == 127


def test_quoted_arguments_are_read_as_a_shell_reads_them(run: Run) -> None:
    """Quotes, escapes and what looks like operators inside of them belong to the argument."""
    found = run(r"wp option get 'it'\''s ; $(x)' --path=/sites/schulstage")
    assert found.stderr == "Error: Could not get 'it's ; $(x)' option. Does it exist?\n"


@pytest.mark.parametrize("fault", SSH_FAULTS)
def test_every_fault_of_ssh_is_met_and_counted_down(fault: str, run: Run, estate: Host) -> None:
    """A fault changes one session, and the next one is as always."""
    line = "wp option get home --path=/sites/schulstage"
    estate.switch_on(fault, times=1, seconds=0)
    try:
        failed = run(line).exit_status != 0
    except (asyncssh.Error, OSError):
        failed = True
    assert failed or fault in ("ssh-late", "ssh-host-key-changed")  # this client accepts every host key
    assert estate.faults[0].met == 1
    assert run(line).exit_status == 0


def test_the_switchboard_adds_keys_and_changes_sites_inside(estate: Host) -> None:
    """Whoever runs the emulator alone does by HTTP what tests do in Python."""
    key = worker_key().export_public_key().decode()

    def post(path: str, body: str) -> int:
        return estate.handle(Request("POST", "127.0.0.1", f"/_sandbox/{path}", {}, {}, body.encode())).status

    assert post("keys", f'{{"key": "{key.strip()}"}}') == 201
    assert post("inside", '{"install": "schulstage", "filters_mail": false}') == 201
    assert post("inside", '{"install": "schulstage", "weather": "fine"}') == 400
    assert len(estate.store.all("keys")) == 1
    assert estate.named("schulstage")["inside"] == {"filters_mail": False}


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """The worker's key as a file."""
    file = tmp_path / "identity"
    file.touch(mode=0o600)
    file.write_bytes(worker_key().export_private_key())
    return file


@pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH's client is not installed")
def test_openssh_can_use_it(gateway: SshGateway, identity: Path, tmp_path: Path) -> None:
    """The emulator speaks to the program that people use."""
    address, _, port = gateway.address.partition(":")
    known = tmp_path / "known"
    known.write_text(gateway.known_hosts(f"[{address}]:{port}"))
    options = ["-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
    command = ["ssh", *options, "-i", str(identity), "-p", port, f"schulstage@{address}", "wp", "core", "is-installed"]
    ended = subprocess.run([*command, "--path=/sites/schulstage"], capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, b""), ended.stderr
