"""The stack: one folder of state, an environment of its own, and programs that can be restarted."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest

from deployments.sandbox.databases import HISTORY, history_serves
from deployments.sandbox.leads import LEAD
from deployments.sandbox.postgres import SUPERUSER
from deployments.sandbox.processes import ProgramFailed
from deployments.sandbox.run_progress import Narrator
from deployments.sandbox.runs import Runs, connected_to
from deployments.sandbox.school.database import OWNER, READER
from deployments.sandbox.stack import PROJECT, Stack, StackBusy
from tasks.estate.errors import NotApproved


def end_of(runs: Runs, run: UUID) -> str:
    """The name of the state in which the run ends."""
    ended = Narrator(lambda _: None).follow(runs, run, patience=90)
    state = getattr(ended, "state", None)
    return str(state.name if state else ended)


def test_environment_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's Prefect, real account or proxies reaches the sandbox."""
    monkeypatch.setenv("PREFECT_API_KEY", "pnu_real")
    monkeypatch.setenv("UNDERSTUDY_API_PASSWORD", "real")
    monkeypatch.setenv("UNDERSTUDY_LEDGER_URL", "postgresql://real")
    monkeypatch.setenv("UNDERSTUDY_SOURCE_DATABASE", "postgresql://real")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    stack = Stack()
    assert "PREFECT_API_KEY" not in stack.env
    assert "HTTPS_PROXY" not in stack.env
    assert stack.env["UNDERSTUDY_API_PASSWORD"] == "demo"
    assert stack.env["UNDERSTUDY_LEDGER_URL"].startswith("sqlite:///")
    assert stack.env["UNDERSTUDY_API_URL"].startswith("http://127.0.0.1:")
    assert stack.env["DO_NOT_TRACK"] == "1"
    assert "UNDERSTUDY_SOURCE_DATABASE" not in stack.env
    assert stack.env["UNDERSTUDY_DUMP_FOLDER"].startswith(str(stack.state))
    assert stack.env["UNDERSTUDY_MASKING_KEY"] != Stack().env["UNDERSTUDY_MASKING_KEY"]


def test_run_names_its_failure(tmp_path: Path) -> None:
    """A command that fails is reported with its code and its words."""
    with pytest.raises(ProgramFailed, match=r"ended with 3:\nno such deployment"):
        Stack(tmp_path).run("-c", "print('no such deployment'); raise SystemExit(3)")


@pytest.mark.drill  # the demo's own test starts the same programs
@pytest.mark.timeout(240)  # starts a whole sandbox: 15 s, on a busy machine three times that
class TestRunning:
    """On one running sandbox."""

    def test_state_is_private(self, stack: Stack) -> None:
        """The folder of state can be read by its owner only, and holds the ledger and the results."""
        assert stat.S_IMODE(stack.state.stat().st_mode) == 0o700
        assert stack.env["PREFECT_LOCAL_STORAGE_PATH"].startswith(str(stack.state))

    def test_second_sandbox_is_refused(self, stack: Stack) -> None:
        """Two sandboxes never share a folder of state; the first is not harmed."""
        with pytest.raises(StackBusy, match="Another sandbox uses"), Stack(stack.state):
            pass
        assert stack.programs["worker"].pid is not None

    def test_worker_runs_a_deployed_flow(self, stack: Stack) -> None:
        """A run started through the API is taken by the worker and ends with a named outcome and a report."""
        with connected_to(stack.api_url) as runs:
            run = runs.start("diagnose/diagnose", {"install": "schulprod"})
            assert end_of(runs, run) == "Healthy"
            assert "diagnose: Healthy" in runs.report(run)
            with pytest.raises(NotApproved, match="not paused"):
                runs.answer(run, {"decision": "approve"})

    def test_a_promotion_is_answered_and_followed_at_a_terminal(self, stack: Stack) -> None:
        """`understudy run` starts it, asks again for what is no answer, takes one, follows the copy, and ends with the outcome."""
        address = f"{stack.emulator_url}/_sandbox"
        httpx.post(f"{address}/publish", json={"install": "schulstage", "kind": "files"}).raise_for_status()
        command = ["run", "promote", "schulstage", "schulprod", "--requested-by", "Ada Admin", "--ask", "--json"]
        key = ["--key", str(stack.leads.key_file())]
        typed = f"maybe\napprove\n{LEAD}\nrelease day\n"
        done = subprocess.run(
            [sys.executable, "-m", "deployments.cli", *command, *key],
            env=stack.env, cwd=PROJECT, input=typed, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "Verified"), done.stderr
        assert "'maybe' is not one of: approve, reject, later." in done.stderr
        for step in ("Back up schulprod", "Send schulstage to schulprod", "Verify schulprod"):
            assert done.stderr.count(f"✓ {step}\n") == 1

    def test_databases_are_two_schools(self, stack: Stack) -> None:
        """The worker reads production with a role that cannot write, and owns staging, which is another server."""
        systems = set()
        for setting, role, users in (("SOURCE", READER, 3001), ("TARGET", OWNER, 1801)):
            with psycopg.connect(stack.env[f"UNDERSTUDY_{setting}_DATABASE"]) as connection:
                query = "SELECT current_user, system_identifier, (SELECT count(*) FROM users) FROM pg_control_system()"
                who, system, found = connection.execute(query).fetchall()[0]
                assert (who, found) == (role, users)
                systems.add(system)
        assert len(systems) == 2

    @pytest.mark.skipif(not history_serves(), reason="no PostgreSQL with pg_trgm for this machine")
    def test_runs_are_kept_in_postgresql(self, stack: Stack) -> None:
        """Prefect's server writes to PostgreSQL, so that many runs at once do not find its database locked."""
        address = stack.databases[HISTORY].url(SUPERUSER).replace("+asyncpg", "")
        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT count(*) FROM flow").fetchone() != (0,)
        assert not list(stack.state.rglob("prefect.db*"))

    def test_programs_restart_in_place(self, stack: Stack) -> None:
        """The emulator comes back on its port with the state it had."""
        address = f"{stack.emulator_url}/_sandbox"
        httpx.post(f"{address}/publish", json={"install": "schulstage", "kind": "files"}).raise_for_status()
        before = httpx.get(f"{address}/estate").json()
        stack.restart("emulator")
        assert httpx.get(f"{address}/estate").json() == before

    def test_browser_is_sent_nowhere_else(self, stack: Stack) -> None:
        """The UI's page names no foreign host: no trackers, no fonts, no scripts from outside."""
        page = httpx.get(stack.ui_url, follow_redirects=True).text
        assert "<html" in page
        assert "https://" not in page
