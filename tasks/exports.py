"""Exports: plan one, extract it masked in one snapshot, and bundle it, with tasks/dumps and tasks/masking."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from prefect import task
from prefect.futures import as_completed

from tasks.configuration.estate_settings import source_settings
from tasks.configuration.settings import Settings, load_settings
from tasks.dumps import extract, leak_search
from tasks.dumps.catalog import OLDEST, identify, read_catalog
from tasks.dumps.connections import connected_to, exported_snapshot, in_short_transactions, use_snapshot
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.dump_files import assemble, dump_name, remove_dump
from tasks.dumps.dump_reader import check
from tasks.dumps.export_plan import ExportPlan, Snapshot, Unit
from tasks.dumps.export_privileges import require_readable
from tasks.dumps.extract import Batch, Source, batches_of, units_of
from tasks.dumps.leak_search import HashedValues, Lookup
from tasks.dumps.leak_search_proof import prove_dump, seal, unproven_reason, unseal
from tasks.dumps.masking_sql import require_masked_rows_fit, set_mask_settings
from tasks.dumps.missing_on_staging import dumped_tables
from tasks.dumps.segment_writer import Part
from tasks.dumps.table_rules import existing_names
from tasks.estate.dumps import Choices, DumpFacts, Header, LeakSearchResult, Overlap
from tasks.estate.errors import LeakFound, Misconfigured, NotExported, UnderstudyError
from tasks.estate.relations import Resolver
from tasks.ledger.facts import Exported
from tasks.masking.keyring import Keyring
from tasks.masking.policy import load_policy
from tasks.runtime.current_run import run_logger, show_progress, this_run
from tasks.runtime.progress import Progress
from tasks.runtime.resources import masking_session, open_ledger, proof_keyrings
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.runtime.task_runners import export_workers

HASHES = "attack.hashes"  # of the leak search, in the folder of a run
# Nothing is cached: the results of an export belong to its snapshot.


def export_settings(policy: str) -> Settings:
    """Return the settings for an export of the database with this policy. Raises `Misconfigured` naming those that are missing."""
    return source_settings(policy).require("masking_key")


@contextmanager
def snapshot(policy: str) -> Iterator[Snapshot]:
    """Keep one snapshot of the policy's production database open while the block runs; every worker of the export reads in it."""
    settings = export_settings(policy)
    url = settings.source_database.get_secret_value()
    with (
        connected_to(url, name="understudy snapshot", statement_within=settings.statement_within) as connection,
        exported_snapshot(connection) as held,
    ):
        identity = identify(connection)
        identity = identity.model_copy(update={"host": settings.source_hostname or identity.host})
        if identity.server_version < OLDEST:
            raise Misconfigured(f"The source is PostgreSQL {identity.server_version // 10000}; expected 14 or newer.")
        (now,) = connection.execute("SELECT now()").fetchone() or (datetime.now(UTC),)
        yield Snapshot(id=held, taken_at=now.astimezone(UTC), source=identity)


@task(name="Plan the export", **BELOW_THE_GATE)
def plan_export(name: str, choices: Choices, held: Snapshot, *, requested_by: str = "") -> ExportPlan:
    """Read the catalogue, apply the policy, prove that every mask fits. Raises `PolicyRefused` naming every fault.

    Raises `NotExported` naming every right that the role lacks.
    """
    settings = export_settings(name)
    policy = load_policy(settings.policies, name)
    session = masking_session(policy, this_run(), held.source.server_version)
    with connected_to(
        settings.source_database.get_secret_value(), name="understudy plan", statement_within=settings.statement_within
    ) as connection:
        use_snapshot(connection, held.id)
        catalog = read_catalog(connection)
        masking = draft_masking(catalog, policy, choices)
        sequences, notes = require_readable(connection, catalog, masking, snapshot=held.id)
        masking = masking.model_copy(update={"notes": (*masking.notes, *notes)})
        require_masked_rows_fit(
            connection,
            masking,
            session,
            tables=in_short_transactions(
                connection, held.id, masking.tables, lambda: set_mask_settings(connection, session)
            ),
        )
        units = units_of(connection, masking)
        resolver = Resolver.of(catalog)
        tables = dumped_tables(connection, masking, catalog)
    header = Header(
        app=policy.app,
        schema_version=policy.schema_version,
        source_host=held.source.host,
        source_system=held.source.system_identifier,
        source_database=held.source.database,
        server_version=held.source.server_version,
        exported_at=held.taken_at,
        run_id=this_run(),
        policy=policy.fingerprint,
        key=session.keyring.fingerprint,
        opted_out=choices.opted_out,
        opted_out_by=requested_by if choices.opted_out else "",
        attachments=choices.attachments,
        tables=tables,
        sequences=sequences,
        reached=existing_names(policy, resolver),
    )
    return ExportPlan(policy=name, header=header, masking=masking, units=tuple(units), strays=catalog.strays)


