"""Checks: find out whether a destination is healthy, and what is wrong if it is not."""

from collections.abc import Callable
from datetime import datetime

from prefect import task

from tasks.configuration.estate_settings import read_estate
from tasks.configuration.settings import load_settings
from tasks.estate.copy_rules import compare
from tasks.estate.errors import Misconfigured, Refused, Transient
from tasks.estate.plans import CopyOptions, Diagnosis, Finding, Plan, Receipt
from tasks.estate.polling import until, utc_now
from tasks.estate.sites import Survey
from tasks.runtime.resources import open_clients, open_wordpress, scaled
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.surveys.inside_checks import check_inside, named_install, not_read
from tasks.surveys.install_checks import check_copy, check_install
from tasks.surveys.survey import id_of, survey_install
from tasks.wpcli.access import has_access

CDN_SETTLES = 300.0  # seconds; a CDN purge shows after one to five minutes


@task(
    name="Verify the destination",
    task_run_name="Verify {plan.pair.destination.name}",
    timeout_seconds=900,
    **BELOW_THE_GATE,
)
def verify_site(
    plan: Plan, receipt: Receipt, purged_at: datetime | None = None, *, expected: Survey | None = None
) -> tuple[Finding, ...]:
    """Look at the destination as a visitor would and compare it with what should have arrived and with how it was before.

    `expected` is what the destination should have become, as in `await_arrival`. `purged_at`: when the caches were purged.
    Findings are a result, not an exception: raises only `Transient`, which is retried 4 times, backing off with jitter.
    """
    with open_clients(plan.pair.source.name, plan.pair.destination.name) as (client, prober):
        pace = load_settings().pace
        expected, before = expected or receipt.baseline.source, receipt.baseline.destination
        return check_copy(client, prober, plan, expected, before, purged_at=purged_at, pace=pace, settle=_settled)


@task(name="Diagnose the install", task_run_name="Diagnose {name}", timeout_seconds=900, **BELOW_THE_GATE)
def diagnose_install(name: str, compare_with: str = "") -> Diagnosis:
    """Make every check on one install, and compare it with a second one if named; read-only.

    Raises `NotFound`. Retried 4 times on `Transient`, backing off with jitter.
    """
    with open_clients(name, *([compare_with] if compare_with else [])) as (client, prober):
        survey = survey_install(client, prober, id_of(client, name))
        if not compare_with:
            return Diagnosis(findings=check_install(prober, survey), comparison=None)
        other = survey_install(client, prober, id_of(client, compare_with))
        return Diagnosis(
            findings=check_install(prober, survey, other), comparison=compare(other, survey, CopyOptions())
        )


def look_inside(name: str, compare_with: str = "") -> tuple[Finding, ...]:
    """Return what WP-CLI reports of an install; nothing if the settings do not allow SSH to it.

    An install that cannot be reached by SSH is one finding that is not known: it takes nothing from what a visitor sees.
    """
    if not has_access(name, load_settings(), read_estate()):
        return ()
    try:
        return inspect_inside(name, compare_with)
    except (Refused, Transient, Misconfigured) as error:
        return (not_read(error),)


@task(name="Look at the install from the inside", task_run_name="Inside {name}", timeout_seconds=2700, **BELOW_THE_GATE)
def inspect_inside(name: str, compare_with: str = "") -> tuple[Finding, ...]:
    """Run WP-CLI on one install, and search its database for URLs of a second one if named; read-only.

    Raises `GatewayRefused` and `Misconfigured`. Retried 4 times on `Transient`, backing off with jitter. Each command has its time
    limit, and together they stay below that of the step.
    """
    with open_clients(name, *([compare_with] if compare_with else [])) as (client, _):
        own, other = named_install(client, name), named_install(client, compare_with) if compare_with else None
    with open_wordpress(name) as wordpress:
        return check_inside(wordpress, own, other)


def _settled(look: Callable[[], Finding]) -> Finding:
    """Look at the cache until the check does not fail, for as long as a CDN needs after a purge."""
    started = utc_now()
    last: list[Finding] = []

    def try_once() -> Finding | None:
        last[:] = [look()]
        return None if last[0].passed is False else last[0]

    settled = until(
        try_once, deadline=started + scaled(CDN_SETTLES), started=started, every=lambda s: 10.0 * load_settings().pace
    )
    return settled or (last[0] if last else look())
