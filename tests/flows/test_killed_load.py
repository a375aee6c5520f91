"""The process is killed around the commit of a load, then the run is retried: it finds out, and never loads again."""

import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from flows.load_dump import load_dump
from tasks.dumps.load import Load
from tasks.ledger.ledger import Ledger
from tests.flows.killing import kill

HOST = "staging.schule.example"
HISTORY = 'SELECT "Status" FROM "ImportExportAudit" WHERE "RunId" = \'{}\''
# Kills the process before or after the commit.
PATCH = """
from tasks.dumps.load import Load

commit = Load._commit

def killed(self):
    if "{moment}" == "after":
        commit(self)
    os.kill(os.getpid(), signal.SIGKILL)

Load._commit = killed
"""


@pytest.mark.parametrize(
    ("moment", "outcome", "status"),
    [("before", "NotLoaded", "interrupted"), pytest.param("after", "Loaded", "succeeded", marks=pytest.mark.drill)],
)
def test_w8_a_killed_load_is_found_out_by_its_marker(
    moment: str, outcome: str, status: str, start: Callable[..., Any], school: Any, whole: Any, ledger: Ledger
) -> None:
    """Killed before the commit, staging is as it was; after it, the retry proves the load without doing it again."""
    before = school.contents()
    run = start(load_dump, hostname=HOST, dump=whole.dump)
    assert run.say() == "ACCEPT"
    assert kill("load_dump", run.id, PATCH.format(moment=moment)) == -signal.SIGKILL
    assert [fact.kind for fact in ledger.facts(run_id=run.id)][-1] == "sending"
    loaded = school.contents()
    changed = {name for name in before if before[name] != loaded[name]} - {'public."ImportExportAudit"'}
    assert bool(changed) == (moment == "after")
    run.restart().go()
    assert run.state == outcome, run.message
    assert school.ask(HISTORY.format(run.id)) == [(status,)]
    assert {name for name, digest in school.contents().items() if digest != loaded[name]} == {
        'public."ImportExportAudit"'
    }


def test_w8_a_lost_answer_to_the_commit_is_looked_up(
    approve: Callable[..., Any], school: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit happened and its answer did not arrive: the marker proves it in the same run, and the audit row is right."""
    execute = psycopg.Connection.execute

    def lost(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        answer = execute(self, query, *arguments, **options)
        if query == "COMMIT":
            self.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return answer

    monkeypatch.setattr(psycopg.Connection, "execute", lost)
    run = approve(load_dump, hostname=HOST, dump=whole.dump)
    assert run.state == "Loaded", run.message
    assert "committed and verified before its answer was lost" in run.report
    assert school.ask('SELECT "Status", "ErrorMessage" FROM "ImportExportAudit" ORDER BY "Id" DESC LIMIT 1') == [
        ("succeeded", None)
    ]


def test_w8_an_audit_row_that_cannot_be_closed_does_not_undo_a_load(
    approve: Callable[..., Any], school: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is cut between commit and row: the run is still Loaded, and the row is closed on another one."""
    commit = Load._commit

    def cut(self: Any) -> None:
        commit(self)
        school.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'understudy audit'")

    monkeypatch.setattr(Load, "_commit", cut)
    run = approve(load_dump, hostname=HOST, dump=whole.dump)
    assert run.state == "Loaded", run.message
    assert school.ask(HISTORY.format(run.id)) == [("succeeded",)]
