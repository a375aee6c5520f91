"""Loads: check a dump, plan its load, and do it once, in one transaction that is verified before it commits."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import psycopg
from prefect import task

from tasks.configuration.code_version import code_version
from tasks.configuration.estate_settings import target_settings
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
from tasks.dumps.staging_marker import Marker, prepare_marker, read_marker
from tasks.dumps.verify_load import masked_now
from tasks.estate.dumps import Choices, DumpFacts, Header, Loaded, LoadPlan
from tasks.estate.errors import (
    LeakFound,
    Misconfigured,
    NotLoaded,
    OutcomeUnknown,
    PlanIsStale,
    Refused,
    Transient,
    UnderstudyError,
    WrongHost,
    WrongTarget,
    loggable,
)
from tasks.estate.plans import Approval
from tasks.estate.polling import utc_now
from tasks.estate.schema import Catalog, DatabaseIdentity
from tasks.ledger.facts import LoadPlanned, Sending, SendRefused, Settled
from tasks.masking.policy import Policy, load_policy
from tasks.masking.policy_patterns import expand
from tasks.runtime.current_run import run_logger, show_progress, this_run
from tasks.runtime.load_target import AUDITED, connect_target, file_of
from tasks.runtime.permission import find_overrides, require_permission
from tasks.runtime.progress import Progress
from tasks.runtime.resources import masking_session, open_ledger, proof_keyrings, read_rules
from tasks.runtime.retries import ABOVE_THE_GATE, ONCE
from tasks.runtime.step_results import kept_in_ledger
from tasks.safeguards.grading import grade_load
from tasks.signoff.answers import where
from tasks.signoff.leaked_dumps import leak_of, record_leak
from tasks.signoff.sending import Call, send_once

ROLLED_BACK = (Refused, Transient, Misconfigured)  # `Load.run` has rolled back before it raises one of these


def require_import_allowed() -> None:
    """Raise `GateClosed` unless this worker's environment allows imports: the first check of a load, before anything is written."""
    require_import_enabled()


def _identities(settings: Settings) -> list[str]:
    return [identity] if (identity := settings.dump_identity.get_secret_value()) else []


def require_target(hostname: str, policy: str) -> None:
    """Check before a long export that the policy's target answers. Raises `WrongHost` unless it is the one that was typed."""
    settings = target_settings(policy)
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
    settings = target_settings(policy)
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
    ledger = open_ledger()
    with ExitStack() as connections:
        load = _LoadCall(plan, policy, connections)
        call = Call(plan, load.check, load.act, load.find_out, ROLLED_BACK, ended_unchanged=(NotLoaded,))
        loaded = send_once(ledger, approved, call, permit=lambda: require_permission(plan, approved), clock=utc_now)
        if not loaded.found_again:
            load.finish()
    return loaded


