"""Installs: resolve names, compare two, draft the plan, create one and wait for it."""

from prefect import get_run_logger, task

from tasks.capi.client import Client
from tasks.configuration.code_version import code_version
from tasks.configuration.settings import load_settings
from tasks.estate.approval_sheet import digest
from tasks.estate.copy_rules import compare, pins, require_allowed, require_same
from tasks.estate.errors import InstallOverdue, TooRisky, UnderstudyError, WrongDestination
from tasks.estate.plans import Backup, Comparison, CopyOptions, Plan
from tasks.estate.polling import utc_now
from tasks.estate.recipes import CopyStep, PlannedSteps
from tasks.estate.risks import Grade
from tasks.estate.sites import Direction, Environment, Install, Pair
from tasks.ledger.facts import Planned, StepTaken
from tasks.ledger.ledger import Ledger
from tasks.runtime.current_run import this_run
from tasks.runtime.permission import find_overrides
from tasks.runtime.progress import Progress
from tasks.runtime.resources import open_clients, open_ledger, read_rules, scaled
from tasks.runtime.retries import ABOVE_THE_GATE, BRIEF, poll
from tasks.runtime.step_results import kept_in_ledger
from tasks.safeguards.grading import grade_copy
from tasks.signoff.answers import where
from tasks.surveys.survey import id_of, survey_install, to_install

PROVISION_TYPICAL = 240.0  # seconds; 3 to 5 minutes by the host's documentation


@task(name="Resolve an install", task_run_name="Resolve {name}", **BRIEF)
@kept_in_ledger
def resolve_install(name: str) -> Install:
    """Return the install of exactly this name. Raises `NotFound`. Retried 4 times on `Transient`, backing off with jitter."""
    with open_clients(name) as (client, _):
        return _by_name(client, name)


@task(name="Verify the source and the destination", task_run_name="Verify {source} and {destination}", **BRIEF)
@kept_in_ledger
def resolve_pair(source: str, destination: str, direction: Direction, *, other_site: bool = False) -> Pair:
    """Return both installs by name, checked against the rules of the direction.

    Raises `NotFound` or `WrongDestination` with the reason. Retried 4 times on `Transient`, backing off with jitter.
    """
    with open_clients(source, destination) as (client, _):
        pair = Pair(source=_by_name(client, source), destination=_by_name(client, destination), direction=direction)
    require_allowed(pair, other_site=other_site)
    return pair


def _by_name(client: Client, name: str) -> Install:
    return to_install(client.install(id_of(client, name)), client.sites())


@task(
    name="Compare the environments",
    task_run_name="Compare {pair.source.name} with {pair.destination.name}",
    timeout_seconds=300,
    **ABOVE_THE_GATE,
)
@kept_in_ledger
def compare_installs(pair: Pair, options: CopyOptions) -> Comparison:
    """Return everything that the host and the public sites show of both sides, the differences, and what would be lost.

    Retried 4 times on `Transient`, backing off with jitter.
    """
    with open_clients(pair.source.name, pair.destination.name) as (client, prober):
        source = survey_install(client, prober, pair.source.id)
        destination = survey_install(client, prober, pair.destination.id)
        _measure_again(client, pair)
    comparison = compare(source, destination, options)
    if comparison.destination_is_newer:
        get_run_logger().warning("%s is newer than %s.", pair.destination.name, pair.source.name)
    return comparison


def _measure_again(client: Client, pair: Pair) -> None:
    """Ask the host to measure both sides now: it takes minutes, and the baseline before the copy needs current figures."""
    for install in (pair.source, pair.destination):
        try:
            client.refresh_usage(install.id)
        except UnderstudyError as error:
            get_run_logger().info("Storage of %s is not measured again: %s", install.name, error.message)


