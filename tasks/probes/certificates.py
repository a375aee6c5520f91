"""What certificates mean for the domains of an install: one finding for each domain that is not well, one for the rest.

The host keeps every certificate that a domain ever had, in every state, and its modern networks serve certificates that it
does not list at all. So a domain is judged by its newest enabled certificate and by the state that its network tells.
Words and fields: the hosting API's specification 1.17.0, `Certificate.status` and `Domain.network_details`.
"""

from datetime import datetime

from tasks.estate.plans import Finding, Severity
from tasks.estate.sites import CertificateFact, DomainName, Survey
from tasks.probes.addresses import Names, to_host

EXPIRY_WARNING_DAYS = 30
ENABLED = "ENABLED"
SERVED = ("active",)  # the network serves a valid certificate
UNSERVED = ("failed", "expired", "error", "revoked")  # it says that it does not; any other word is a step on the way
ACTION = "Renew it in the host's portal."


def check_certificates(survey: Survey, now: datetime) -> list[Finding]:
    """Return the findings about all domains of an install, redirected ones included: they answer by TLS as well."""
    if survey.domains is None:
        return [_finding("certificates", None, "the host did not list the domains")]
    judged = [_judge(domain, survey, now) for domain in survey.domains if "*" not in domain.name]
    bad = [finding for finding in judged if finding.passed is not True]
    good = len(judged) - len(bad)
    if not good:
        return bad or [_finding("certificates", None, "the install has no domain")]
    details = [f"{f.check.removeprefix('certificate ')}: {f.detail}" for f in judged if f.passed]
    return [*bad, _finding("certificates", True, "; ".join(details[:5]) + (f"; {good - 5} more" if good > 5 else ""))]


def _judge(domain: DomainName, survey: Survey, now: datetime) -> Finding:
    check = f"certificate {domain.name}"
    host = to_host(domain.name) or ""
    severity = Severity.BLOCK if host == to_host(survey.install.primary_domain) else Severity.WARN
    network = (domain.tls or "").casefold()
    if network in UNSERVED:
        return _finding(check, False, f"the network says {network}", severity)
    covering = [each for each in survey.certificates or () if Names.of((each.common_name, *each.domains)).has(host)]
    enabled = [each for each in covering if each.status == ENABLED]
    if not enabled and network in SERVED:
        return _finding(check, True, "served by the network")
    if survey.certificates is None:
        return _finding(check, None, "the host did not list them")
    if not covering:
        return _finding(check, None, f"none listed; the network says {network or 'nothing'}")
    if not enabled:
        states = ", ".join(sorted({each.status for each in covering}))
        return _finding(check, False, f"none is enabled ({states})", severity)
    return _expiry(check, _newest(enabled), severity, now)


def _newest(enabled: list[CertificateFact]) -> CertificateFact:
    """The one that is valid longest: it replaces the others. One whose end is not told counts only alone."""
    dated = [each for each in enabled if each.expires_at is not None]
    return max(dated, key=lambda each: each.expires_at or datetime.min) if dated else enabled[0]


def _expiry(check: str, certificate: CertificateFact, severity: Severity, now: datetime) -> Finding:
    if certificate.expires_at is None:
        return _finding(check, None, "enabled, its end is not told")
    days = (certificate.expires_at - now).days
    if certificate.expires_at <= now:
        return _finding(check, False, f"expired {-days} days ago", severity)
    return _finding(check, days > EXPIRY_WARNING_DAYS, f"{days} days left", Severity.WARN)


def _finding(check: str, passed: bool | None, detail: str, bad: Severity = Severity.BLOCK) -> Finding:
    grade = {True: Severity.INFO, False: bad, None: Severity.UNKNOWN}[passed]
    return Finding(check=check, passed=passed, severity=grade, detail=detail, action="" if passed else ACTION)