class _LoadCall:
    """A load as a destructive call. The marker, which its commit writes and a later load replaces, decides how it ended."""

    _load: Load
    _marker: Marker | None
    _table: AuditTable

    def __init__(self, plan: LoadPlan, policy: str, connections: ExitStack) -> None:
        self._plan, self._connections = plan, connections
        self._settings, self._ledger = target_settings(policy), open_ledger()
        self._policy = load_policy(self._settings.policies, policy)
        self._disconnect: Callable[[], None] = lambda: None
        self._ended_by = ""

    def check(self) -> Sending:
        """Connect, and prepare the load. Raises `PlanIsStale`, and `DestinationBusy` during another load."""
        connection = self._connections.enter_context(connect_target(self._settings, "understudy load"))
        audit = self._connections.enter_context(connect_target(self._settings, "understudy audit"))
        self._disconnect = connection.close
        require_no_other_load(connection)
        catalog, marker = read_catalog(connection), read_marker(connection)
        policy = expand(self._policy, catalog).policy
        _require_fresh(marker, self._plan, catalog, policy)
        prepare_marker(audit)
        self._marker = marker
        self._table = AuditTable(audit, policy.audit)
        self._load = _load(connection, self._plan, catalog, policy)
        return Sending(dump=file_of(self._plan.dump))

    def act(self) -> Loaded:
        """Load and commit, with a row in the audit table."""
        plan = self._plan
        self._table.close_interrupted(self._marker)
        self._table.begin(file=file_of(plan.dump), run_id=plan.run_id, requested_by=plan.requested_by)
        try:
            return self._load.run(
                dump_reader.read(plan.dump, identities=_identities(self._settings), proven=plan.digest)
            )
        except ROLLED_BACK as error:
            if isinstance(error, LeakFound):
                error.next_step = record_leak(self._ledger, plan, file=file_of(plan.dump))
            with suppress(psycopg.Error):
                self._table.end(error.message)
            error.facts[AUDITED] = True
            raise
        except BaseException as error:  # `find_out` closes the row
            self._ended_by = f": {loggable(error).rstrip('.')}"
            raise

    def find_out(self) -> Loaded:
        """Return the load if its marker exists. Raises `NotLoaded`, or `OutcomeUnknown` if its end cannot be found out now."""
        plan, run_id = self._plan, self._plan.run_id
        self._disconnect()  # rolls back what is not committed
        try:
            with connect_target(self._settings, "understudy reconcile") as connection:
                _require_same_database(identify(connection), plan)
                require_no_other_load(connection)  # a load that has not ended still holds the lock
                marker = read_marker(connection)
                ours = marker if marker is not None and marker.run_id == run_id else None
                replaced = ours is None and self._may_be_replaced(marker)
                if not replaced:
                    self._close_row(connection, marker)
        except UnderstudyError as error:
            raise OutcomeUnknown(
                f"Whether run {run_id} was committed is not known now: {error.message}",
                next_step="Retry this run: it looks for its marker on staging and never loads again.",
            ) from None
        if ours:
            self._settle("marker found: committed")
            return Loaded(
                rows=tuple((str(order.name), order.rows) for order in plan.tables),
                checks=(("marker", "found: the load was committed and verified before its answer was lost"),),
                committed_at=ours.loaded_at,
                took_seconds=0,
                found_again=True,
            )
        if replaced:
            raise OutcomeUnknown(
                f"A later load may have replaced the marker of run {run_id}, if there was one.",
                next_step="Look at staging's banner or marker: it names the load that staging contains.",
            )
        raise NotLoaded(
            f"The load of run {run_id} ended before its commit{self._ended_by}.",
            next_step="The target is as it was. Start a new run: an approval is used once.",
            audited=True,
        )

    def _may_be_replaced(self, marker: Marker | None) -> bool:
        """Return whether a load after this one, in this ledger or by the marker's time in another, may have been committed."""
        (sending, *_) = self._ledger.facts(run_id=self._plan.run_id, kind=Sending.KIND)
        kinds = (Sending.KIND, SendRefused.KIND)
        facts = self._ledger.facts(destination_id=self._plan.destination_id, kinds=kinds, after=sending.seq)
        later = {fact.run_id for fact in facts} - {self._plan.run_id}
        refused = {fact.run_id for fact in facts if fact.kind == SendRefused.KIND}
        return bool(later - refused) or (
            marker is not None and (marker.run_id in later or marker.loaded_at > sending.at)
        )

    def _close_row(self, connection: psycopg.Connection[Any], marker: Marker | None) -> None:
        try:
            AuditTable(connection, self._policy.audit).close_interrupted(marker, self._ended_by)
        except (psycopg.Error, UnderstudyError) as error:  # the next load closes it, by the marker
            self._row_stays_open(error)

    def finish(self) -> None:
        """Settle the call after its commit, and close its row; with a new connection if the old one is lost."""
        self._settle("committed")
        try:
            self._table.end(None)
        except psycopg.Error:
            try:
                self.find_out()
            except UnderstudyError as error:  # the next load closes it, by the marker
                self._row_stays_open(error)

    def _row_stays_open(self, error: Exception) -> None:
        run_logger().warning("The audit row of run %s could not be closed: %s", self._plan.run_id, loggable(error))

    def _settle(self, how: str) -> None:
        if not self._ledger.facts(run_id=self._plan.run_id, kind=Settled.KIND):
            self._ledger.record(Settled(how=how), **where(self._plan))


def _require_fresh(marker: Marker | None, plan: LoadPlan, catalog: Catalog, policy: Policy) -> None:
    """Raise `PlanIsStale` unless the facts are as approved: the same database, the same structure, no load in between."""
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


def _require_same_database(found: DatabaseIdentity, plan: LoadPlan) -> None:
    """Raise `WrongTarget` unless this is the database that the plan is for, and not a standby, which may lag behind."""
    expected = (plan.target.system_identifier, plan.target.database_oid)
    if (found.system_identifier, found.database_oid) != expected:
        raise WrongTarget(
            f"{found.database} on {found.host} is not the database of plan {plan.code} (another server or another OID); "
            f"expected {plan.target.database} as on {plan.target.host}."
        )
    if found.standby:
        raise WrongTarget(f"{found.database} on {found.host} is a standby; expected the primary server.")


def _load(connection: psycopg.Connection[Any], plan: LoadPlan, catalog: Catalog, policy: Policy) -> Load:
    progress = Progress("load", typical=1)
    expected = {str(order.name): order.rows for order in plan.tables}
    rows: dict[str, int] = {}
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
    )
