"""A headless Chromium without a network, driven through a pipe: it draws what it is given, and is always ended.

The pages that it draws may contain anything. It starts with an empty profile and environment, its name resolution fails for every
host and its proxy does not exist, so it reaches only what its driver answers. No port is opened.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OFF, FOUND = "off", "auto"  # values of the setting: no browser, and the first of the names that is installed
ENDS_WITHIN = 5.0  # seconds between the request to end and the kill
PIECE = 1 << 16  # bytes read at a time
ABOVE = 10  # the pipes have 3 and 4 in the browser, so ours are moved out of the way
FLAGS = (
    "--headless", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage",  # containers have little shared memory
    "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=http://127.0.0.1:9", "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)  # fmt: skip
Event = Callable[[dict[str, Any]], None]


class NoPicture(Exception):
    """A picture was not taken. The text is the reason, for people, and contains nothing of the site but its host."""


def find_browser(setting: str) -> str:
    """Return the browser's executable. Raises `NoPicture` if the setting is `off`, or no browser is installed."""
    if setting == OFF:
        raise NoPicture("UNDERSTUDY_BROWSER is off.")
    for name in NAMES if setting == FOUND else (setting,):
        if path := shutil.which(name):
            return path
    wanted = "Chromium" if setting == FOUND else f"{setting!r} (UNDERSTUDY_BROWSER)"
    raise NoPicture(f"{wanted} is not installed on the worker.")


class Chromium:
    """One browser. Calls and events follow the DevTools protocol; `on_event` gets each event while a call waits."""

    def __init__(self, executable: str, *, sandbox: bool, within: float, on_event: Event) -> None:
        self._executable, self._sandbox, self._on_event = executable, sandbox, on_event
        self._deadline = time.monotonic() + within
        self._ids, self._writing, self._read = count(1), Lock(), bytearray()
        self._replies: dict[int, dict[str, Any]] = {}
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as failed:
            folder = failed.enter_context(tempfile.TemporaryDirectory(prefix="understudy-", ignore_cleanup_errors=True))
            self._errors = Path(folder) / "stderr"
            self._start(folder, failed)
            self._ending = failed.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.close()

    def _start(self, folder: str, ending: ExitStack) -> None:
        theirs_in, self._out = _pipe()
        self._in, theirs_out = _pipe()
        for number in (self._out, self._in):
            ending.callback(os.close, number)
        flags = [*FLAGS, f"--user-data-dir={folder}/profile", *([] if self._sandbox else ["--no-sandbox"])]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "LANG": "C.UTF-8", "TZ": "UTC"}
        try:
            process = os.posix_spawn(
                self._executable, [self._executable, *flags], environment, setsid=True,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, str(self._errors), os.O_WRONLY | os.O_CREAT, 0o600),
                    (os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4),
                ],
            )  # fmt: skip
        except OSError as error:
            raise NoPicture(f"Chromium cannot be started ({type(error).__name__}).") from None
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        ending.callback(_end, process)

    def call(self, method: str, /, session: str = "", **params: Any) -> dict[str, Any]:
        """Return the reply to a call. Raises `NoPicture` if the browser refuses it, has ended, or the time is over."""
        number = self.send(method, session, **params)
        self.until(lambda: number in self._replies)
        reply = self._replies.pop(number)
        if "error" in reply:
            raise NoPicture(f"Chromium refused {method}.")
        return dict(reply["result"])

    def send(self, method: str, session: str = "", /, **params: Any) -> int:
        """Send a call whose reply nobody needs, also from another thread; return its number."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        data = memoryview(json.dumps(message).encode() + b"\0")
        with self._writing:
            while data:
                try:
                    data = data[os.write(self._out, data) :]
                except OSError:
                    raise NoPicture(self._why_ended()) from None
        return number

    def until(self, over: Callable[[], bool], *, within: float | None = None) -> bool:
        """Handle messages until `over`, or for that many seconds. Returns `over()`. Raises `NoPicture` at the browser's deadline."""
        last = self._deadline if within is None else min(self._deadline, time.monotonic() + within)
        while not over():
            left = last - time.monotonic()
            if left <= 0 and within is not None and last < self._deadline:
                return False
            if left <= 0:
                raise NoPicture("Chromium took too long.")
            if select.select([self._in], [], [], left)[0]:
                self._receive()
        return True

    def _receive(self) -> None:
        piece = os.read(self._in, PIECE)
        if not piece:
            raise NoPicture(self._why_ended())
        self._read += piece
        if 0 not in piece:
            return
        *messages, rest = bytes(self._read).split(b"\0")
        self._read = bytearray(rest)
        for text in messages:
            message = json.loads(text)
            if "id" in message:
                self._replies[message["id"]] = message
            else:
                self._on_event(message)

    def _why_ended(self) -> str:
        text = self._errors.read_text(errors="replace") if self._errors.exists() else ""
        if "sandbox" in text:
            return (
                "Chromium cannot use its sandbox here. Run the worker as a user for whom it works (never as root), or set "
                "UNDERSTUDY_BROWSER_SANDBOX=false if the container itself is the sandbox."
            )
        return "Chromium ended by itself."

    def new_page(self) -> str:
        """Open an empty page and return its session."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session: str = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return session

    def screenshot(self, session: str, width: int, height: int) -> bytes:
        """Return the page from its top as a PNG of this size in pixels."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        taken = self.call("Page.captureScreenshot", session, format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(taken["data"])


def _pipe() -> tuple[int, int]:
    """Return the two ends of a pipe, which no other child inherits, with numbers that the browser does not use."""
    ends = []
    for number in os.pipe():
        ends.append(fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, ABOVE))
        os.close(number)
    return ends[0], ends[1]


def _end(process: int) -> None:
    """End the browser and everything that it started."""
    for how, patience in ((signal.SIGTERM, ENDS_WITHIN), (signal.SIGKILL, ENDS_WITHIN)):
        with suppress(ProcessLookupError):
            os.killpg(process, how)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if os.waitpid(process, os.WNOHANG)[0]:
                with suppress(ProcessLookupError):  # its children are of its group
                    os.killpg(process, signal.SIGKILL)
                return
            time.sleep(0.02)  # seconds
