"""The sandbox as a whole: emulated host, databases, Prefect server, worker, in one folder of state.

What speaks HTTP gets a free loopback port; the databases are reached through Unix sockets.
"""

import contextlib
import fcntl
import os
import secrets
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

import httpx

from deployments.sandbox.databases import HISTORY, SIDES, Database, history_serves
from deployments.sandbox.leads import Leads
from deployments.sandbox.postgres import SUPERUSER
from deployments.sandbox.prefect_settings import prefect_settings
from deployments.sandbox.processes import (
    MARK,
    Program,
    ProgramFailed,
    end_marked,
    free_port,
    one_certificate,
    undisturbed,
)
from deployments.sandbox.school.database import OWNER, READER
from deployments.sandbox.ssh_login import SshLogin
from deployments.sandbox.watchdog import keep_watch
from tasks.ledger.ledger import Ledger

PROJECT = Path(__file__).resolve().parents[2]
SCALE = 1 / 60
READY_WITHIN = 120.0  # seconds; the server's first start takes 10 to 30 s on a busy machine
COMMAND_WITHIN = 120.0  # seconds; bootstrap and deploy take 2 to 10 s
# Seconds in which a program can end in order. Its state is on disk at any moment, so they are short.
GRACE = {
    "worker": 5.0, "desk": 3.0, "server": 5.0, "emulator": 3.0, "notices": 2.0, "production": 6.0, "staging": 6.0, HISTORY: 8.0,
}  # fmt: skip
START_ORDER = (HISTORY, "emulator", "notices", *SIDES, "server", "desk", "worker")
SECRETS = {"UNDERSTUDY_API_USER", "UNDERSTUDY_API_PASSWORD", "UNDERSTUDY_MASKING_KEY", "UNDERSTUDY_CODES_FILE"}
HOSTNAME = "staging.schule.example"  # what people type to name the database that a load may overwrite


class StackBusy(Exception):
    """Raised if another sandbox uses this folder of state."""


