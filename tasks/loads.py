"""Loads: check a dump, plan its load, and do it once, in one transaction that is verified before it commits."""

from contextlib import suppress
from functools import partial
from typing import Any

import psycopg
from prefect import task

from tasks.configuration.code_version import code_version
from tasks.configuration.settings import Settings, load_settings
from tasks.dumps import dump_reader
from tasks.dumps.audit_table import AuditTable
from tasks.dumps.catalog import identify, read_catalog
from tasks.dumps.dump_files import newest_dump
from tasks.dumps.dump_reader import SealedProof
from tasks.dumps.leak_search_proof import open_proof, unproven_reason
from tasks.dumps.load import Load, require_no_other_load
from tasks.dumps.load_plan import (
    draft_load,
    foreign_keys_to_lift,
    require_host,
    require_import_enabled,
    structure_fingerprint,
)
from tasks.dumps.mask_on_load import segment_masker
from tasks.dumps.staging_marker import prepare_marker, read_marker
from tasks.dumps.verify_load import masked_now
from tasks.estate.dumps import Choices, DumpFacts, Header, Loaded, LoadPlan
from tasks.estate.errors import (
    DestinationBusy,
    LeakFound,
    NotLoaded,
    OutcomeUnknown,
    PlanIsStale,
    UnderstudyError,
    Unreachable,
    WrongHost,
)
from tasks.estate.plans import Approval
from tasks.estate.polling import utc_now
from tasks.estate.schema import Catalog
from tasks.ledger.facts import LoadPlanned, Sending, SendRefused, Sent, Settled
from tasks.masking.policy import Policy, load_policy
from tasks.masking.policy_patterns import expand
from tasks.runtime.current_run import run_logger, show_progress, this_run
from tasks.runtime.load_target import AUDITED, connect_target, file_of, target_settings
from tasks.runtime.permission import find_overrides, require_permission
from tasks.runtime.progress import Progress
from tasks.runtime.resources import masking_session, open_ledger, proof_keyrings, read_rules
from tasks.runtime.retries import ABOVE_THE_GATE, ONCE
from tasks.runtime.step_results import kept_in_ledger
from tasks.safeguards.grading import grade_load
from tasks.signoff.answers import where
from tasks.signoff.leaked_dumps import leak_of, record_leak


def require_import_allowed() -> None:
    """Raise `GateClosed` unless this worker's environment allows imports: the first check of a load, before anything is written."""
    require_import_enabled()


def _identities(settings: Settings) -> list[str]:
    return [identity] if (identity := settings.dump_identity.get_secret_value()) else []


def require_target(hostname: str) -> None:
    """Check before a long export that the target answers. Raises `WrongHost` unless it is the one that was typed."""
    settings = target_settings()
    with connect_target(settings, "understudy target") as connection:
        try:
            require_host(hostname, settings.target_hostname or identify(connection).host)
        except WrongHost as error:
            error.facts[AUDITED] = read_marker(connection) is None  # not proven to be staging: nothing is written to it
            raise


@task(name="Check the dump", **ABOVE_THE_GATE)
@kept_in_ledger
def check_dump(dump: str, policy: str) -> DumpFacts:
    """Read a dump from end to end, before the target is touched. `latest` is the newest one of the policy's application.

    Raises `DumpRefused` for one that is not whole, and `NotFound`.
    """
    settings = load_settings()
    url = newest_dump(settings.dump_folder, load_policy(settings.policies, policy).app) if dump == "latest" else dump
    return dump_reader.check(url, identities=_identities(settings), evaluate_proof=_unproven_reason)


def _unproven_reason(header: Header, sealed: SealedProof | None) -> str:
    return unproven_reason(header.app, proof_keyrings(header.run_id), header, sealed)


