"""Reports: every run ends in exactly one named outcome, with a Markdown report and a row in the ledger."""

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec

from prefect import get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from tasks.dumps.export_plan import ExportPlan
from tasks.dumps.masking_preview import Preview
from tasks.estate.dumps import DumpFacts, Loaded, LoadPlan
from tasks.estate.errors import (
    LeakFound,
    LedgerUnavailable,
    Misconfigured,
    NotVerified,
    OutcomeUnknown,
    UnderstudyError,
)
from tasks.estate.outcomes import (
    CLASSIFIED,
    DECISIVE,
    EXPORTED,
    HEALTHY,
    HEALTHY_IN_PART,
    LOADED,
    LOADED_IN_PART,
    PREVIEWED,
    UNHEALTHY,
    decisive_checks,
    failed_checks,
    outcome_of,
    unknown_checks,
)
from tasks.estate.plans import Approval, Comparison, Evidence, Finding, Plan, Report, Verdict
from tasks.estate.polling import utc_now
from tasks.estate.recipes import StepDone
from tasks.ledger.facts import Approved, BackupRenewed, Planned, StepTaken
from tasks.ledger.ledger import Fact, may_have_acted
from tasks.masking.classify import Draft
from tasks.masking.session_settings import PASSWORD
from tasks.rendering import dumps
from tasks.rendering.after_copy import untouched_warning
from tasks.rendering.approval import difference_lines
from tasks.rendering.times_and_tables import section
from tasks.runtime.current_run import this_run
from tasks.runtime.publish_report import publish, report_key
from tasks.runtime.resources import open_ledger
from tasks.safeguards.holds import place

P = ParamSpec("P")

DESTINATIONS = ("destination", "name", "hostname")  # parameters that name it
RESTORED_HOLD = timedelta(days=1)  # scheduled runs must not repeat at once what had to be undone


