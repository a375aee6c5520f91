"""The report of one run as Markdown: its facts, the evidence of arrival and the checks."""

from tasks.estate.plans import Finding, Report, Severity
from tasks.rendering.after_copy import done_lines
from tasks.rendering.times_and_tables import bullets, code, head_words, plain, section, utc_time


def report_text(report: Report, head: str = "") -> str:
    """Return a run's report: message and next step first.

    `head` is the ledger's head: a copy outside the ledger shows if the ledger is cut later.
    """
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
        "Ledger head": head_words(head),
    }
    lines = [f"# {report.verb}: {report.outcome}"]
    if report.message:
        lines += ["", plain(report.message, 1000)]
    if report.next_step:
        lines += ["", f"**Next step.** {plain(report.next_step, 1000)}"]
    lines += ["", *bullets(f"{name}: {plain(value, 400)}" for name, value in facts.items() if value)]
    if report.after_copy:
        lines += section("After the copy", done_lines(report.after_copy, production=report.verb == "promote"))
    if report.evidence:
        title = f"Evidence of arrival: {report.evidence.verdict.value} after {report.evidence.took_seconds} s"
        lines += section(
            title,
            bullets(
                f"Rank {s.rank}, {s.name}: {'seen' if s.seen else 'not seen'} at {utc_time(s.observed_at)} ({plain(s.detail)})"
                for s in report.evidence.signals
            ),
        )
    if report.findings:
        lines += section("Checks", finding_lines(report.findings))
    return "\n".join(lines) + "\n"


def finding_lines(findings: tuple[Finding, ...]) -> list[str]:
    """Return the findings as a list, without tables, which a phone cuts.

    The result of a check that could not be made is `unknown`, never `ok`. `noted`: not as it should be, and nobody's failure,
    because it was so before the copy.
    """
    return bullets(
        f"{_result(f)} · {f.check}: {plain(f.detail, 300)}" + (f" What to do: {code(f.action)}" if f.action else "")
        for f in findings
    )


def _result(finding: Finding) -> str:
    if finding.passed is False and finding.severity is Severity.INFO:
        return "noted"
    result = {True: "ok", False: "**FAILED**", None: "**unknown**"}[finding.passed]
    return result if finding.severity is Severity.INFO else f"{result} ({finding.severity.value})"
