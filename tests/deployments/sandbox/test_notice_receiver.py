"""The catcher of notices: it stores notices, answers with its status, and closes its port."""

import signal
import subprocess
import sys
from pathlib import Path

import apprise
import httpx
import pytest

from deployments.sandbox.notice_receiver import Catcher, read

ROOT = Path(__file__).parents[3]


def web(catcher: Catcher) -> str:
    """Return the address for webhooks."""
    return catcher.url.replace("json:", "http:")


def post(catcher: Catcher, **payload: str) -> int:
    """Send JSON to the catcher and return the status of its answer."""
    return httpx.post(web(catcher), json=payload, trust_env=False).status_code


def test_keeps_what_apprise_sends() -> None:
    """Title and message of an Apprise notice are kept in order."""
    with Catcher() as catcher:
        channel = apprise.Apprise(catcher.url)
        assert channel.notify("first line\nsecond", "Subject") is True
        assert channel.notify("later", "Again") is True
        assert [(c.subject, c.body) for c in catcher.caught] == [("Subject", "first line\nsecond"), ("Again", "later")]


def test_keeps_what_a_webhook_sends() -> None:
    """Subject and body of a webhook are kept too."""
    with Catcher() as catcher:
        assert post(catcher, subject="S", body="B") == 200
        assert [(c.subject, c.body) for c in catcher.caught] == [("S", "B")]


def test_refuses_what_is_no_json() -> None:
    """A body that is not JSON is answered 400 and not kept."""
    with Catcher() as catcher:
        assert httpx.post(web(catcher), content=b"<html>", trust_env=False).status_code == 400
        assert catcher.caught == []


def test_answers_with_its_status() -> None:
    """With another status it behaves like a place that fails."""
    with Catcher() as catcher:
        catcher.status = 500
        assert post(catcher, subject="S", body="B") == 500


def test_is_gone_afterwards() -> None:
    """Its port is closed when the block ends, by an exception too."""
    catcher = Catcher()
    with pytest.raises(ZeroDivisionError), catcher:
        raise ZeroDivisionError
    with pytest.raises(httpx.ConnectError):
        post(catcher)


def test_as_a_program_it_appends_lines(tmp_path: Path) -> None:
    """Run as a program, it appends what it catches to a file that others cannot read, and ends on SIGTERM."""
    file = tmp_path / "notices.jsonl"
    program = subprocess.Popen(
        [sys.executable, "-m", "deployments.sandbox.notice_receiver", "--port", "0", "--file", str(file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        url = program.stdout.readline().split()[2].replace("json://", "http://")
        for word in ("one", "two"):
            assert httpx.post(url, json={"title": word, "message": "Übung\n"}, trust_env=False).status_code == 200
        assert [(c.subject, c.body) for c in read(file)] == [("one", "Übung\n"), ("two", "Übung\n")]
        assert file.stat().st_mode & 0o077 == 0
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=10) == 0
    finally:
        program.kill()
        program.wait()
        if program.stdout is not None:
            program.stdout.close()
