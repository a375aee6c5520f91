"""The report of one run as Markdown: its facts, the evidence of arrival and the checks."""

from tasks.estate.plans import Finding, Report
from tasks.rendering.markdown import _when, plain


def report_text(report: Report, head: str = "") -> str:
    """The report of one run as Markdown; with the ledger's head, an anchor outside the ledger that tells if it was cut."""
    lines = [f"# {report.verb}: {report.outcome}", ""]
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
    lines += ["| | |", "|---|---|"] + [f"| {key} | {plain(value, 400)} |" for key, value in facts.items() if value]
    if report.message:
        lines += ["", plain(report.message, 1000)]
    if report.next_step:
        lines += ["", f"**Next step.** {plain(report.next_step, 1000)}"]
    if report.evidence:
        lines += [
            "",
            f"## Evidence of arrival: {report.evidence.verdict.value} after {report.evidence.took_seconds} s",
            "",
        ]
        lines += ["| rank | signal | seen | value | at |", "|---|---|---|---|---|"]
        lines += [
            f"| {s.rank} | {s.name} | {'yes' if s.seen else 'no'} | {plain(s.detail)} | {_when(s.observed_at)} |"
            for s in report.evidence.signals
        ]
    if report.findings:
        lines += ["", "## Checks", "", *findings_table(report.findings)]
    return "\n".join(lines) + "\n"


def findings_table(findings: tuple[Finding, ...]) -> list[str]:
    """Findings as a Markdown table; what could not be checked reads `unknown`, never `ok`."""
    words = {True: "ok", False: "FAILED", None: "unknown"}
    rows = [
        f"| {f.check} | {words[f.passed]} | {f.severity.value} | {plain(f.detail, 300)} | {_code(f.action)} |"
        for f in findings
    ]
    return ["| check | result | severity | found | what to do |", "|---|---|---|---|---|", *rows]


def _code(action: str) -> str:
    return f"`{action.replace('`', '').replace('|', ' ')}`" if action else ""