def ends_with_report(verb: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """Decorate a flow body: an `UnderstudyError` becomes a named failed state with a report, not a stack trace.

    Any other exception is a bug and passes through, and so does a suspension (`prefect.exceptions.Pause`, a BaseException).
    """

    @functools.wraps(verb)
    def body(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return verb(*args, **kwargs)
        except UnderstudyError as error:
            get_run_logger().error("%s: %s", error.outcome, error.message)
            return publish(_report_of(verb.__name__, error))

    return body


def report_outcome(
    plan: Plan, approval: Approval, evidence: Evidence, findings: tuple[Finding, ...], steps: tuple[StepDone, ...] = ()
) -> State[Any]:
    """Finish a run whose call was made. `steps`: what the steps after the copy did.

    `VerifyFailed` if a check that matters failed; else `VerifiedInPart` if a decisive one is not known; else `Verified`.
    """
    failed = failed_checks(findings)
    unknown = unknown_checks(findings, decisive_checks(plan, evidence.verdict))
    unchanged = "" if failed else _unchanged(plan, evidence)
    if plan.verb == "restore" and not failed:
        _hold_restored(plan)
    return publish(
        Report(
            verb=plan.verb,
            outcome=outcome_of(failed, unknown),
            source=plan.restore_backup_id or plan.pair.source.name,
            destination=plan.pair.destination.name,
            run_id=plan.run_id,
            plan_code=plan.code,
            backup_id=_backup_id(plan),
            **_request(plan),
            approver=approval.approver,
            reason=approval.reason,
            evidence=evidence,
            findings=findings,
            after_copy=steps,
            message=" ".join(filter(None, (_check_names(failed, unknown), unchanged, untouched_warning(plan)))),
            next_step=_after_failed_checks(plan, approval)
            if failed
            else _after_unknown_checks(plan)
            if unknown
            else "",
        )
    )


def _check_names(failed: list[str], unknown: list[str]) -> str:
    parts = [("Failed checks", failed), ("Checks that could not be made", unknown)]
    return " ".join(f"{label}: {', '.join(names)}." for label, names in parts if names)


def _after_unknown_checks(plan: Plan) -> str:
    return (
        f"The copy arrived and no check failed. Look at {plan.pair.destination.name} for what could not be checked, as the "
        "findings describe; a retry of this run checks again and never sends."
    )


def _unchanged(plan: Plan, evidence: Evidence) -> str:
    """Return a sentence if no difference could be seen: the reader must not take the run for proof that content arrived."""
    if evidence.verdict is not Verdict.UNCHANGED:
        return ""
    source = "its backup" if plan.verb == "restore" else plan.pair.source.name
    return (
        f"Nothing that can be seen differed between {source} and {plan.pair.destination.name} before the call, and nothing "
        "differs now; the host has had its time."
    )


def _request(plan: Plan | LoadPlan) -> dict[str, str]:
    return {"requested_by": plan.requested_by, "risk": f"{plan.risk.grade.value}: {'; '.join(plan.risk.reasons)}"}


def _backup_id(plan: Plan) -> str:
    """Return the backup that `restore` would put back: the second one if the answer came late."""
    renewed = open_ledger().facts(run_id=plan.run_id, kind=BackupRenewed.KIND)
    return renewed[-1].as_(BackupRenewed).backup.id if renewed else plan.backup.id


def _hold_restored(plan: Plan) -> None:
    now = utc_now()
    place(
        open_ledger(),
        destination=plan.destination_name,
        until=now + RESTORED_HOLD,
        by="Understudy",
        reason=f"restored by run {plan.run_id}",
        now=now,
        run_id=plan.run_id,
    )


def _after_failed_checks(plan: Plan, approval: Approval) -> str:
    if approval.restore_within:
        return f"The approval allowed it: a run of `restore` starts by itself and puts backup {_backup_id(plan)} back."
    return (
        f"The copy arrived but {plan.pair.destination.name} does not pass. Do what the findings recommend, then start "
        f"`diagnose`; to go back, start `restore` with run {plan.run_id}."
    )


def report_diagnosis(install: str, findings: tuple[Finding, ...], comparison: Comparison | None) -> State[Any]:
    """Finish a read-only diagnosis: `Unhealthy`, `HealthyInPart` if a decisive check is not known, or `Healthy`."""
    failed, unknown = failed_checks(findings), unknown_checks(findings, DECISIVE["diagnose"])
    report = Report(
        verb="diagnose",
        outcome=UNHEALTHY if failed else HEALTHY_IN_PART if unknown else HEALTHY,
        source=comparison.source.install.name if comparison else "",
        destination=install,
        run_id=this_run(),
        findings=findings,
        message=_check_names(failed, unknown),
        next_step="Do what the findings recommend, most severe first." if failed or unknown else "",
    )
    extra = section("Comparison", difference_lines(comparison, all_rows=True)) if comparison else []
    return publish(report, "\n".join(extra))


def report_export(plan: ExportPlan, facts: DumpFacts) -> State[Any]:
    """Finish an export whose dump is complete under its name."""
    report = Report(
        verb="anonymize",
        outcome=EXPORTED,
        source=f"{facts.header.source_database} on {facts.header.source_host}",
        destination=facts.url,
        run_id=this_run(),
        next_step="Start `load_dump` to bring it to staging.",
    )
    _table("export-rows", "Rows in the dump", [(str(t.name), t.rows) for t in facts.trailer.tables])
    return publish(report, "\n" + dumps.export_text(plan, facts))


def report_load(plan: LoadPlan, approval: Approval, loaded: Loaded) -> State[Any]:
    """Finish a load that is committed, after everything was verified."""
    report = Report(
        verb=flow_run.get_flow_name() or "load_dump",  # `reload` ends here too
        outcome=LOADED_IN_PART if plan.lost else LOADED,
        source=plan.header.source_host,
        destination=f"{plan.target.database} on {plan.hostname}",
        run_id=plan.run_id,
        plan_code=plan.code,
        **_request(plan),
        approver=approval.approver,
        reason=approval.reason,
        **dumps.in_part(plan),
    )
    _table("load-rows", "Rows on staging", list(loaded.rows))
    return publish(report, "\n" + dumps.loaded_text(plan, loaded, password=PASSWORD))


def report_preview(policy: str, preview: Preview) -> State[Any]:
    """Finish a preview of masking. `LeakFound` if an export under this policy would end with a leak.

    The ledger records whether originals were shown.
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
    key = report_key("preview", report.run_id if preview.originals else "")
    return publish(report, "\n" + dumps.preview_text(preview, key), key=key)


def report_classification(policy: str, draft: Draft, *, compared: bool, written: str) -> State[Any]:
    """Finish a classification with a draft that a person must read."""
    undecided = not compared or draft.new or draft.undecided or draft.doubts or draft.gone
    report = Report(
        verb="classify",
        outcome=CLASSIFIED,
        source=policy,
        destination=written,
        run_id=this_run(),
        message=f"{len(draft.new)} new, {len(draft.undecided)} undecided, {len(draft.doubts)} doubts, {len(draft.gone)} gone.",
        next_step="Read the draft, decide what is undecided, and put the file under review; then start `preview`."
        if undecided
        else "The policy covers every column; start `preview` to see what it does.",
    )
    return publish(report, "\n" + dumps.draft_text(draft, compared=compared, written=written))


def _table(key: str, description: str, rows: list[tuple[str, int]]) -> None:
    create_table_artifact([{"table": name, "rows": count} for name, count in rows], key=key, description=description)


def _report_of(verb: str, error: UnderstudyError) -> Report:
    """Return the report of a run that ended early: what the ledger contains about it, and the error's own message."""
    parameters: dict[str, Any] = flow_run.get_parameters() or {}
    known: dict[str, Any] = {
        "source": str(parameters.get("source", "")),
        "destination": str(next((parameters[name] for name in DESTINATIONS if parameters.get(name)), "")),
    }
    facts = _recorded_before(error)
    if may_have_acted(facts) and not isinstance(error, OutcomeUnknown):
        error = NotVerified(error.message)  # the call was sent: "nothing was overwritten" would be false
    planned = [fact.as_(Planned).draft for fact in facts if fact.kind == Planned.KIND]
    approved = [fact.as_(Approved).approval for fact in facts if fact.kind == Approved.KIND]
    if planned:
        plan = planned[-1]
        known = {
            "source": plan.restore_backup_id or plan.pair.source.name,
            "destination": plan.pair.destination.name,
            "plan_code": plan.code,
            "backup_id": _backup_id(plan),
            **_request(plan),
        }
    if approved:
        known |= {"approver": approved[-1].approver, "reason": approved[-1].reason}
    taken = {fact.as_(StepTaken).done.step: fact.as_(StepTaken).done for fact in facts if fact.kind == StepTaken.KIND}
    known["after_copy"] = tuple(taken.values())
    return Report(
        verb=verb, outcome=error.outcome, run_id=this_run(), message=error.message, next_step=error.next_step, **known
    )


def _recorded_before(error: UnderstudyError) -> list[Fact]:
    """Return the facts of this run; none if it ends because the ledger, or the settings that name it, cannot be used."""
    if isinstance(error, LedgerUnavailable):
        return []
    try:
        return open_ledger().facts(run_id=this_run())
    except UnderstudyError:
        if isinstance(error, Misconfigured):
            return []
        raise
