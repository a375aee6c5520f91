"""The matrix of real-life sites: no healthy one fails, no broken one passes, and what is not known is not verified."""

from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox import work
from deployments.sandbox.capi import Estate
from deployments.sandbox.variants import BROKEN, CLOSED, HEALTHY, LOGIN, UNPROVABLE
from tasks.estate.plans import CopyOptions, Finding, Verdict
from tasks.estate.sites import Survey
from tasks.estate.verdicts import decisive_checks, failed_checks, outcome_of, unknown_checks
from tasks.estate.waiting import utc_now
from tasks.surveys.looking import look_after_copy, look_at_one
from tasks.surveys.taking import take
from tests.sites import made, reading

DOCS = Path(__file__).parents[3] / "docs" / "faults.md"
PAIRS = {
    "refresh": ("schulprod", "schulstage"),
    "promote": ("schulstage", "schulprod"),
    "files": ("schulstage", "schulprod"),
}
EXPECTED = {
    **dict.fromkeys(HEALTHY, "Verified"), **dict.fromkeys(CLOSED, "Verified"),
    **dict.fromkeys(UNPROVABLE, "VerifiedInPart"), **dict.fromkeys(BROKEN, "VerifyFailed"),
}  # fmt: skip


def land(host: Estate, source: Survey, destination: Survey, options: CopyOptions, *, leak: bool = False) -> None:
    """What a copy that arrives does, at once."""
    left, right = (host.store.get("installs", each.install.id) or {} for each in (source, destination))
    if options.database:
        work._copy_database(left, right, None, leak=leak)
    if options.files:
        right["files"] = dict(left["files"])
    host.store.put("installs", right)


def copied(
    case: str,
    *variants: str,
    everywhere: bool = False,
    leak: bool = False,
    arrival: Verdict = Verdict.CONFIRMED,
    **options: Any,
) -> tuple[str, tuple[Finding, ...]]:
    """The outcome and findings of a copy after which the destination (or each site) is like these variants."""
    host, (left, right) = Estate(scale=1 / 6000), PAIRS[case]
    with reading(host, **options) as (client, prober):
        ids = {install.name: install.id for install in client.installs()}
        if everywhere:
            for name in variants:
                host.vary(name)
        source, destination = take(client, prober, ids[left]), take(client, prober, ids[right])
        chosen = CopyOptions(files=True, database=case != "files")
        plan = made(case, source, destination, chosen)
        land(host, source, destination, chosen, leak=leak)
        client.purge_cache(ids[right], "all")
        if not everywhere:
            for name in variants:
                host.vary(name, install=right)
        found = look_after_copy(client, prober, plan, source, purged_at=utc_now())
    return outcome_of(failed_checks(found), unknown_checks(found, decisive_checks(plan, arrival))), found


def shown(found: tuple[Finding, ...]) -> list[tuple[str, bool | None, str]]:
    """What did not pass."""
    return [(f.check, f.passed, f.detail) for f in found if f.passed is not True]


@pytest.mark.parametrize("case", PAIRS)
def test_a_plain_copy_is_verified(case: str) -> None:
    """Without any variant each verb ends Verified."""
    outcome, found = copied(case)
    assert outcome == "Verified", shown(found)


@pytest.mark.parametrize("case", PAIRS)
@pytest.mark.parametrize("variant", [*HEALTHY, *CLOSED])
def test_no_healthy_site_fails(variant: str, case: str) -> None:
    """Each healthy variant, on both sides as in real life, ends Verified."""
    outcome, found = copied(case, variant, everywhere=True)
    assert outcome == "Verified", shown(found)


@pytest.mark.parametrize("case", PAIRS)
@pytest.mark.parametrize("variant", UNPROVABLE)
def test_what_cannot_be_checked_is_neither_failed_nor_verified(variant: str, case: str) -> None:
    """A maintenance page and a site behind a login end VerifiedInPart."""
    outcome, found = copied(case, variant)
    assert outcome == "VerifiedInPart", shown(found)


@pytest.mark.parametrize("case", ["refresh", "promote"])
@pytest.mark.parametrize("variant", BROKEN)
def test_no_broken_site_passes(variant: str, case: str) -> None:
    """Each broken variant of the destination ends VerifyFailed."""
    outcome, found = copied(case, variant)
    assert outcome == "VerifyFailed", shown(found)


@pytest.mark.parametrize("case", ["refresh", "promote"])
def test_urls_that_were_not_replaced_fail(case: str) -> None:
    """The home is still the other side's; the remedy has a scheme and leaves guid alone."""
    outcome, found = copied(case, leak=True)
    actions = {f.check: f.action for f in found if f.passed is False}
    assert outcome == "VerifyFailed"
    assert "wp option update home 'http://" in actions["home is the site's own domain"]
    assert "--skip-columns=guid" in actions["no URLs of the source in pages"]


def test_a_login_opens_a_protected_site() -> None:
    """With its login the site is read and verified; another install's login is not sent to it."""
    assert copied("refresh", "protected", logins={"schulstage": LOGIN})[0] == "Verified"
    assert copied("refresh", "protected", logins={"schulprod": LOGIN})[0] == "VerifiedInPart"


def test_a_redirect_among_own_domains_is_healthy() -> None:
    """From www to the bare name: both are the site's own, the bare one by its listing."""
    host = Estate(scale=1 / 6000)
    host.vary("www-redirect")
    with reading(host) as (client, prober):
        prod = next(install for install in client.installs() if install.name == "schulprod")
        document = host.store.get("installs", prod.id) or {}
        from deployments.sandbox.store import add_domain

        add_domain(host.store, document, "schulfest.example", primary=False)
        found = look_at_one(prober, take(client, prober, prod.id))
    assert failed_checks(found) == []


def test_the_matrix_is_in_the_docs() -> None:
    """docs/faults.md shows each variant with the outcome that these tests demand."""
    text = DOCS.read_text(encoding="utf-8")
    assert [name for name, outcome in EXPECTED.items() if f"| `{name}` | {outcome} |" not in text] == []
