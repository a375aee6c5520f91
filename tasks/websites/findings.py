"""One result of a check, with the severity that follows from it."""

from tasks.estate.plans import Finding, Severity

AS_BEFORE = "as before the copy"


def finding(
    check: str, passed: bool | None, detail: str, *, bad: Severity = Severity.BLOCK, action: str = ""
) -> Finding:
    """Return the result of a check. `bad`: the severity if it failed; `action`: what to do unless it passed."""
    grade = {True: Severity.INFO, False: bad, None: Severity.UNKNOWN}[passed]
    return Finding(check=check, passed=passed, severity=grade, detail=detail, action="" if passed else action)
