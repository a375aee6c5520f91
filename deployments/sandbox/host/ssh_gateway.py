"""The SSH gateway of the emulated host, on loopback: one session for each command, in which only `wp` is installed.

The login name is the name of the install. A key is accepted if it was added to the install's account (`Estate.add_key`).
"""

import asyncio
import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING, Any

import asyncssh

from deployments.sandbox.host import simulated_work
from deployments.sandbox.host.wp_cli import run_wp
from deployments.sandbox.host.wp_invocation import Ended

if TYPE_CHECKING:
    from deployments.sandbox.host.host_state import Estate

# The parts of a command line. Double quotes and expansions are not emulated: they are as wrong as a second command.
PIECE = re.compile(r"'(?P<single>[^']*)'|\\(?P<escaped>[^\n])|(?P<plain>[\w@%+=:,./-]+)", re.ASCII)
WORD = re.compile(r"(?P<blank>[ \t]+)|(?:'[^']*'|\\[^\n]|[\w@%+=:,./-]+)+|(?P<wrong>[\s\S])", re.ASCII)
MEMORY = (
    "PHP Fatal error:  Allowed memory size of 268435456 bytes exhausted (tried to allocate 20480 bytes) in "
    "/sites/{name}/wp-includes/class-wpdb.php on line 2100\n"
)
ERRORS = {  # fault → how a command ends instead
    "ssh-out-of-memory": Ended(255, err=MEMORY),
    "ssh-database-down": Ended(1, err="Error: Error establishing a database connection.\n"),
    "ssh-php-fails": Ended(
        255, err="PHP Fatal error:  Uncaught Error: planted@customer.example in /sites/{name}/wp-content\n"
    ),
    "ssh-no-wp": Ended(127, err="bash: line 1: wp: command not found\n"),
}


class _Login(asyncssh.SSHServer):
    """Accepts the keys of the account to which the install of this name belongs."""

    def __init__(self, estate: "Estate") -> None:
        self._estate = estate

    def begin_auth(self, username: str) -> bool:
        """Require a key of everybody."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Accept keys only."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Return whether a user with this key may reach the install."""
        estate, shown = self._estate, key.export_public_key().decode().split()[1]
        with estate.store.lock:
            install = next((each for each in estate.store.all("installs") if each["name"] == username), None)
            if install is None or estate.fault("ssh-key-refused", username):
                return False
            return any(
                row["key"] == shown and row["account_id"] == install["account"]["id"]
                for row in estate.store.all("keys")
            )


class SshGateway:
    """Serves an emulated host by SSH, in a thread of its own, until it is closed. `address` is host:port."""

    def __init__(self, estate: "Estate", host: str = "127.0.0.1", port: int = 0) -> None:
        self._estate = estate
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._other_key = asyncssh.generate_private_key("ssh-ed25519")
        self._socket = socket.create_server((host, port))
        self._socket.setblocking(False)
        self.address = f"{host}:{self._socket.getsockname()[1]}"
        self._sessions: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._accepting = self._loop.create_task(self._accept())
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def known_hosts(self, *hosts: str) -> str:
        """Return the lines of a known_hosts file that trust this gateway under these names."""
        key = self.host_key.export_public_key().decode().strip()
        return "".join(f"{host} {key}\n" for host in hosts)

    def close(self) -> None:
        """Stop listening, and end all sessions. A second call does nothing."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._accepting.cancel)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._accepting)
        self._loop.run_until_complete(self._end_sessions())
        self._loop.close()

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._socket)
            session = self._loop.create_task(self._talk(client))
            self._sessions.add(session)
            session.add_done_callback(self._sessions.discard)

    async def _end_sessions(self) -> None:
        """Cancel everything that runs in this loop, the tasks of asyncssh included, and wait for it."""
        while running := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    async def _talk(self, client: socket.socket) -> None:
        """Serve one connection until its end."""
        key = self._other_key if self._estate.fault("ssh-host-key-changed") else self.host_key
        with contextlib.suppress(OSError, asyncssh.Error):  # clients that disconnect
            connection = await asyncssh.run_server(
                client,
                config=None,
                server_host_keys=[key],
                server_factory=lambda: _Login(self._estate),
                process_factory=self._execute,
                allow_pty=False,
            )
            try:
                await connection.wait_closed()
            finally:
                connection.abort()

    async def _execute(self, process: asyncssh.SSHServerProcess[str]) -> None:
        """Run one command line, as the shell of the gateway does."""
        estate, name, line = self._estate, process.get_extra_info("username"), process.command or ""
        late = estate.fault("ssh-late", name, path=line)
        if late is not None:
            await asyncio.sleep(float(late.options.get("seconds", 1.0)))
        if estate.fault("ssh-dropped", name, path=line):
            process.channel.get_connection().abort()
            return
        if estate.fault("ssh-session-killed", name, path=line):
            process.exit_with_signal("KILL")
            return
        ended = self._ended(name, line)
        if estate.fault("ssh-answer-lost", name, path=line):
            process.channel.get_connection().abort()
            return
        process.stdout.write(ended.out)
        process.stderr.write(ended.err)
        process.exit(ended.status)

    def _ended(self, name: str, line: str) -> Ended:
        failing = next((ended for fault, ended in ERRORS.items() if self._estate.fault(fault, name, path=line)), None)
        if failing is not None:
            return Ended(failing.status, err=failing.err.format(name=name))
        try:
            words = _split(line)
        except ValueError:
            return Ended(2, err="bash: -c: unexpected EOF while looking for matching quote\n")
        if words[:1] != ["wp"]:
            return Ended(127, err="bash: line 1: command not found\n")
        with self._estate.store.lock:
            simulated_work.advance(self._estate)
            install = self._estate.named(name)
            ended = run_wp(install, words[1:], now=self._estate.store.clock())
            self._estate.store.put("installs", install)
            return ended


def _split(line: str) -> list[str]:
    """Return the words of a line as a POSIX shell does. Raise `ValueError` if it is not one plain command."""
    words: list[str] = []
    for part in WORD.finditer(line):
        if part["wrong"]:
            raise ValueError("not one plain command")
        if part["blank"]:
            continue
        words.append(
            "".join(piece["single"] or piece["escaped"] or piece["plain"] or "" for piece in PIECE.finditer(part[0]))
        )
    return words
