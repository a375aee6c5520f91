"""Ledgers with a past, recorded through the ledger's own interface."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tasks.estate.dumps import Header, LoadPlan
from tasks.estate.plans import Backup, Baseline, Comparison, CopyOptions, Plan
from tasks.estate.risks import Grade, Risk
from tasks.estate.schema import DatabaseIdentity
from tasks.estate.sites import Content, Direction, Environment, Install, Pair, Survey
from tasks.ledger.facts import Sending
from tasks.ledger.ledger import Ledger
from tasks.signoff.answers import record_approval, where
from tests.raw_facts import raw_fact

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
GREEN = Risk(grade=Grade.GREEN, reasons=())
DIRECTIONS = {"promote": Direction.UP, "restore": Direction.BACK}


def install(name: str, environment: Environment = Environment.STAGING) -> Install:
    """Return an install whose id is its name in capitals."""
    more: dict[str, Any] = {"account_id": "a", "site_id": "s", "status": "active", "primary_domain": f"{name}.example"}
    return Install(id=name.upper(), name=name, environment=environment, **more)


PROD, STAGE, DEV = install("prod", Environment.PRODUCTION), install("stage"), install("dev")


def content(posts: int = 3, newest: datetime | None = LONG_AGO, files: str | None = "1.0", **changes: Any) -> Content:
    """Return public content with this number of posts, the newest of this time, and these asset versions."""
    fields = {
        "reachable": True,
        "totals": {"posts": posts},
        "newest": {"posts": newest} if newest else {},
        "files_marker": files,
    }
    return Content.model_validate(fields | changes)


def survey(of: Install, seen: Content) -> Survey:
    """Return a survey that found this content."""
    return Survey(install=of, content=seen, taken_at=LONG_AGO)


def comparison(source: Content, destination: Content, *, of: tuple[Install, Install] = (PROD, STAGE)) -> Comparison:
    """Return the comparison of two installs."""
    left, right = survey(of[0], source), survey(of[1], destination)
    return Comparison(source=left, destination=right, differences=(), losses=(), destination_is_newer=None)


def plan(
    verb: str = "refresh", source: Install = PROD, destination: Install = STAGE, *, run: str = "tonight", **changes: Any
) -> Plan:
    """Return a green plan; `backup-<run>` is the id of the backup that its run made."""
    direction = DIRECTIONS.get(verb, Direction.DOWN)
    backup = Backup(id=f"backup-{run}", install_id=destination.id, install_name=destination.name, requested_at=LONG_AGO)
    fields: dict[str, Any] = {
        "verb": verb, "direction": direction, "pair": Pair(source=source, destination=destination, direction=direction),
        "options": CopyOptions(), "generation": 0, "pinned": {}, "backup": backup, "run_id": run, "risk": GREEN,
    }  # fmt: skip
    return Plan.model_validate(fields | changes)


def load_plan(**changes: Any) -> LoadPlan:
    """Return a green plan to load a dump of the application `school` into staging.example."""
    target = DatabaseIdentity(
        host="db", port=5432, database="school", database_oid=7, system_identifier="42", server_version=160000
    )
    header = Header(
        app="school", schema_version=1, source_host="prod.example", source_system="41", source_database="school",
        server_version=160000, exported_at=LONG_AGO, run_id="r", policy="p", key="k", tables=(),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "dump": "file:///dump", "sha256": "", "digest": "", "header": header, "hostname": "staging.example", "target": target,
        "tables": (), "catalog": "c", "generation": 0, "run_id": "tonight", "risk": GREEN,
    }  # fmt: skip
    return LoadPlan.model_validate(fields | changes)


@dataclass
class Story:
    """A ledger to which calls are added. Every call gets its own run: run-1, run-2, …"""

    ledger: Ledger
    runs: Any = field(default_factory=lambda: count(1))

    def call(
        self,
        before: Content,
        verb: str = "refresh",
        source: Install = PROD,
        destination: Install = STAGE,
        *,
        how: str = "evidence: confirmed",
        outcome: str = "Verified",
        kind: Any = "person",
        refused: bool = False,
        **changes: Any,
    ) -> str:
        """Record a call that was planned, approved and sent, with its source as `before`, and return its run.

        `how` is how it was settled ("" = not settled), `outcome` that of its report ("" = no report).
        """
        made = plan(verb, source, destination, run=f"run-{next(self.runs)}", **changes)
        self.ledger.record(raw_fact("planned", made.model_dump(mode="json")), **where(made))
        seen = survey(source, before)
        baseline = Baseline(
            backup_ids=(), server_time=LONG_AGO, source=seen, destination=survey(destination, content())
        )
        self.send(made, Sending(baseline=baseline), kind=kind)
        if refused:
            self.ledger.record(raw_fact("send-refused", {"why": "400"}), **where(made))
        elif how:
            self.ledger.record(raw_fact("settled", {"how": how}), **where(made))
        if outcome:
            self.ledger.record(raw_fact("outcome", {"outcome": outcome}), run_id=made.run_id)
        return made.run_id

    def send(self, made: Plan | LoadPlan, intent: Sending, *, kind: Any) -> None:
        """Approve a plan and use the approval up."""
        now = datetime.now(UTC)
        approval = record_approval(
            self.ledger,
            made,
            kind=kind,
            approver="Anna",
            reason="why not",
            answered_at=now,
            execute_within=timedelta(1),
        )
        lock: dict[str, Any] = {"horizon": timedelta(0), "now": now}
        self.ledger.take_lock(made.destination_id, made.run_id, is_over=lambda _: True, settles=lambda _: True, **lock)
        self.ledger.consume(approval, destination_id=made.destination_id, intent=intent, now=now)
