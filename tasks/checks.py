"""Checks: decide whether a destination is green, and say what is wrong when it is not."""

from prefect import task

from tasks.capi.client import Client
from tasks.estate.errors import NotFound
from tasks.estate.plans import CopyOptions, Diagnosis, Finding, Plan, Severity
from tasks.estate.rules import compare
from tasks.estate.settings import load_settings
from tasks.estate.sites import Survey
from tasks.estate.waiting import until, utc_now
from tasks.policy import BELOW_THE_GATE, connected, paced
from tasks.probes import findings
from tasks.probes.certificates import judge_certificates
from tasks.probes.websites import Page, Prober
from tasks.surveys.taking import take

CDN_SETTLES = 300.0  # seconds; a CDN purge shows after one to five minutes


@task(
    name="Verify the destination",
    task_run_name="Verify {plan.pair.destination.name}",
    timeout_seconds=900,
    **BELOW_THE_GATE,
)
def verify_site(plan: Plan, expected: Survey) -> tuple[Finding, ...]:
    """Look at the destination as a visitor would and compare it with what should have arrived (`expected`).

    Findings are a result, not an exception: raises only `Transient`, which is retried 4 times, backing off with jitter.
    """
    with connected() as (client, prober):
        survey = take(client, prober, plan.pair.destination.id)
        found = _general(prober, survey)
        whole = plan.options.database and not plan.options.tables
        found += findings.content_matches(survey.content, expected.content, database=whole, files=plan.options.files)
        foreign = plan.pair.source.primary_domain if plan.options.database else None
        found += _urls(prober, survey, foreign)
    return tuple(found)


@task(name="Diagnose the install", task_run_name="Diagnose {name}", timeout_seconds=900, **BELOW_THE_GATE)
def diagnose_install(name: str, compare_with: str = "") -> Diagnosis:
    """Every check on one install, and a comparison with a second one where named; read-only.

    Raises `NotFound`. Retried 4 times on `Transient`, backing off with jitter.
    """
    with connected() as (client, prober):
        survey = take(client, prober, _id_of(client, name))
        found = _general(prober, survey)
        comparison = None
        if compare_with:
            other = take(client, prober, _id_of(client, compare_with))
            comparison = compare(other, survey, CopyOptions())
            matching = findings.content_matches(survey.content, other.content, database=True, files=True)
            # Two installs may differ for good reasons: said, but no verdict on the install's health.
            found += [
                f if f.passed is not False else f.model_copy(update={"severity": Severity.WARN}) for f in matching
            ]
            found += _urls(prober, survey, other.install.primary_domain)
        else:
            found += [findings.home_is_own(survey.content, survey.install.primary_domain)]
    return Diagnosis(findings=tuple(found), comparison=comparison)


def _id_of(client: Client, name: str) -> str:
    listed = [install.id for install in client.installs() if install.name == name]
    if not listed:
        raise NotFound(f"No install is named {name!r} among those this API user may see.", install=name)
    return listed[0]


def _general(prober: Prober, survey: Survey) -> list[Finding]:
    """The checks that need no second install."""
    names = [domain.name for domain in survey.domains or () if "*" not in domain.name]
    resolved = {name: prober.resolves(name) for name in names}
    pages = {name: prober.page(name, fresh=True) for name in names if resolved[name]}
    found = [findings.active(survey.install), *findings.domains(survey, resolved, pages)]
    found += judge_certificates(survey, utc_now())
    primary = survey.install.primary_domain
    if primary is not None:
        fresh = prober.page(primary, fresh=True)
        found += [findings.indexing(survey.install, fresh), _cache(prober, primary)]
    return found


def _cache(prober: Prober, domain: str) -> Finding:
    """Compare the cached with a fresh front page, giving a CDN the time it needs after a purge."""
    started, last = utc_now(), None

    def look() -> Finding | None:
        nonlocal last
        cached: Page = prober.page(domain)
        last = findings.cache_is_fresh(cached, prober.page(domain, fresh=True))
        return last if last.passed is not False else None

    settled = until(
        look, deadline=started + paced(CDN_SETTLES), started=started, every=lambda s: 10.0 * load_settings().pace
    )
    return settled or last or findings.cache_is_fresh(Page("", None, {}, b""), Page("", None, {}, b""))


def _urls(prober: Prober, survey: Survey, foreign: str | None) -> list[Finding]:
    """URL leakage and the home address, where a second domain is known."""
    own = survey.install.primary_domain
    found = [findings.home_is_own(survey.content, own)]
    if own is not None and foreign is not None:
        found.append(findings.leaks(prober.pages(own), own, foreign))
    return found
