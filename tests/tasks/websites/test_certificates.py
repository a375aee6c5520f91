"""Certificates: the newest enabled one and the state on the network decide for each domain."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.estate.plans import Severity
from tasks.estate.sites import CertificateFact, Content, DomainName, Environment, Install, Survey
from tasks.websites.certificates import check_certificates

NOW = datetime(2026, 11, 26, tzinfo=UTC)
HOME = "www.schulfest.example"


def certificate(days: int | None, status: str = "ENABLED", name: str = HOME, *domains: str) -> CertificateFact:
    """A certificate that ends in so many days."""
    ends = None if days is None else NOW + timedelta(days=days)
    return CertificateFact(common_name=name, status=status, expires_at=ends, domains=domains)


def check_one(
    *certificates: CertificateFact, tls: str | None = None, domains: tuple[str, ...] = (HOME,)
) -> dict[str, tuple[bool | None, Severity]]:
    """The findings about these domains, all with this state on the network."""
    install = Install(
        id="i", name="schulprod", account_id="a", site_id="s", environment=Environment.PRODUCTION, status="active",
        primary_domain=HOME,
    )  # fmt: skip
    seen = Survey(
        install=install,
        domains=tuple(DomainName(name=name, primary=name == HOME, tls=tls) for name in domains),
        certificates=certificates,
        content=Content(reachable=True),
        taken_at=NOW,
    )
    return {finding.check: (finding.passed, finding.severity) for finding in check_certificates(seen, NOW)}


@pytest.mark.parametrize(
    "certificates",
    [
        (certificate(80),),
        (certificate(-3), certificate(80)),
        (certificate(-3, "EXPIRED"), certificate(80)),
        (certificate(80), certificate(400, "CANCELED"), certificate(-90, "EXPIRED"), certificate(None, "SUBMITTED")),
        (certificate(80, "ENABLED", "*.schulfest.example"),),
        (certificate(80, "ENABLED", "schulfest.example", "schulfest.example", "WWW.Schulfest.example"),),
        (certificate(None), certificate(80)),
        (certificate(80, "ENABLED", ""), certificate(80)),
        (certificate(80, "ENABLED", "other.example", "WWW.SCHULFEST.EXAMPLE."),),
    ],
)
def test_an_old_certificate_next_to_a_valid_one_is_no_fault(certificates: tuple[CertificateFact, ...]) -> None:
    """The host lists all that a domain ever had; the newest enabled one is what counts."""
    assert check_one(*certificates) == {"certificates": (True, Severity.INFO)}


@pytest.mark.parametrize(
    ("certificates", "tls", "found"),
    [
        ((certificate(-1),), None, (False, Severity.BLOCK)),
        ((certificate(0),), None, (False, Severity.BLOCK)),
        ((certificate(-3, "EXPIRED"),), None, (False, Severity.BLOCK)),
        ((certificate(80, "REJECTED"), certificate(80, "DISABLED")), None, (False, Severity.BLOCK)),
        ((certificate(12),), None, (False, Severity.WARN)),
        ((certificate(80),), "failed", (False, Severity.BLOCK)),
        ((), "expired", (False, Severity.BLOCK)),
        ((), "Failed", (False, Severity.BLOCK)),
        ((), "pending", (None, Severity.UNKNOWN)),
        ((), None, (None, Severity.UNKNOWN)),
        ((certificate(None),), None, (None, Severity.UNKNOWN)),
        ((certificate(80, "ENABLED", "*.other.example"),), None, (None, Severity.UNKNOWN)),
        ((certificate(80, "ENABLED", "*.example"),), None, (None, Severity.UNKNOWN)),
        ((certificate(80, "ENABLED", "*.www.schulfest.example"),), None, (None, Severity.UNKNOWN)),
        ((certificate(80, "ENABLED", "w*.schulfest.example"),), None, (None, Severity.UNKNOWN)),
        ((certificate(80, "ENABLED", ""),), None, (None, Severity.UNKNOWN)),
        ((certificate(80, "ENABLED", "schulfest.example"),), None, (None, Severity.UNKNOWN)),
    ],
)
def test_what_serves_no_valid_certificate_is_never_well(
    certificates: tuple[CertificateFact, ...], tls: str | None, found: tuple[bool | None, Severity]
) -> None:
    """A domain whose certificate is expired, refused, failed or not known has its own finding, which does not pass."""
    assert check_one(*certificates, tls=tls) == {f"certificate {HOME}": found}


def test_a_network_that_serves_a_certificate_needs_no_listed_one() -> None:
    """Modern networks list no certificates, and an expired one of the old network is ignored."""
    assert check_one(tls="active") == {"certificates": (True, Severity.INFO)}
    assert check_one(certificate(-3, "EXPIRED"), tls="ACTIVE") == {"certificates": (True, Severity.INFO)}


def test_a_certificate_covers_a_domain_in_either_of_its_forms() -> None:
    """Certificates hold the ASCII form of names with umlauts, and the host may list the other."""
    found = check_one(
        certificate(-2, "ENABLED", "xn--bcher-kva.example"), certificate(80), domains=(HOME, "Bücher.example")
    )
    assert found["certificate Bücher.example"] == (False, Severity.WARN)


def test_each_domain_is_checked_separately() -> None:
    """One bad domain among good ones is named, and warns if it is not the primary one."""
    found = check_one(certificate(80), certificate(-2, "ENABLED", "shop.example"), domains=(HOME, "shop.example"))
    assert found == {"certificate shop.example": (False, Severity.WARN), "certificates": (True, Severity.INFO)}
