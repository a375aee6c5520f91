"""Reports: every run ends in exactly one named outcome, with a Markdown report and a row in the ledger."""

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from tasks.dumps.export_plan import ExportPlan
from tasks.dumps.masking_preview import Preview
from tasks.estate.dumps import DumpFacts, Loaded, LoadPlan
from tasks.estate.errors import LeakFound, NotVerified, OutcomeUnknown, UnderstudyError
from tasks.estate.plans import Approval, Comparison, Evidence, Finding, Plan, Report, Verdict
from tasks.estate.verdicts import (
    DECISIVE,
    HEALTHY,
    HEALTHY_IN_PART,
    UNHEALTHY,
    VERIFIED,
    decisive_checks,
    failed_checks,
    outcome_of,
    unknown_checks,
)
from tasks.estate.waiting import utc_now
from tasks.ledger.ledger import Fact
from tasks.masking.classify import Draft
from tasks.masking.session import PASSWORD
from tasks.rendering import dumps
from tasks.rendering.approval import difference_table
from tasks.rendering.markdown import plain
from tasks.rendering.report import report_text
from tasks.runtime.current_run import this_run
from tasks.runtime.notices import send_notice
from tasks.runtime.resources import open_ledger
from tasks.safeguards.holds import place

P = ParamSpec("P")

EXPORTED = "Exported"
LOADED = "Loaded"
LOADED_IN_PART = "LoadedInPart"  # committed, as people approved it; red, because staging is not what the dump is
PREVIEWED = "Previewed"
CLASSIFIED = "Classified"
PEOPLE_WAIT_FOR = ("promote", "restore", "provision")  # their end is told whatever it is; of others only a bad one
WRITES = ("refresh", "load_dump", "reload")
KEPT = timedelta(days=1)
WITHOUT_LEDGER = ("Misconfigured", "LedgerUnavailable")  # ends that the ledger cannot or need not record
GOOD = (VERIFIED, HEALTHY, EXPORTED, LOADED, PREVIEWED, CLASSIFIED)


