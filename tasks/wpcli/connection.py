"""One SSH connection to an install's gateway, for synchronous callers.

The gateway starts a container for each session and ends a session after ten minutes without output. It may also kill a command
that needs too much memory. Such ends are `Unreachable`: temporary, so that a step retries. A refused key, another host key and a
command that WP-CLI refuses are not retried.

What a command prints is data of the site: it is returned to the caller and appears in no message, exception or log.
"""

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import asyncssh

from tasks.estate.connection_failures import why_failed
from tasks.estate.errors import CommandRefused, GatewayRefused, HostKeyRefused, Misconfigured, Unreachable
from tasks.wpcli.access import Access
from tasks.wpcli.commands import LONGEST_COMMAND, Command, command_line
from tasks.wpcli.host_keys import require_trusted

# asyncssh logs each command line, with its arguments, at level INFO.
logging.getLogger("asyncssh").setLevel(logging.WARNING)

CONNECT_WITHIN = 30.0  # seconds until the login is done; a container is started for it
COMMAND_WITHIN = 120.0  # seconds; most commands take less than one
BIGGEST_ANSWER = 8 * 1024 * 1024  # bytes of standard output, and of standard error
PIECE = 65_536  # bytes of one read
ALIVE = {"keepalive_interval": 15, "keepalive_count_max": 4}  # a dead connection is noticed after a minute

KILLED = (137, 143)  # the exit codes that a shell reports for a program that SIGKILL or SIGTERM ended
# PHP and WordPress's words for what may succeed later → how it is described.
TEMPORARY = {
    r"Allowed memory size of \d+ bytes exhausted|Out of memory": "the command ran out of memory",
    r"Error establishing a database connection": "the site's database did not answer",
}
# The words of the shell, PHP and WP-CLI for why nothing was done → how it is described. The words themselves may contain data.
REASONS = {
    r"does not seem to be a WordPress install": "no WordPress is installed at the expected path",
    r"is not a registered (?:wp|sub)\s?command": "its WP-CLI does not know this command",
    r"unknown --\S+ parameter": "its WP-CLI does not know one of the options",
    r"command not found": "WP-CLI is not installed",
    r"[Cc]ritical error on th|PHP (?:Fatal|Parse) error": "PHP fails while it loads WordPress",
}

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """How a command ended. What it printed is the site's data and appears in no representation."""

    status: int
    output: str = field(repr=False)
    error: str = field(repr=False)

    @property
    def last_line(self) -> str:
        """The last line of the output: warnings of PHP come before it."""
        return self.output.strip().rpartition("\n")[2]