class Stack:
    """Starts and ends the sandbox; a context manager.

    `state`: folder for all data, created if missing; a second start in it continues where the first ended, except for the
    school's two databases, which every start builds anew. None: a temporary folder, removed at the end. `scale`: real seconds
    per simulated second of the host.
    Raise `ProgramFailed` with the end of a log if a program does not start, and `StackBusy` if `state` is in use.
    """

    def __init__(
        self, state: Path | None = None, scale: float = SCALE, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """`say` is called with a short sentence for each program that has started."""
        self._temporary = state is None
        self.state = (state or Path(tempfile.gettempdir()) / f"understudy-{uuid.uuid4().hex[:8]}").resolve()
        self.scale = scale
        self._say = say
        self._mark = uuid.uuid4().hex
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        emulator, server, notices, desk = (free_port() for _ in range(4))
        self._ssh = SshLogin(self.state, free_port())
        self.emulator_url = f"http://127.0.0.1:{emulator}"
        self.ui_url = f"http://127.0.0.1:{server}"
        self.api_url = f"{self.ui_url}/api"
        self.desk_url = f"http://localhost:{desk}"  # browsers allow passkeys there, and not at 127.0.0.1
        self.notices_url = f"json://127.0.0.1:{notices}/notices"
        self.notices_file = self.state / "notices.jsonl"
        self.leads = Leads(self.state)
        self.databases = {side: Database(side, self.state / "databases") for side in SIDES}
        if history_serves():  # elsewhere Prefect uses SQLite, which sometimes fails because it is locked
            kept = None if self._temporary else self.state / "prefect" / "database"
            self.databases[HISTORY] = Database(HISTORY, self.state / "databases", kept)
        self.env = self._environment()
        estate = ["--state", str(self.state / "estate.db"), "--scale", str(scale), "--ssh-port", str(self._ssh.port)]
        receiver = ["--port", str(notices), "--file", str(self.notices_file)]
        loopback = ["--host", "127.0.0.1", "--port", str(server)]
        open_settings = {
            name: value for name, value in self.env.items() if name not in SECRETS
        }  # the desk needs no secret
        self.programs = {
            "emulator": self._program("emulator", ["deployments.sandbox.host", "--port", str(emulator), *estate]),
            "notices": self._program("notices", ["deployments.sandbox.notice_receiver", *receiver]),
            "server": self._program("server", ["prefect", "server", "start", *loopback]),
            "desk": self._program("desk", ["deployments.cli", "desk", "--port", str(desk)], open_settings),
            "worker": self._program("worker", ["deployments.worker", "--pool", "understudy", "--name", "sandbox"]),
        } | {side: self._program(side, database.command) for side, database in self.databases.items()}

    def _program(self, name: str, module: list[str], environment: dict[str, str] | None = None) -> Program:
        command = [sys.executable, "-m", *module]
        return Program(name, command, environment or self.env, PROJECT, self.state / "logs" / f"{name}.log")

    def __enter__(self) -> "Stack":
        """Start everything; on any failure or signal, end what was started and raise."""
        try:
            self._start()
        except BaseException:  # also a signal: whatever was started must end
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        self.stop()

    def _start(self) -> None:
        for folder in (self.state, self.state / "logs", self.state / "prefect"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._take_lock()
        one_certificate(self.state)
        self._watchdog = keep_watch(self._mark, folder=self.state if self._temporary else None, project=PROJECT)
        for database in self.databases.values():
            database.forget()
        self.leads.enrol()
        self.leads.sign_standing(PROJECT / "deployments" / "standing.yaml")
        for name in self._order[: self._order.index("desk")]:
            if name == "server" and HISTORY in self.databases:
                self._await_history()
            self.programs[name].start()
        emulator, server = self.programs["emulator"], self.programs["server"]
        self._await_ready(emulator, f"{self.emulator_url}/_sandbox/estate")
        self._ssh.enrol(self.emulator_url)
        self._say(f"The emulated host answers at {self.emulator_url}/v1, and by SSH on port {self._ssh.port}")
        self._await_ready(server, f"{self.api_url}/health")
        self._say(f"The Prefect server answers at {self.ui_url}")
        for line in self.run("-m", "deployments.bootstrap").splitlines():
            self._say(line)
        self._await_databases()
        Ledger(
            self.env["UNDERSTUDY_LEDGER_URL"]
        )  # an empty one: the desk only reads, and may be opened before the first run
        for name in ("desk", "worker"):  # the worker needs the addresses of the databases
            self.programs[name].start()
        self._say("A worker takes runs from the pool 'understudy'")

    def _take_lock(self) -> IO[str]:
        """Lock the folder of state. The lock ends with the process, also after a crash."""
        lock = (self.state / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise StackBusy(f"Another sandbox uses {self.state}. Stop it, or choose another folder.") from error
        return lock

    @property
    def _order(self) -> list[str]:
        return [name for name in START_ORDER if name in self.programs]

    def _await_history(self) -> None:
        """Wait until Prefect's database accepts connections, and configure the server to use it."""
        database = self.databases[HISTORY]
        self._await(self.programs[HISTORY], database.is_ready)
        self.env["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database.url(SUPERUSER)

    def _await_databases(self) -> None:
        """Wait until both databases are built, and configure the worker to use them."""
        for side in SIDES:
            self._await(self.programs[side], self.databases[side].is_ready)
        self._say("Two PostgreSQL servers hold the school's database: production, and an older staging")
        self.env |= {
            "UNDERSTUDY_SOURCE_DATABASE": self.databases["production"].url(READER),
            "UNDERSTUDY_TARGET_DATABASE": self.databases["staging"].url(OWNER),
        }

    def _await_ready(self, program: Program, url: str) -> None:
        """Wait until `url` responds with 200. Raise `ProgramFailed` if the program ends first or is too slow."""
        with httpx.Client(trust_env=False, timeout=2) as client:

            def responds() -> bool:
                with contextlib.suppress(httpx.HTTPError):  # not yet
                    return client.get(url).status_code == httpx.codes.OK
                return False

            self._await(program, responds)

    def _await(self, program: Program, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            program.require_running()
            if ready():
                return
            time.sleep(0.1)
        raise ProgramFailed(f"{program.name} was not ready in {READY_WITHIN:.0f} s. Its log:\n{program.last_words()}")

    def run(self, *arguments: str) -> str:
        """Run Python with these arguments against the stack, and return its output. Raise `ProgramFailed` if it fails."""
        try:
            done = subprocess.run(
                [sys.executable, *arguments],
                env=self.env,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_WITHIN,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise ProgramFailed(f"python {' '.join(arguments)} did not end within {COMMAND_WITHIN:.0f} s.") from error
        if done.returncode:
            output = done.stdout + done.stderr
            raise ProgramFailed(f"python {' '.join(arguments)} ended with {done.returncode}:\n{output}")
        return done.stdout

    def await_desk(self) -> None:
        """Wait until the desk answers. It starts while the flows are deployed."""
        self._await_ready(self.programs["desk"], self.desk_url)

    def deploy(self) -> str:
        """Deploy prefect.yaml as an operator would, and return Prefect's output. Raise `ProgramFailed` if it fails."""
        return self.run("-m", "prefect", "--no-prompt", "deploy", "--all")

    def restart(self, name: str) -> None:
        """Stop one program (`emulator`, `server`, `worker`) and start it again on its old port and state.

        Not a database: it would start at another address, and with its first contents.
        """
        program = self.programs[name]
        program.stop(GRACE[name])
        program.start()
        ready = {"emulator": f"{self.emulator_url}/_sandbox/estate", "server": f"{self.api_url}/health"}
        if name in ready:
            self._await_ready(program, ready[name])
        if name == "emulator":
            self._ssh.enrol(self.emulator_url)

    def stop(self) -> None:
        """End everything in the reverse order of starting. May be called at any moment, and twice."""
        with undisturbed():
            for name in reversed(self._order):
                self.programs[name].stop(GRACE[name])
            end_marked(self._mark)
            if self._watchdog is not None and self._watchdog.stdin is not None:
                self._watchdog.stdin.close()  # it finds no process, removes a temporary folder, and ends
                self._watchdog.wait()
                self._watchdog = None
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def _environment(self) -> dict[str, str]:
        """Return the environment of every program, without the caller's Prefect settings, account and proxies."""
        foreign = ("PREFECT_", "UNDERSTUDY_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign) and not k.lower().endswith("_proxy")}
        return (
            kept
            | {MARK: self._mark, "PYTHONUNBUFFERED": "1"}
            | prefect_settings(self.state, self.api_url, self.ui_url)
            | self._our_settings()
        )

    def _our_settings(self) -> dict[str, str]:
        return {
            "UNDERSTUDY_API_URL": f"{self.emulator_url}/v1",
            "UNDERSTUDY_API_USER": "demo",
            "UNDERSTUDY_API_PASSWORD": "demo",
            "UNDERSTUDY_NOTIFY": "ops@schulfest.example",
            "UNDERSTUDY_LEDGER_URL": f"sqlite:///{self.state / 'ledger.db'}",
            "UNDERSTUDY_SITE_SCHEME": "http",
            "UNDERSTUDY_SITE_GATEWAY": self.emulator_url.removeprefix("http://"),
            "UNDERSTUDY_ESTATE_FILE": str(PROJECT / "deployments" / "sandbox" / "estate.yaml"),
            "UNDERSTUDY_STANDING_FILE": str(self.leads.standing_file),
            "UNDERSTUDY_LEADS_FILE": str(self.leads.leads_file),
            "UNDERSTUDY_CODES_FILE": str(self.leads.codes_file),
            "UNDERSTUDY_RISK_FILE": str(PROJECT / "deployments" / "risks.yaml"),
            "UNDERSTUDY_FREEZE_FILE": str(self.state / "freezes.yaml"),  # missing: the sandbox has no freeze windows
            "UNDERSTUDY_PICTURES": str(self.state / "pictures"),
            "UNDERSTUDY_BROWSER_SANDBOX": "false",  # the demo may run as root or in a container, and draws its own sites
            "UNDERSTUDY_NOTICES": self.notices_url,
            "UNDERSTUDY_PACE": str(self.scale),
            "UNDERSTUDY_SOURCE_HOSTNAME": "schule.example",
            "UNDERSTUDY_TARGET_HOSTNAME": HOSTNAME,
            "UNDERSTUDY_POLICIES": str(PROJECT / "deployments" / "policies"),
            "UNDERSTUDY_MASKING_KEY": secrets.token_hex(32),
            "UNDERSTUDY_DUMP_FOLDER": str(self.state / "dumps"),
            "UNDERSTUDY_DUMP_WORK": str(self.state / "work"),
            "APP_ALLOW_PROD_IMPORT": "true",
        } | self._ssh.settings
