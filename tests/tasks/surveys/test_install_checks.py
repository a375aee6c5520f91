"""The matrix of real sites: no healthy one fails, no broken one passes, and what is not known is not verified."""

from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.host import simulated_work
from deployments.sandbox.host.host import Host
from deployments.sandbox.host.variants import BROKEN, CLOSED, HEALTHY, HIDDEN, LOGIN, UNPROVABLE, VARIANTS
from tasks.estate.outcomes import DECISIVE, decisive_checks, failed_checks, outcome_of, unknown_checks
from tasks.estate.plans import CopyOptions, Finding, Severity, Verdict
from tasks.estate.polling import utc_now
from tasks.estate.sites import Survey
from tasks.surveys.install_checks import check_copy, check_install
from tasks.surveys.survey import survey_install
from tests.sites import made, reading

DOCS = Path(__file__).parents[3] / "docs" / "faults.md"
PAIRS = {
    "refresh": ("schulprod", "schulstage"),
    "promote": ("schulstage", "schulprod"),
    "files": ("schulstage", "schulprod"),
}
EXPECTED = {  # after a refresh, after a promotion
    **dict.fromkeys(HEALTHY, ("Verified", "Verified")), **dict.fromkeys(CLOSED, ("Verified", "Verified")),
    **dict.fromkeys(UNPROVABLE, ("VerifiedInPart", "VerifiedInPart")), **dict.fromkeys(HIDDEN, ("Verified", "VerifyFailed")),
    **dict.fromkeys(BROKEN, ("VerifyFailed", "VerifyFailed")),
}  # fmt: skip
# Faults in URLs of the database, which are not checked after a copy of files.
OF_THE_DATABASE = ("leak-encoded", "leak-json", "leak-entities", "page-left-out", "post-left-out")


def land(host: Host, source: Survey, destination: Survey, options: CopyOptions, *, leak: bool = False) -> None:
    """Do what a copy does, at once."""
    left, right = (host.store.get("installs", each.install.id) or {} for each in (source, destination))
    if options.database:
        simulated_work._copy_database(left, right, None, leak=leak)
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
    """Return outcome and findings of a copy after which the destination (or each site) has these variants."""
    host, (left, right) = Host(scale=1 / 6000), PAIRS[case]
    with reading(host, **options) as (client, prober):
        ids = {install.name: install.id for install in client.installs()}
        if everywhere:
            for name in variants:
                host.vary(name)
        source, destination = survey_install(client, prober, ids[left]), survey_install(client, prober, ids[right])
        chosen = CopyOptions(files=True, database=case != "files")
        plan = made(case, source, destination, chosen)
        land(host, source, destination, chosen, leak=leak)
        client.purge_cache(ids[right], "all")
        if not everywhere:
            for name in variants:
                host.vary(name, install=right)
        found = check_copy(client, prober, plan, source, purged_at=utc_now())
    return outcome_of(failed_checks(found), unknown_checks(found, decisive_checks(plan, arrival))), found


def shown(found: tuple[Finding, ...]) -> list[tuple[str, bool | None, str]]:
    """Return the findings that did not pass."""
    return [(f.check, f.passed, f.detail) for f in found if f.passed is not True]


@pytest.mark.parametrize("case", PAIRS)
@pytest.mark.parametrize("variants", [(), *((each,) for each in (*HEALTHY, *CLOSED))], ids=str)
def test_no_healthy_site_fails(variants: tuple[str, ...], case: str) -> None:
    """A plain copy, and each healthy variant on all sites, ends Verified."""
    outcome, found = copied(case, *variants, everywhere=True)
    assert outcome == "Verified", shown(found)


BROKEN_COPIES = [
    *((each, case, "VerifiedInPart") for each in UNPROVABLE for case in PAIRS),
    *((each, case, "VerifyFailed") for each in BROKEN for case in ("refresh", "promote")),
    *((each, "files", "VerifyFailed") for each in BROKEN if each not in OF_THE_DATABASE),
]


@pytest.mark.parametrize(("variant", "case", "expected"), BROKEN_COPIES)
def test_no_broken_site_passes(variant: str, case: str, expected: str) -> None:
    """A broken variant fails, after a copy of files unless its fault is in the database; one that cannot be read is VerifiedInPart."""
    outcome, found = copied(case, variant)
    assert outcome == expected, shown(found)


@pytest.mark.parametrize("case", ["refresh", "promote"])
def test_urls_that_were_not_replaced_fail(case: str) -> None:
    """A home of the other side fails; the remedy has a scheme and skips guid."""
    outcome, found = copied(case, leak=True)
    actions = {f.check: f.action for f in found if f.passed is False}
    assert outcome == "VerifyFailed"
    assert "wp option update home 'http://" in actions["home is the site's own domain"]
    assert "--skip-columns=guid" in actions["no URLs of the source in pages"]


def test_a_login_opens_a_protected_site() -> None:
    """With its login the site is read and verified; another install's login is not sent to it."""
    assert copied("refresh", "protected", logins={"schulstage": LOGIN})[0] == "Verified"
    assert copied("refresh", "protected", logins={"schulprod": LOGIN})[0] == "VerifiedInPart"


@pytest.mark.parametrize("case", ["promote", "files"])
@pytest.mark.parametrize("variant", HIDDEN)
def test_a_production_that_is_hidden_from_search_engines_fails(variant: str, case: str) -> None:
    """A noindex on production fails, wherever it is; on staging it is right."""
    outcome, found = copied(case, variant)
    assert outcome == "VerifyFailed", shown(found)
    assert [f.check for f in found if f.passed is False] == ["production may be indexed"]
    assert copied("refresh", variant)[0] == "Verified"


@pytest.mark.parametrize("name", ["schulprod", "schulstage"])
@pytest.mark.parametrize("variant", [*HEALTHY, *CLOSED])
def test_a_healthy_site_is_healthy_by_itself(variant: str, name: str) -> None:
    """Without a second site, no check of a healthy variant fails, and each decisive check is known."""
    host = Host(scale=1 / 6000)
    host.vary(variant)
    with reading(host) as (client, prober):
        found = check_install(
            prober, survey_install(client, prober, next(each.id for each in client.installs() if each.name == name))
        )
    assert (failed_checks(found), unknown_checks(found, DECISIVE["diagnose"])) == ([], []), shown(found)
    assert not [f for f in found if f.passed is False and f.severity is Severity.WARN], shown(found)


def test_every_variant_is_in_the_matrix() -> None:
    """Each variant has an expected outcome."""
    assert EXPECTED.keys() == VARIANTS.keys()


def test_the_matrix_is_in_the_docs() -> None:
    """docs/faults.md has each variant with the outcome that these tests expect."""
    text = DOCS.read_text(encoding="utf-8")
    rows = [f"| `{name}` | {down} | {up} |" for name, (down, up) in EXPECTED.items()]
    assert [row for row in rows if row not in text] == []