@task(name="Plan the load", **ABOVE_THE_GATE)
@kept_in_ledger
def plan_load(
    facts: DumpFacts, policy: str, hostname: str, choices: Choices, *, readers: str = "stay", requested_by: str = ""
) -> LoadPlan:
    """Prove that the target is staging, and plan from both what will be loaded, skipped, emptied and kept.

    Raises `WrongHost`, `WrongTarget`, `DumpTooNew`, `DumpRefused`.
    """
    require_import_enabled()
    settings = target_settings()
    masking_policy = load_policy(settings.policies, policy)
    ledger = open_ledger()
    unproven = facts.unproven or leak_of(ledger, facts.trailer.digest)
    with connect_target(settings, "understudy plan") as connection:
        plan = draft_load(
            connection,
            facts.model_copy(update={"unproven": unproven}),
            masking_policy,
            typed=hostname,
            real=settings.target_hostname,
            readers=readers,
            opted_out=choices.opted_out,
            generation=0,
            requested_by=requested_by,
            run_id=this_run(),
            events=partial(dump_reader.read, facts.url, identities=_identities(settings), proven=facts.trailer.digest),
        )
    overrides = find_overrides(plan.verb, plan.destination_name, plan.destination_environment)
    held = any(mark.startswith("hold:") for mark in overrides)
    lost = tuple(each.name for each in plan.missing if not each.allowed)
    risk = grade_load(read_rules(), first_load=plan.first_load, raw=plan.arrives_raw, held=held, lost=lost)
    plan = plan.model_copy(
        update={
            "generation": ledger.generation(plan.destination_id),
            "risk": risk,
            "overrides": overrides,
            "code_version": code_version(),
        }
    )
    planned = LoadPlanned(
        dump=file_of(plan.dump), sha256=plan.sha256, code=plan.code, hostname=plan.hostname, verb=plan.verb,
        requested_by=plan.requested_by, risk=risk, overrides=overrides, emptied=plan.emptied,
    )  # fmt: skip
    ledger.record(planned, **where(plan))
    return plan


@task(name="Load and verify in one transaction", **ONCE)
def load_once(plan: LoadPlan, approved: Approval, policy: str) -> Loaded:
    """Use the approval up, journal the intent, load, verify, commit: at most once. A retry finds out how the load ended.

    Raises `NotLoaded` or `LeakFound` (the target is as it was), `PlanIsStale`, or `OutcomeUnknown` if the marker cannot be
    read.
    """
    require_import_enabled()
    settings, ledger = target_settings(), open_ledger()
    masking_policy = load_policy(settings.policies, policy)
    if any(fact.kind == Sending.KIND for fact in ledger.facts(run_id=plan.run_id)):
        return _find_out(settings, plan, masking_policy)
    with (
        connect_target(settings, "understudy load") as connection,
        connect_target(settings, "understudy audit") as audit,
    ):
        require_no_other_load(connection)
        catalog = read_catalog(connection)
        masking_policy = expand(masking_policy, catalog).policy
        _require_fresh(connection, plan, catalog, masking_policy)
        prepare_marker(audit)
        table = AuditTable(audit, masking_policy.audit)
        require_permission(plan, approved)
        ledger.consume(
            approved,
            destination_id=plan.destination_id,
            intent=Sending(dump=file_of(plan.dump)),
            now=utc_now(),
        )
        try:
            table.close_interrupted()
            table.begin(file=file_of(plan.dump), run_id=plan.run_id, requested_by=plan.requested_by)
            loaded = _load(connection, settings, plan, catalog, masking_policy)
        except OutcomeUnknown:
            with suppress(psycopg.Error):
                table.end("The answer to the commit was lost.")
            return _find_out(settings, plan, masking_policy)
        except BaseException as error:  # whatever it was: the row contains the reason
            _close_failed(table, plan, error)
            raise
        ledger.record(Sent(), **where(plan), once=f"answered:{plan.run_id}")
        ledger.record(Settled(how="committed"), **where(plan))
        _close_done(settings, table, plan, masking_policy)
    return loaded


def _close_done(settings: Settings, table: AuditTable, plan: LoadPlan, policy: Policy) -> None:
    """Close the row in the audit table after the commit; after a lost connection, once more with a new one."""
    try:
        table.end(None)
    except psycopg.Error:
        try:
            with connect_target(settings, "understudy audit") as again:
                AuditTable(again, policy.audit).close_found(plan.run_id)
        except (UnderstudyError, psycopg.Error):
            run_logger().warning("The load is committed; its row in the audit table could not be closed.")


def _close_failed(table: AuditTable, plan: LoadPlan, error: BaseException) -> None:
    stopped = f"{type(error).__name__} (a bug, or the process was stopped)"
    reason = error.message if isinstance(error, UnderstudyError) else stopped
    if isinstance(error, LeakFound):
        error.next_step = record_leak(open_ledger(), plan, file=file_of(plan.dump))
    open_ledger().record(SendRefused(why="rolled back"), **where(plan))
    with suppress(psycopg.Error):
        table.end(reason)
    if isinstance(error, UnderstudyError):
        error.facts[AUDITED] = True


