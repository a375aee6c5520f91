"""Flows during faults of the emulated host: fixtures for the tests and the drills, part of conftest.py."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request
from tasks.ledger.ledger import Ledger

MOST_FORMS = 3  # a run that shows more forms than this is stuck


class Trouble:
    """Runs a flow during a fault, and checks the rules of the destructive call."""

    def __init__(self, start: Callable[..., Any], worker: Host, ledger: Ledger) -> None:
        self._start, self._worker, self._ledger = start, worker, ledger

    def meet(self, verb: str, fault: str) -> str:
        """Run `verb` while `fault` is on, with correct answers to every form, and return the outcome."""
        destination, parameters = self._prepare(verb)
        before = self._worker.copies_received() + self._worker.restores_received()
        self._switch_on(fault, destination)
        run = self._start(getattr(importlib.import_module(f"flows.{verb}"), verb), **parameters)
        for _ in range(MOST_FORMS):
            if run.state != "Suspended":
                break
            if self._ledger.facts(run_id=run.id, kind="sending"):
                run.arrived("no e-mail yet")
            else:
                run.approve()
        sent = self._worker.copies_received() + self._worker.restores_received() - before
        self._require_rules(run, sent)
        return run.state

    def _prepare(self, verb: str) -> tuple[str, dict[str, Any]]:
        self._worker.publish("schulprod" if verb in ("refresh", "provision") else "schulstage", "files")
        if verb == "restore":
            undone = self._start(
                importlib.import_module("flows.promote").promote, source="schulstage", destination="schulprod"
            ).approve()
            assert undone.state == "Verified", undone.message
            return "schulprod", {"promotion": undone.id}
        return {
            "refresh": ("schulstage", {"source": "schulprod", "destination": "schulstage"}),
            "provision": ("schulnew", {"source": "schulprod", "name": "schulnew"}),
            "promote": ("schulprod", {"source": "schulstage", "destination": "schulprod"}),
            "diagnose": ("schulprod", {"install": "schulprod"}),
        }[verb]

    def _switch_on(self, fault: str, destination: str) -> None:
        if fault == "stale-cache":  # a visitor has been there, so that something can become stale
            self._worker.handle(Request("GET", f"{destination}.wpengine.example", "/"))
            self._worker.handle(Request("GET", "www.schulfest.example", "/"))
        how: dict[str, Any] = {"install": destination}
        if fault in ("reply-lost", "reply-500-after-execution"):
            how |= {"path": "/install_copy"}
            self._worker.switch_on(fault, install=destination, path="/restore")
        elif fault in ("slow-reply", "dripping-reply"):
            how |= {"times": 5, "seconds": 0.2}
        elif fault in ("rate-limit-burst", "rate-limit-retry-after", "server-error-burst", "malformed-json"):
            how = {"times": 2}  # the first requests; the fault ends before the steps give up
        elif fault == "page-two-fails":
            how = {}
        elif fault in ("relabelled-production", "primary-domain-moved"):
            how |= {"after": self._reads(destination) + 2}  # changed after it was resolved and compared
        elif fault == "renamed-between":
            how |= {"after": self._reads(destination) + 1}
        self._worker.switch_on(fault, **how)

    def _reads(self, name: str) -> int:
        """Return how often the install was read before this run."""
        path = f"/v1/installs/{self._worker.snapshot()['installs'].get(name, {}).get('id')}"
        return sum(row["path"] == path for row in self._worker.journal())

    def _require_rules(self, run: Any, sent: int) -> None:
        """Require at most one call, after a completed backup of this run and a used, recorded approval."""
        assert sent <= 1
        kinds = [fact.kind for fact in self._ledger.facts(run_id=run.id)]
        if sent:
            order = [kinds.index(kind) for kind in ("backup-requested", "planned", "approved", "consumed", "sending")]
            assert order == sorted(order)
            plan = self._ledger.facts(run_id=run.id, kind="planned")[-1].detail
            made = self._worker.store.get("backups", plan["backup"]["id"])
            assert made is not None
            assert (made["status"], run.id in made["description"]) == ("completed", True)
        assert self._ledger.verify() == []


@pytest.fixture
def trouble(start: Callable[..., Any], worker: Host, ledger: Ledger) -> Trouble:
    """Flows during faults: `trouble.meet("refresh", "backup-aborted")` returns the outcome."""
    return Trouble(start, worker, ledger)


@pytest.fixture(scope="session")
def documented() -> dict[tuple[str, str], str]:
    """The outcome that docs/faults.md promises for (flow, fault)."""
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in (Path(__file__).parents[1] / "docs" / "faults.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    verbs = ("refresh", "provision", "promote", "restore", "diagnose")
    return {(verb, row[0]): outcome for row in rows for verb, outcome in zip(verbs, row[2:], strict=False)}


def refresh_without_evidence(start: Callable[..., Any], refresh: Any, host: Host) -> Any:
    """Return a refresh that copied, but whose arrival cannot be observed at the host."""
    host.publish("schulprod", "files")
    host.switch_on("checkpoints-absent")
    host.switch_on("usage-frozen")
    run = start(refresh, source="schulprod", destination="schulstage").approve()
    assert run.state == "OutcomeUnknown", run.message
    return run
