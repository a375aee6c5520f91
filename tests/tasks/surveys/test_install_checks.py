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
from tasks.rendering.report_text import finding_lines
from tasks.surveys.install_checks import check_copy, check_install
from tasks.surveys.survey import id_of, survey_install, with_appearance
from tests.sites import made, reading

DOCS = Path(__file__).parents[3] / "docs" / "faults.md"
PAIRS = {
    "refresh": ("schulprod", "schulstage"),
    "promote": ("schulstage", "schulprod"),
    "files": ("schulstage", "schulprod"),
}
# What an owner may want, so that it fails only if the destination was not so before the copy.
BY_CHOICE = ("redirect-elsewhere", "home-elsewhere", "strangers-forbidden")
EXPECTED = {  # after a refresh, after a promotion; the same of a destination that was so before the copy
    **dict.fromkeys(HEALTHY, ("Verified",) * 4), **dict.fromkeys(CLOSED, ("Verified",) * 4),
    **dict.fromkeys(UNPROVABLE, ("VerifiedInPart",) * 4),
    **dict.fromkeys(HIDDEN, ("Verified", "VerifyFailed", "Verified", "Verified")),
    **dict.fromkeys(BROKEN, ("VerifyFailed",) * 4),
    **dict.fromkeys(BY_CHOICE, ("VerifyFailed", "VerifyFailed", "VerifiedInPart", "VerifiedInPart")),
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
    before: bool = False,
    leak: bool = False,
    arrival: Verdict = Verdict.CONFIRMED,
    **options: Any,
) -> tuple[str, tuple[Finding, ...]]:
    """Return outcome and findings of a copy after which the destination (or each site) has these variants.

    `before`: it had them before the copy too.
    """
    host, (left, right) = Host(scale=1 / 6000), PAIRS[case]
    with reading(host, **options) as (client, prober):
        ids = {install.name: install.id for install in client.installs()}
        if everywhere:
            for name in variants:
                host.vary(name)
        if before:
            for name in variants:
                host.vary(name, install=right)
        source = survey_install(client, prober, ids[left])
        destination = with_appearance(prober, survey_install(client, prober, ids[right]))
        chosen = CopyOptions(files=True, database=case != "files")
        plan = made(case, source, destination, chosen)
        land(host, source, destination, chosen, leak=leak)
        client.purge_cache(ids[right], "all")
        if not everywhere and not before:
            for name in variants:
                host.vary(name, install=right)
        found = check_copy(client, prober, plan, source, destination, purged_at=utc_now())
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


@pytest.mark.parametrize("case", ["refresh", "promote"])
@pytest.mark.parametrize("variant", [*UNPROVABLE, *HIDDEN, *BROKEN])  # the others are on before too, see above
def test_a_copy_is_blamed_only_for_what_it_changed(variant: str, case: str) -> None:
    """What the destination was on purpose before the copy is not a failure after it; a broken site stays one."""
    outcome, found = copied(case, variant, before=True)
    assert outcome == EXPECTED[variant][2 if case == "refresh" else 3], shown(found)


@pytest.mark.parametrize("variant", HIDDEN)
@pytest.mark.parametrize("case", ["promote", "files"])
def test_a_production_that_stays_hidden_is_noted(variant: str, case: str) -> None:
    """A production that search engines were asked to leave out before is named in the report, and does not fail."""
    _, found = copied(case, variant, before=True)
    (line,) = [line for line in finding_lines(found) if "production may be indexed" in line]
    assert "noted · production may be indexed" in line
    assert "as before the copy" in line


def test_a_restore_is_compared_with_what_it_brings_back() -> None:
    """A production that was visible before the promotion and is hidden after the restore fails, whatever was in between."""
    host = Host(scale=1 / 6000)
    with reading(host) as (client, prober):
        wanted = with_appearance(prober, survey_install(client, prober, id_of(client, "schulprod")))
        host.vary("noindex-tag", install="schulprod")
        between = with_appearance(prober, survey_install(client, prober, id_of(client, "schulprod")))
        plan = made("promote", wanted, wanted, CopyOptions()).model_copy(update={"verb": "restore"})
        found = check_copy(client, prober, plan, wanted, between)
        assert failed_checks(found) == ["production may be indexed"], shown(found)
        assert failed_checks(check_copy(client, prober, plan, between, wanted)) == []


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
    rows = [f"| `{name}` | {' | '.join(outcomes)} |" for name, outcomes in EXPECTED.items()]
    assert [row for row in rows if row not in text] == []
