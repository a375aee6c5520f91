"""The report of one run as Markdown: its facts, the evidence of arrival and the checks."""

from tasks.estate.plans import Finding, Report
from tasks.rendering.markdown import code, plain, section, table, utc_time


def report_text(report: Report, head: str = "") -> str:
    """Return a run's report. `head` is the ledger's head: a copy outside the ledger shows if the ledger is cut later."""
    facts = {
        "Source": report.source,
        "Destination": report.destination,
        "Run": report.run_id,
        "Plan": report.plan_code,
        "Backup": report.backup_id,
        "Requested by": report.requested_by,
        "Risk": report.risk,
        "Approved by": report.approver,
        "Reason": report.reason,
        "Ledger head": head,
    }
    lines = [f"# {report.verb}: {report.outcome}", ""]
    lines += table(("", ""), [(key, plain(value, 400)) for key, value in facts.items() if value])
    if report.message:
        lines += ["", plain(report.message, 1000)]
    if report.next_step:
        lines += ["", f"**Next step.** {plain(report.next_step, 1000)}"]
    if report.evidence:
        title = f"Evidence of arrival: {report.evidence.verdict.value} after {report.evidence.took_seconds} s"
        signals = [
            (s.rank, s.name, "yes" if s.seen else "no", plain(s.detail), utc_time(s.observed_at))
            for s in report.evidence.signals
        ]
        lines += section(title, table(("rank", "signal", "seen", "value", "at"), signals))
    if report.findings:
        lines += section("Checks", findings_table(report.findings))
    return "\n".join(lines) + "\n"


def findings_table(findings: tuple[Finding, ...]) -> list[str]:
    """Return the findings as a table. The result of a check that could not be made is `unknown`, never `ok`."""
    results = {True: "ok", False: "FAILED", None: "unknown"}
    rows = [(f.check, results[f.passed], f.severity.value, plain(f.detail, 300), code(f.action)) for f in findings]
    return list(table(("check", "result", "severity", "found", "what to do"), rows))