@task(name="Draft the plan", task_run_name="Draft the {verb} plan", timeout_seconds=60, **ABOVE_THE_GATE)
@kept_in_ledger
def draft_plan(
    verb: str,
    pair: Pair,
    comparison: Comparison,
    backup: Backup,
    options: CopyOptions,
    *,
    requested_by: str = "",
    restore: str = "",
    other_site: bool = False,
    break_glass: str = "",
    after_copy: PlannedSteps | None = None,
) -> Plan:
    """Return the plan of this run, with its risk and what it overrides, and record it in the ledger.

    Raises `PlanIsStale`, `Frozen` (without a break-glass reason), `TooRisky`. Retried on `Transient` only.
    """
    require_same(pair, comparison)
    ledger = open_ledger()
    destination = pair.destination
    overrides = find_overrides(verb, destination.name, destination.environment.value, break_glass=break_glass)
    risk = grade_copy(
        read_rules(),
        verb=verb,
        direction=pair.direction,
        comparison=comparison,
        options=options,
        other_site=other_site,
        frozen=next((mark.partition(":")[2] for mark in overrides if mark.startswith("freeze:")), ""),
        break_glass=break_glass,
        held=any(mark.startswith("hold:") for mark in overrides),
        unprotected=after_copy.recipe.unprotected if after_copy else (),
        masked=_masked(ledger, pair.source),
    )
    if risk.grade is Grade.BLACK:
        raise TooRisky(f"Nobody may approve this {verb} of {destination.name}: {'; '.join(risk.reasons)}")
    plan = Plan.model_validate(
        {
            "verb": verb,
            "direction": pair.direction,
            "pair": pair,
            "options": options,
            "backup": backup,
            "restore_backup_id": restore or None,
            "generation": ledger.generation(pair.source.id, pair.destination.id),
            "pinned": pins(comparison.source, comparison.destination, pair.direction, options),
            "code_version": code_version(),
            "risk": risk,
            "overrides": overrides,
            "break_glass": break_glass,
            "shown": digest(comparison),
            "requested_by": requested_by,
            "run_id": this_run(),
            "after_copy": after_copy,
        }
    )
    ledger.record(Planned(draft=plan), **where(plan))
    return plan


def _masked(ledger: Ledger, source: Install) -> bool:
    """Return whether an earlier run masked people in the database of this install."""
    taken = ledger.facts(destination_id=source.id, kind=StepTaken.KIND)
    return any(fact.as_(StepTaken).done.step is CopyStep.MASK_PEOPLE for fact in taken)


@task(name="Create the install", task_run_name="Create {name}", **BRIEF)
@kept_in_ledger
def create_install(source: Install, name: str, environment: Environment) -> Install:
    """Create a staging or development install next to `source`, or return the one of this name that was requested before.

    Looks the name up before every attempt, so that a lost answer does not create a second install. Raises `WrongDestination` if
    the name belongs to another install. Retried 4 times on `Transient`, backing off with jitter.
    """
    if environment.may_be_production:
        raise WrongDestination(f"A new install for a copy must be staging or development, not {environment.value}.")
    with open_clients(source.name) as (client, _):
        found = next((to_install(install) for install in client.installs() if install.name == name), None)
        if found is None:
            return to_install(client.create_install(name, source.account_id, source.site_id, environment.value))
    if (found.site_id, found.environment) != (source.site_id, environment):
        raise WrongDestination(
            f"An install named {name!r} exists already, as {found.environment.value} of site {found.site_id}; "
            f"expected none, or {environment.value} of site {source.site_id}."
        )
    return found


@task(name="Wait for the install", task_run_name="Wait for {install.name}", **ABOVE_THE_GATE)
@kept_in_ledger
def await_install(install: Install) -> Install:
    """Return the install once the host reports it as active.

    The deadline counts from the first look. Raises `InstallOverdue`. The wait continues after `Transient`.
    """
    started, within = utc_now(), scaled(load_settings().install_within)
    progress = Progress("provision", typical=PROVISION_TYPICAL)
    last = "not seen"

    with open_clients(install.name) as (client, _):

        def look() -> Install | None:
            nonlocal last
            seen = to_install(client.install(install.id))
            last = seen.status
            progress.show((utc_now() - started).total_seconds(), f"{install.name}: {last}")
            return seen if seen.status == "active" else None

        active = poll(look, started=started, within=within)
    if active is None:
        raise InstallOverdue(f"{install.name} is {last!r} after {within}; expected 'active'.", install=install.name)
    progress.done(f"{install.name} is active")
    return active