def extract_all(plan: ExportPlan, held: Snapshot) -> tuple[Part, ...]:
    """Run every batch of units under the flow's task runner, and return the parts in the order of the dump.

    A batch that fails is retried while the snapshot is open. After that the whole export must start over: two snapshots must
    not be mixed.
    """
    run = this_run()
    futures = {
        extract_batch.submit(plan.policy, held, batch, run): batch for batch in batches_of(plan.masking, plan.units)
    }
    return collect_parts(plan, ((futures[future], future.result) for future in as_completed(list(futures))), run)


def collect_parts(
    plan: ExportPlan, done: Iterable[tuple[Batch, Callable[[], tuple[Part, ...]]]], run: str
) -> tuple[Part, ...]:
    """Collect the results of all batches as they finish, and return the parts in the order of the dump.

    If one fails, the parts of the others are removed.
    """
    parts: dict[tuple[str, int], Part] = {}
    progress = ExportProgress(plan)
    try:
        for batch, result in done:
            for (_, unit), part in zip(batch.units, result(), strict=True):
                parts[str(part.table), part.number] = part
                progress.done(unit, part)
    except BaseException as error:
        removed_parts = discard(run)
        if isinstance(error, LeakFound):
            error.next_step = (
                f"No dump was made. {removed_parts} Mask the column that the message names, then start again."
            )
        raise
    _require_no_leak(plan, parts.values())
    run_logger().info("Extracted %d rows in %d parts.", sum(p.rows for p in parts.values()), len(parts))
    return tuple(parts[str(unit.table), unit.number] for unit in plan.units)


def _require_no_leak(plan: ExportPlan, parts: Iterable[Part]) -> None:
    """Remove the parts and raise `LeakFound` naming every pair that the policy does not accept."""
    accepted = load_policy(load_settings().policies, plan.policy).accepted
    leaks = [each for each in _overlaps(parts) if (each.source, each.found) not in accepted]
    if leaks and not plan.header.raw:
        raise LeakFound(
            f"Values that masking replaces were found in what was written: {'; '.join(map(str, leaks))}.",
            next_step=f"No dump was made. {discard(this_run())} Mask the columns in which they were found; if a pair is a"
            " false alarm, list it under `accept` in the policy, with a reason.",
        )


def _overlaps(parts: Iterable[Part]) -> tuple[Overlap, ...]:
    return leak_search.sum_overlaps(each for part in parts for each in part.found)


class ExportProgress:
    """Live progress of each table: rows, bytes, and how much of it is left."""

    def __init__(self, plan: ExportPlan) -> None:
        self._left: dict[str, int] = {}
        self._whole: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        for unit in plan.units:
            name = str(unit.table)
            self._whole[name] = self._whole.get(name, 0) + max(unit.bytes, 1)
        self._left = dict(self._whole)
        self._all = Progress("export", typical=1)
        self._started = time.monotonic()
        self._total, self._total_left = sum(self._whole.values()), sum(self._whole.values())
        self._total_rows = self._total_bytes = 0

    def done(self, unit: Unit, part: Part) -> None:
        """Count a part and show how far the export is."""
        name = str(unit.table)
        self._left[name] -= max(unit.bytes, 1)
        self._total_left -= max(unit.bytes, 1)
        self._total_rows += part.rows
        self._total_bytes += part.uncompressed
        self._rows[name] = self._rows.get(name, 0) + part.rows
        whole = self._whole[name]
        show_progress(name, rows=self._rows[name], done=whole - self._left[name], whole=whole)
        share = 1 - self._total_left / self._total
        spent = time.monotonic() - self._started
        left = f"about {spent / share - spent:.0f} s left" if share > 0 else "time left unknown"
        state = "done" if self._left[name] <= 0 else f"{100 - 100 * self._left[name] // self._whole[name]} %"
        self._all.at(
            100 * share,
            f"{self._total_rows} rows, {self._total_bytes / 1e6:.1f} MB, {left}; {name}: {state}, {self._rows[name]} rows",
        )


@task(name="Hash the source's values for the leak search", **BELOW_THE_GATE)
def collect_secrets(plan: ExportPlan, held: Snapshot) -> int:
    """Hash, inside production, what masking replaces, and store the hashes, sealed, next to the parts of this run.

    Each unit looks for them in what it writes. Returns how many forms of values will be searched for.
    """
    settings = export_settings(plan.policy)
    policy = load_policy(settings.policies, plan.policy)
    session = masking_session(policy, this_run(), held.source.server_version)
    source, within = settings.source_database.get_secret_value(), settings.statement_within
    with ExitStack() as opened:
        connections = [
            opened.enter_context(connected_to(source, name="understudy leak search", statement_within=within))
            for _ in range(export_workers())
        ]
        for connection in connections:
            use_snapshot(connection, held.id)
        found = leak_search.collect_hashes(connections, plan.masking, session, snapshot=held.id)
    sealed = seal(found.pack(), session.keyring.of_proof(this_run()), this_run().encode())
    path = work_folder(this_run()) / HASHES
    path.write_bytes(sealed)
    path.chmod(0o600)
    return found.size