def ends_with_report(verb: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """Decorate a flow body: an `UnderstudyError` becomes a named failed state with a report, not a stack trace.

    Anything else is a bug and goes through. A suspension (`prefect.exceptions.Pause`, a BaseException) goes through too.
    """

    @functools.wraps(verb)
    def body(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return verb(*args, **kwargs)
        except UnderstudyError as error:
            get_run_logger().error("%s: %s", error.outcome, error.message)
            return _publish(_of_error(verb.__name__, error))

    return body


def report_outcome(plan: Plan, approval: Approval, evidence: Evidence, findings: tuple[Finding, ...]) -> State[Any]:
    """Conclude a run whose call was made.

    `VerifyFailed` if a check that matters failed; else `VerifiedInPart` if a decisive one is not known; else `Verified`.
    """
    failed = failed_checks(findings)
    unknown = unknown_checks(findings, decisive_checks(plan, evidence.verdict))
    arrived = _nothing_differed(plan, evidence)
    report = Report(
        verb=plan.verb,
        outcome=outcome_of(failed, unknown),
        source=plan.restore_backup_id or plan.pair.source.name,
        destination=plan.pair.destination.name,
        run_id=plan.run_id,
        plan_code=plan.code,
        backup_id=_backup_id(plan),
        **_who(plan),
        approver=approval.approver,
        reason=approval.reason,
        evidence=evidence,
        findings=findings,
        message=_checks_in_words(failed, unknown) if failed else f"{_checks_in_words([], unknown)} {arrived}".strip(),
        next_step=_after_failed_checks(plan, approval) if failed else _after_unknown_checks(plan) if unknown else "",
    )
    if plan.verb == "restore" and not failed:
        _hold_restored(plan)
    return _publish(report)


def _checks_in_words(failed: list[str], unknown: list[str]) -> str:
    parts = [("Failed checks", failed), ("Checks that could not be made", unknown)]
    return " ".join(f"{label}: {', '.join(names)}." for label, names in parts if names)


def _after_unknown_checks(plan: Plan) -> str:
    return (
        f"The copy arrived and no check failed. Look at {plan.pair.destination.name} for what could not be checked, as the "
        "findings say; a retry of this run checks again and never sends."
    )


def _nothing_differed(plan: Plan, evidence: Evidence) -> str:
    """Say so if there was nothing to see: the reader must not take the run for proof that content travelled."""
    if evidence.verdict is not Verdict.UNCHANGED:
        return ""
    was = "its backup" if plan.verb == "restore" else plan.pair.source.name
    return (
        f"Nothing that can be seen differed between {was} and {plan.pair.destination.name} before the call, and nothing "
        "differs now; the host has had its time."
    )


def _who(plan: Plan | LoadPlan) -> dict[str, str]:
    return {"requested_by": plan.requested_by, "risk": f"{plan.risk.grade.value}: {'; '.join(plan.risk.reasons)}"}


def _backup_id(plan: Plan) -> str:
    """The backup that `restore` would put back: a second one, where the answer came late."""
    renewed = open_ledger().facts(run_id=plan.run_id, kind="backup-renewed")
    return str(renewed[-1].detail["id"]) if renewed else plan.backup.id


def _hold_restored(plan: Plan) -> None:
    """What was put back stays for a day: whatever runs by itself must not repeat what had to be undone."""
    place(
        open_ledger(),
        destination=plan.destination_name,
        until=utc_now() + KEPT,
        by="Understudy",
        reason=f"restored by run {plan.run_id}",
        now=utc_now(),
        run_id=plan.run_id,
    )


def _after_failed_checks(plan: Plan, approval: Approval) -> str:
    if approval.restore_within:
        return f"The approval allowed it: a run of `restore` starts by itself and puts backup {_backup_id(plan)} back."
    return (
        f"The copy arrived but {plan.pair.destination.name} does not pass. Do what the findings say, then start `diagnose`; "
        f"to go back, start `restore` with run {plan.run_id}."
    )


def report_diagnosis(install: str, findings: tuple[Finding, ...], comparison: Comparison | None) -> State[Any]:
    """Conclude a read-only diagnosis: `Unhealthy`, `HealthyInPart` if a decisive check is not known, or `Healthy`."""
    failed, unknown = failed_checks(findings), unknown_checks(findings, DECISIVE["diagnose"])
    report = Report(
        verb="diagnose",
        outcome=UNHEALTHY if failed else HEALTHY_IN_PART if unknown else HEALTHY,
        source=comparison.source.install.name if comparison else "",
        destination=install,
        run_id=this_run(),
        findings=findings,
        message=_checks_in_words(failed, unknown),
        next_step="Do what the findings say, most severe first." if failed or unknown else "",
    )
    extra = "\n".join(["", "## Comparison", "", *difference_table(comparison, all_rows=True)]) if comparison else ""
    return _publish(report, extra)


def report_export(plan: ExportPlan, facts: DumpFacts) -> State[Any]:
    """The end of an export: a whole dump lies under its name."""
    report = Report(
        verb="anonymize",
        outcome=EXPORTED,
        source=f"{facts.header.source_database} on {facts.header.source_host}",
        destination=facts.url,
        run_id=this_run(),
        next_step="Start `load_dump` to bring it to staging.",
    )
    _table(f"export-rows-{this_run()}", "Rows in the dump", [(str(t.name), t.rows) for t in facts.trailer.tables])
    return _publish(report, "\n" + dumps.export_text(plan, facts))


def report_load(plan: LoadPlan, approval: Approval, loaded: Loaded) -> State[Any]:
    """The end of a load: committed, after everything was verified."""
    report = Report(
        verb=flow_run.get_flow_name() or "load_dump",  # `reload` ends here too
        outcome=LOADED_IN_PART if plan.lost else LOADED,
        source=plan.header.source_host,
        destination=f"{plan.target.database} on {plan.hostname}",
        run_id=plan.run_id,
        plan_code=plan.code,
        **_who(plan),
        approver=approval.approver,
        reason=approval.reason,
        **dumps.in_part(plan),
    )
    _table(f"load-rows-{plan.run_id}", "Rows on staging", list(loaded.rows))
    return _publish(report, "\n" + dumps.loaded_text(plan, loaded, password=PASSWORD))


def report_preview(policy: str, preview: Preview) -> State[Any]:
    """Conclude a look at what masking would do. `LeakFound` if an export under this policy would end with a leak.

    The ledger records it if originals were shown.
    """
    report = Report(
        verb="preview",
        outcome=LeakFound.outcome if preview.leaks else PREVIEWED,
        source=f"{preview.source.database} on {preview.source.host}",
        destination="",
        run_id=this_run(),
        message=dumps.preview_message(preview),
        next_step=dumps.after_preview(policy, preview),
    )
    return _publish(report, "\n" + dumps.preview_text(preview))


def report_classification(policy: str, draft: Draft, *, compared: bool, written: str) -> State[Any]:
    """The end of a classification: a draft that a person has to read, whatever it says."""
    open_requests = not compared or draft.new or draft.undecided or draft.doubts or draft.gone
    report = Report(
        verb="classify",
        outcome=CLASSIFIED,
        source=policy,
        destination=written,
        run_id=this_run(),
        message=f"{len(draft.new)} new, {len(draft.undecided)} undecided, {len(draft.doubts)} doubts, {len(draft.gone)} gone.",
        next_step="Read the draft, decide what is undecided, and put the file under review; then start `preview`."
        if open_requests
        else "The policy knows every column; start `preview` to see what it does.",
    )
    return _publish(report, "\n" + dumps.draft_text(draft, compared=compared, written=written))


def _table(key: str, description: str, rows: list[tuple[str, int]]) -> None:
    create_table_artifact([{"table": name, "rows": count} for name, count in rows], key=key, description=description)


def _of_error(verb: str, error: UnderstudyError) -> Report:
    """The report of a run that ended early: what the ledger knows of it, and the error's own words."""
    parameters: dict[str, Any] = flow_run.get_parameters() or {}
    source, destination = (
        str(parameters.get("source", "")),
        str(parameters.get("destination") or parameters.get("name") or ""),
    )
    known: dict[str, Any] = {}
    if error.outcome not in WITHOUT_LEDGER:  # without settings there is no ledger to read
        facts = open_ledger().facts(run_id=this_run())
        if not isinstance(error, OutcomeUnknown) and _was_sent(facts):
            error = NotVerified(error.message)
        planned = [Plan.model_validate(fact.detail) for fact in facts if fact.kind == "planned"]
        approved = [Approval.model_validate(fact.detail) for fact in facts if fact.kind == "approved"]
        if planned:
            plan = planned[-1]
            source, destination = plan.restore_backup_id or plan.pair.source.name, plan.pair.destination.name
            known = {"plan_code": plan.code, "backup_id": _backup_id(plan), **_who(plan)}
        if approved:
            known |= {"approver": approved[-1].approver, "reason": approved[-1].reason}
    return Report(
        verb=verb,
        outcome=error.outcome,
        source=source,
        destination=destination,
        run_id=this_run(),
        message=error.message,
        next_step=error.next_step,
        **known,
    )


def _was_sent(facts: list[Fact]) -> bool:
    """Whether this run's destructive call left and was not refused: then "nothing was overwritten" would be a lie."""
    kinds = {fact.kind for fact in facts}
    return "sending" in kinds and "send-refused" not in kinds


def _publish(report: Report, extra: str = "") -> State[Any]:
    """Ledger first, then the artifact, then the named state: the record that matters does not depend on Prefect."""
    head = ""
    if report.outcome not in WITHOUT_LEDGER:
        open_ledger().record("outcome", run_id=report.run_id, plan="", detail=report.model_dump(mode="json"))
        head = str(open_ledger().head())
    create_markdown_artifact(
        report_text(report, head) + extra,
        key=f"report-{report.run_id}",
        description=f"{report.verb}: {report.outcome}",
    )
    good = report.outcome in GOOD
    if report.outcome != "Misconfigured" and (report.verb in PEOPLE_WAIT_FOR or (not good and report.verb in WRITES)):
        lines = [plain(line, 600) for line in (report.message, report.next_step) if line]
        send_notice("ended", f"{report.verb} of {report.destination}: {report.outcome}", lines, run_id=report.run_id)
    message = (
        " ".join(part for part in (report.message, report.next_step) if part)
        or f"{report.verb} {report.outcome.lower()}"
    )
    return Completed(name=report.outcome, message=message) if good else Failed(name=report.outcome, message=message)
