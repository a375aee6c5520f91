"""Certificates of the domains of an install: one finding for each domain with a problem, one for the rest.

The host keeps all certificates of a domain, in every state, and its modern networks serve certificates that it does not
list. So the newest enabled certificate and the state on the network decide. Values and fields: specification 1.17.0 of the
hosting API, `Certificate.status` and `Domain.network_details`.
"""

from datetime import datetime

from tasks.estate.plans import Finding, Severity
from tasks.estate.sites import CertificateFact, DomainName, Survey
from tasks.websites.findings import finding
from tasks.websites.hosts_and_urls import Names, to_host

EXPIRY_WARNING_DAYS = 30
ENABLED = "ENABLED"
SERVED = ("active",)  # the network serves a valid certificate
UNSERVED = ("failed", "expired", "error", "revoked")  # it does not serve one; any other value is a temporary state
ACTION = "Renew it in the host's portal."


def check_certificates(survey: Survey, now: datetime) -> list[Finding]:
    """Return the findings about all domains of an install, also about redirected ones, which answer by TLS too."""
    if survey.domains is None:
        return [_finding("certificates", None, "the host did not list the domains")]
    found = [_check(domain, survey, now) for domain in survey.domains if "*" not in domain.name]
    bad = [each for each in found if each.passed is not True]
    good = len(found) - len(bad)
    if not good:
        return bad or [_finding("certificates", None, "the install has no domain")]
    details = [f"{f.check.removeprefix('certificate ')}: {f.detail}" for f in found if f.passed]
    return [*bad, _finding("certificates", True, "; ".join(details[:5]) + (f"; {good - 5} more" if good > 5 else ""))]


def _check(domain: DomainName, survey: Survey, now: datetime) -> Finding:
    check = f"certificate {domain.name}"
    host = to_host(domain.name) or ""
    severity = Severity.BLOCK if host == to_host(survey.install.primary_domain) else Severity.WARN
    network = (domain.tls or "").casefold()
    if network in UNSERVED:
        return _finding(check, False, f"state on the network: {network}", severity)
    covering = [each for each in survey.certificates or () if Names.of((each.common_name, *each.domains)).has(host)]
    enabled = [each for each in covering if each.status == ENABLED]
    if not enabled and network in SERVED:
        return _finding(check, True, "served by the network")
    if survey.certificates is None:
        return _finding(check, None, "the host did not list its certificates")
    if not covering:
        return _finding(check, None, f"no certificate listed; state on the network: {network or 'unknown'}")
    if not enabled:
        states = ", ".join(sorted({each.status for each in covering}))
        return _finding(check, False, f"no certificate is enabled ({states})", severity)
    return _expiry(check, _newest(enabled), severity, now)


def _newest(enabled: list[CertificateFact]) -> CertificateFact:
    """Return the one that is valid longest. One without an expiry date is used only if no other exists."""
    dated = [each for each in enabled if each.expires_at is not None]
    return max(dated, key=lambda each: each.expires_at or datetime.min) if dated else enabled[0]


def _expiry(check: str, certificate: CertificateFact, severity: Severity, now: datetime) -> Finding:
    if certificate.expires_at is None:
        return _finding(check, None, "enabled, its expiry date is unknown")
    days = (certificate.expires_at - now).days
    if certificate.expires_at <= now:
        return _finding(check, False, f"expired {-days} days ago", severity)
    return _finding(check, days > EXPIRY_WARNING_DAYS, f"{days} days left", Severity.WARN)


def _finding(check: str, passed: bool | None, detail: str, bad: Severity = Severity.BLOCK) -> Finding:
    return finding(check, passed, detail, bad=bad, action=ACTION)