def _secrets_of(folder: Path, keyring: Keyring, run_id: str) -> HashedValues:
    """Return the hashes that `collect_secrets` kept. Raises `NotExported` if they are gone or were changed."""
    try:
        return HashedValues.unpack(unseal((folder / HASHES).read_bytes(), keyring.of_proof(run_id), run_id.encode()))
    except (OSError, ValueError) as error:
        raise NotExported(
            f"The hashes for the leak search cannot be read ({type(error).__name__}); expected those of this run."
        ) from None


_lookups: dict[str, Lookup] = {}


def _lookup(folder: Path, keyring: Keyring, run_id: str) -> Lookup:
    """Return the lookup of a run, which every unit in this process needs; that of an earlier run is dropped."""
    if run_id not in _lookups:
        made = Lookup(_secrets_of(folder, keyring, run_id))
        _lookups.clear()
        _lookups[run_id] = made
        return made
    return _lookups[run_id]


@task(name="Bundle the dump", **BELOW_THE_GATE)
def bundle_dump(plan: ExportPlan, parts: tuple[Part, ...]) -> DumpFacts:
    """Join header, parts and trailer into one file under its final name, then read it back from end to end."""
    settings = load_settings()
    recipients = settings.dump_recipients.split()
    name = dump_name(plan.header.app, plan.header.exported_at, settings.dump_compression, bool(recipients))
    url = f"{settings.dump_folder.rstrip('/')}/{name}"
    if "://" not in url:
        Path(settings.dump_folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    keyring = masking_session(load_policy(settings.policies, plan.policy), this_run()).keyring
    secrets = _secrets_of(work_folder(this_run()), keyring, this_run())
    result = LeakSearchResult(
        searched=not plan.header.raw,
        forms=secrets.size,
        columns=leak_search.count_searched(plan.masking.tables),
        accepted=_overlaps(parts) if not plan.header.raw else (),
    )
    facts = assemble(
        url,
        plan.header,
        parts,
        compression=settings.dump_compression,
        recipients=recipients,
        prove=lambda body: prove_dump(secrets, result, body=body, header=plan.header, keyring=keyring),
    )
    discard(this_run())
    identity = settings.dump_identity.get_secret_value()
    if identity or not recipients:
        facts = _read_back(url, [identity] if identity else [])
    else:  # only a load with the identity can read it, and checks the proof again
        facts = facts.model_copy(
            update={"unproven": "" if result.searched else unproven_reason("", (), plan.header, None)}
        )
    open_ledger().record(Exported(facts=facts), run_id=this_run(), once=f"exported:{this_run()}")
    return facts


def _read_back(url: str, identities: list[str]) -> DumpFacts:
    """Read the dump from end to end. A dump that fails is removed; the error reports that."""
    try:
        return check(
            url, identities=identities, evaluate_proof=partial(unproven_reason, url, proof_keyrings(this_run()))
        )
    except UnderstudyError as error:
        error.next_step = f"{remove_dump(url)} {error.next_step}"
        raise


def recorded_dump() -> DumpFacts | None:
    """Return the dump that this run made before it was suspended or retried, or None."""
    made = open_ledger().facts(run_id=this_run(), kind=Exported.KIND)
    return made[-1].as_(Exported).facts if made else None


def discard(run_id: str) -> str:
    """Remove the parts of a run and return a sentence about it."""
    folder = load_settings().dump_work / run_id
    shutil.rmtree(folder, ignore_errors=True)
    return f"The parts in {folder} could NOT be removed: remove them." if folder.exists() else "Its parts were removed."


@task(name="Extract and mask", task_run_name="Extract {batch}", **BELOW_THE_GATE)
def extract_batch(policy_name: str, held: Snapshot, batch: Batch, run_id: str) -> tuple[Part, ...]:
    """Write some ranges of tables as parts of the dump, masked inside production's server."""
    settings = export_settings(policy_name)
    policy = load_policy(settings.policies, policy_name)
    session = masking_session(policy, run_id, held.source.server_version)
    return extract.extract_batch(
        settings.source_database.get_secret_value(),
        Source(snapshot=held.id, statement_within=settings.statement_within),
        batch,
        session,
        folder=work_folder(run_id),
        compression=settings.dump_compression,
        canaries=policy.canaries,
        lookup=_lookup(work_folder(run_id), session.keyring, run_id),
    )


def work_folder(run_id: str) -> Path:
    """Return the folder for the parts of this run's dump; only this user may read it."""
    folder = load_settings().dump_work / run_id
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def require_dump() -> DumpFacts:
    """Return the dump of this run. Raises `NotExported` if it is missing."""
    made = recorded_dump()
    if made is None:
        raise NotExported("This run has no dump, although its export ended; expected one in the ledger.")
    return made