def _require_fresh(connection: psycopg.Connection[Any], plan: LoadPlan, catalog: Catalog, policy: Policy) -> None:
    """Raise `PlanIsStale` unless the facts are as approved: the same database, the same structure, no load in between."""
    marker = read_marker(connection)
    found = {
        "database": (catalog.identity.system_identifier, catalog.identity.database_oid),
        "structure": structure_fingerprint(catalog, policy),
        "number of loads": open_ledger().generation(plan.destination_id),
        "marker": marker is None,
        "version of the code": code_version(),
        "proof of the dump": bool(plan.unproven or leak_of(open_ledger(), plan.digest)),
    }
    expected = {
        "database": (plan.target.system_identifier, plan.target.database_oid),
        "structure": plan.catalog,
        "number of loads": plan.generation,
        "marker": plan.first_load,
        "version of the code": plan.code_version,
        "proof of the dump": bool(plan.unproven),
    }
    changed = [name for name in expected if found[name] != expected[name]]
    if changed:
        raise PlanIsStale(f"The target is not what plan {plan.code} was approved for; changed: {', '.join(changed)}.")


def _load(
    connection: psycopg.Connection[Any], settings: Settings, plan: LoadPlan, catalog: Catalog, policy: Policy
) -> Loaded:
    progress = Progress(f"load-{plan.run_id}", typical=1)
    expected = {str(order.name): order.rows for order in plan.tables}
    rows = dict.fromkeys(expected, 0)
    whole = sum(order.rows for order in plan.tables) or 1

    def on_table_loaded(name: str, count: int) -> None:
        rows[name] = count
        show_progress(name, rows=count, done=count, whole=expected[name])
        progress.at(100 * sum(rows.values()) / whole, f"{sum(rows.values())} of {whole} rows; {name}: {count}")

    masks = list(masked_now(plan, catalog, policy))
    lifted = foreign_keys_to_lift(connection, catalog, plan)
    return Load(
        connection,
        plan,
        catalog,
        policy,
        lifted,
        unsealed=partial(open_proof, file_of(plan.dump), plan.header, keyrings=proof_keyrings(plan.header.run_id)),
        remask=segment_masker(plan, masks, masking_session(policy, plan.header.run_id)) if masks else None,
        on_table_loaded=on_table_loaded,
    ).run(dump_reader.read(plan.dump, identities=_identities(settings), proven=plan.digest))


def _find_out(settings: Settings, plan: LoadPlan, policy: Policy) -> Loaded:
    """Return a load whose answer was lost. Raises `NotLoaded`, or `OutcomeUnknown` if its end cannot be found out now."""
    try:
        return _by_its_marker(settings, plan, policy)
    except (Unreachable, DestinationBusy) as error:
        raise OutcomeUnknown(
            f"Whether run {plan.run_id} was committed is not known now: {error.message}",
            next_step="Retry this run: it looks for its marker on staging and never loads again.",
        ) from None


def _by_its_marker(settings: Settings, plan: LoadPlan, policy: Policy) -> Loaded:
    """Return the load if its marker exists, which a commit writes, and a later load replaces."""
    ledger = open_ledger()
    with connect_target(settings, "understudy reconcile") as connection:
        require_no_other_load(connection)  # an unfinished transaction would still hold the lock
        marker = read_marker(connection)
        if marker is None or marker.run_id != plan.run_id:
            if ledger.generation(plan.destination_id) > plan.generation + 1:
                raise OutcomeUnknown(
                    f"A later load has replaced the marker of run {plan.run_id}, if there was one.",
                    next_step="Nothing needs to be done: staging contains the later load.",
                )
            ledger.record(SendRefused(why="no marker: rolled back"), **where(plan))
            with suppress(psycopg.Error, UnderstudyError):
                AuditTable(connection, policy.audit).close_interrupted()
            raise NotLoaded(
                f"An earlier attempt of run {plan.run_id} ended before its commit.",
                next_step="The target is as it was. Start a new run: an approval is used once.",
                audited=True,
            )
        with suppress(psycopg.Error, UnderstudyError):
            AuditTable(connection, policy.audit).close_found(plan.run_id)
    ledger.record(Settled(how="marker found: committed"), **where(plan))
    return Loaded(
        rows=tuple((str(order.name), order.rows) for order in plan.tables),
        checks=(("marker", "found: the load was committed and verified before its answer was lost"),),
        committed_at=marker.loaded_at,
        took_seconds=0,
        found_again=True,
    )