class Connection:
    """A connection to the gateway of one install. Use as a context manager: it owns a thread with an event loop.

    Entering raises `HostKeyRefused`, `GatewayRefused`, `Unreachable` or `Misconfigured`.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._ssh: asyncssh.SSHClientConnection

    def __repr__(self) -> str:
        return f"Connection({self._access.install!r})"

    def __enter__(self) -> Self:
        trusted = require_trusted(self._access.known_hosts, self._access.host, self._access.install)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"ssh-{self._access.install}", daemon=True)
        self._thread.start()
        try:
            self._ssh = self._await(self._connect(trusted))
        except BaseException:  # also a signal: the thread must end
            self._end_loop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            with contextlib.suppress(OSError, asyncssh.Error):
                self._await(_close(self._ssh))
        finally:
            self._end_loop()

    def run(self, command: Command, *, within: float = COMMAND_WITHIN, accepted: Collection[int] = (0,)) -> Answer:
        """Run one command in the install's WordPress and return its answer, whose exit code is one of `accepted`.

        `within`: seconds, `LONGEST_COMMAND` at most. Raise `Unreachable` if it did not end by itself, `CommandRefused` for any
        other exit code.
        """
        if within > LONGEST_COMMAND:
            raise ValueError(f"within {within}; expected {LONGEST_COMMAND} at most")
        answer = self._await(self._run(command, within))
        if answer.status in accepted:
            return answer
        raise _failure(f"{self._access.install}: {command}", answer)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _connect(self, trusted: Any) -> asyncssh.SSHClientConnection:
        access = self._access
        failed = f"{access.host}: no SSH connection"
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                keys = [access.key] if access.key else await _agent_keys()
                return await asyncssh.connect(
                    access.address, access.port, username=access.install, known_hosts=trusted, client_keys=keys,
                    preferred_auth="publickey", agent_path=None,
                    config=None,  # a file of the worker's user must not change where the key goes
                    **ALIVE,
                )  # fmt: skip
        except asyncssh.HostKeyNotVerifiable:
            raise HostKeyRefused(
                f"The gateway {access.host} shows another host key than the trusted one.",
            ) from None
        except asyncssh.PermissionDenied:
            raise GatewayRefused(f"The gateway {access.host} refuses the key for {access.install}.") from None
        except (OSError, asyncssh.Error) as error:
            raise Unreachable(f"{failed}: {why_failed(error)[0]}.") from None

    async def _run(self, command: Command, within: float) -> Answer:
        line, what = command_line(command.arguments(self._access.folder)), f"{self._access.install}: {command}"
        try:
            async with asyncio.timeout(within):
                process = await self._ssh.create_process(line, stdin=asyncssh.DEVNULL, encoding=None)
                try:
                    output, error = await asyncio.gather(_read(process.stdout, what), _read(process.stderr, what))
                    ended = await process.wait()
                finally:
                    process.close()
        except TimeoutError:
            raise Unreachable(f"{what}: it did not end within {within:.0f} s.", overdue=True) from None
        except (OSError, asyncssh.Error) as lost:
            raise Unreachable(f"{what}: the connection was lost ({type(lost).__name__}).") from None
        if ended.exit_status is None or ended.exit_signal or ended.exit_status in KILLED:
            raise Unreachable(
                f"{what}: the gateway ended it, for example because it used too much memory.", memory=True
            )
        return Answer(ended.exit_status, output, error)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _close(ssh: asyncssh.SSHClientConnection) -> None:
    ssh.close()
    async with asyncio.timeout(CONNECT_WITHIN):
        await ssh.wait_closed()


async def _agent_keys() -> list[Any]:
    """Return the keys of the running agent. Raise `Misconfigured` if there is no agent or it has no key."""
    try:
        keys = [*await (await asyncssh.connect_agent()).get_keys()]
    except (OSError, ValueError, asyncssh.Error):
        keys = []
    if not keys:
        raise Misconfigured(
            "This worker has no SSH key: UNDERSTUDY_SSH_KEY_FILE is not set, and no agent with a key is running.",
            next_step="No connection was made. Set UNDERSTUDY_SSH_KEY_FILE on the worker, or start it with an agent.",
        )
    return keys


async def _read(stream: asyncssh.SSHReader[Any], what: str) -> str:
    """Return what a command prints. Raise `CommandRefused` if it prints too much."""
    content = bytearray()
    while piece := await stream.read(PIECE):
        content += piece
        if len(content) > BIGGEST_ANSWER:
            raise CommandRefused(f"{what}: its answer is longer than {BIGGEST_ANSWER:,} bytes.")
    return content.decode("utf-8", errors="replace")


async def fetch_host_key(access: Access) -> asyncssh.SSHKey:
    """Return the key that a gateway shows, which nobody has compared yet. Raise `Unreachable`."""
    try:
        async with asyncio.timeout(CONNECT_WITHIN):
            key = await asyncssh.get_server_host_key(access.address, access.port, config=None)
    except (OSError, asyncssh.Error) as error:
        raise Unreachable(f"{access.host}: no SSH connection: {why_failed(error)[0]}.") from None
    if key is None:
        raise Unreachable(f"{access.host}: the gateway shows no host key.")
    return key


def _failure(what: str, answer: Answer) -> CommandRefused | Unreachable:
    """Return the error for an exit code that was not expected."""
    printed = answer.error + answer.output
    for pattern, description in TEMPORARY.items():
        if re.search(pattern, printed):
            return Unreachable(f"{what}: {description}.", memory="memory" in description)
    known = (description for pattern, description in REASONS.items() if re.search(pattern, printed))
    reason = next(known, "its reason is not shown, because it may contain data of the site")
    return CommandRefused(f"{what}: exit code {answer.status}: {reason}.", status=answer.status)
