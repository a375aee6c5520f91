"""Every outcome that is not an error's, which outcomes are green or failures, and the checks that decide the outcome of each flow.

docs/outcomes.md lists every outcome and docs/evidence.md has the table of checks; tests compare them.
"""

from collections.abc import Iterable

from tasks.estate.errors import LeakFound, NotLoaded, NotNeutralised, NotVerified, OutcomeUnknown, StagingRemains
from tasks.estate.plans import Finding, Plan, Severity, Verdict

VERIFIED = "Verified"
VERIFY_FAILED = "VerifyFailed"
IN_PART = "VerifiedInPart"
HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"
HEALTHY_IN_PART = "HealthyInPart"
EXPORTED = "Exported"
LOADED = "Loaded"
LOADED_IN_PART = "LoadedInPart"  # committed as approved; red, because staging differs from the dump
PREVIEWED = "Previewed"
CLASSIFIED = "Classified"
AUDITED = "Audited"
HELD = "Held"
RELEASED = "Released"
SETTLED = "Settled"
SWEPT = "Swept"

# Green in Prefect: the run's state is Completed. Every other outcome, also that of an error, is a Failed state of its name.
GREEN = {VERIFIED, HEALTHY, EXPORTED, LOADED, PREVIEWED, CLASSIFIED, AUDITED, HELD, RELEASED, SETTLED, SWEPT}
# Failures of a run after its call, or of a load: they count against scheduled runs. Other outcomes are not failures of a copy.
FAILED_CALLS = {
    VERIFY_FAILED,
    *(error.outcome for error in (OutcomeUnknown, NotVerified, NotNeutralised, StagingRemains, NotLoaded, LeakFound)),
}

ALWAYS = "always"
DATABASE = "if the whole database was copied"
ANY_DATABASE = "if the database or some of its tables were copied"
FILES = "if files were copied and the evidence of arrival is weaker than `confirmed`"

FRONT_PAGE = "front page"
HOME = "home is the site's own domain"
LEAKS = "no URLs of the source in pages"
CONTENT = "content matches the source"
FILES_MATCH = "files match the source"
CACHE = "cache is fresh"
ACTIVE = "install active"

# When a check that is not known prevents Verified. A check that is not listed decides only if it fails.
_COPY = {
    FRONT_PAGE: ALWAYS, HOME: ALWAYS, CACHE: ALWAYS, LEAKS: ANY_DATABASE, CONTENT: DATABASE, FILES_MATCH: FILES,
}  # fmt: skip
DECISIVE: dict[str, dict[str, str]] = {
    "refresh": _COPY,
    "provision": _COPY,
    "promote": _COPY,
    "restore": {check: when for check, when in _COPY.items() if check != LEAKS},
    "diagnose": {ACTIVE: ALWAYS, FRONT_PAGE: ALWAYS, HOME: ALWAYS},
}


def decisive_checks(plan: Plan, arrival: Verdict) -> frozenset[str]:
    """Return the checks that must be known for a run of this plan to end Verified."""
    holds = {
        ALWAYS: True,
        DATABASE: plan.options.database and not plan.options.tables,
        ANY_DATABASE: plan.options.database,
        FILES: plan.options.files and arrival not in (Verdict.CONFIRMED, Verdict.UNCHANGED),
    }
    return frozenset(check for check, when in DECISIVE[plan.verb].items() if holds[when])


def failed_checks(findings: Iterable[Finding]) -> list[str]:
    """Return the checks that failed with severity `block`."""
    return [f.check for f in findings if f.passed is False and f.severity is Severity.BLOCK]


def unknown_checks(findings: Iterable[Finding], decisive: Iterable[str]) -> list[str]:
    """Return the decisive checks that are not known or were not made, sorted."""
    known = {f.check for f in findings if f.passed is not None}
    return sorted(set(decisive) - known | {f.check for f in findings if f.passed is None and f.check in set(decisive)})


def outcome_of(failed: list[str], unknown: list[str]) -> str:
    """Return the outcome of a run whose copy arrived: a failed check outweighs one that is not known."""
    return VERIFY_FAILED if failed else IN_PART if unknown else VERIFIED
