"""Our side of a measurement: the steps of an export and a load, called as the flows call them, with a lap time for each."""

import cProfile
import multiprocessing
import pstats
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from tasks.dumps import leak_search
from tasks.dumps.catalog import read_catalog
from tasks.dumps.compression import Compression
from tasks.dumps.connections import connected_to, exported_snapshot, use_snapshot
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.dump_files import assemble, dump_name
from tasks.dumps.dump_reader import check, read
from tasks.dumps.export_plan import MaskingPlan, Unit
from tasks.dumps.export_privileges import require_readable
from tasks.dumps.extract import Batch, Source, batches_of, extract_batch, units_of
from tasks.dumps.leak_search_proof import open_proof, prove_dump, unproven_reason
from tasks.dumps.load import Load
from tasks.dumps.load_plan import draft_load, foreign_keys_to_lift
from tasks.dumps.masking_sql import require_masked_rows_fit
from tasks.dumps.missing_on_staging import dumped_tables
from tasks.dumps.segment_writer import Part
from tasks.dumps.staging_marker import prepare_marker
from tasks.dumps.table_rules import existing_names
from tasks.estate.dumps import Choices, DumpFacts, Header, LeakSearchResult, Loaded, Proof
from tasks.estate.relations import Resolver
from tasks.masking.keyring import Keyring
from tasks.masking.policy import Policy
from tasks.masking.session_settings import Session
from tests.benchmarks.measuring import peak_mib

KEY = bytes(range(7, 39))
WITHIN = 3600.0  # seconds a statement may take: never the limit here
STAGING = "staging.bench.example"
WORKERS = 2


@dataclass
class Export:
    """One export: the dump, what the leak search needs, seconds by step, and the peak memory of each worker."""

    facts: DumpFacts
    secrets: leak_search.HashedValues | None
    laps: dict[str, float]
    peaks: list[float]
    held: float = 0.0  # peak of the process that joined the parts


@dataclass
class Laps:
    """Seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count the block towards a step."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def workers(count: int = WORKERS) -> ProcessPoolExecutor:
    """Fresh processes that have imported everything: what a worker needs once is not part of an export."""
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))
    for waiting in [pool.submit(time.sleep, 0.5) for _ in range(count)]:
        waiting.result()
    for ready in [pool.submit(_ready) for _ in range(count)]:
        ready.result()
    return pool


def _ready() -> float:
    time.sleep(0.3)  # long enough that each worker gets one
    return peak_mib()


def session_for(policy: Policy, server_version: int) -> Session:
    """The session of an export with the benchmark's key."""
    return Session(Keyring(KEY, run="bench"), policy.locale, server_version=server_version)


def export(
    source: str,
    policy: Policy,
    folder: Path,
    pool: Executor,
    *,
    compression: Compression = "none",
    complete: bool = False,
) -> Export:
    """Export once, masked. `complete`: also hash the values for the leak search and read the dump back, as the flow does."""
    laps = Laps()
    parts_folder = folder / "parts"
    shutil.rmtree(parts_folder, ignore_errors=True)
    parts_folder.mkdir(parents=True)
    with (
        connected_to(source, name="bench", statement_within=WITHIN) as connection,
        exported_snapshot(connection) as held,
    ):
        session = session_for(policy, connection.info.server_version)
        with laps.of("plan and proof"):
            plan, units, header = _planned(source, policy, held, session)
        secrets = None
        if complete:
            with laps.of("hashes for the leak search"):
                secrets = _collected(source, held, plan, session)
        with laps.of("extract"):
            there = Source(snapshot=held, statement_within=WITHIN)
            futures = [
                pool.submit(_extracted, source, there, batch, session, parts_folder, compression, secrets)
                for batch in batches_of(plan, units)  # the largest first, as in the flow
            ]
            done = [future.result() for future in futures]
    with laps.of("assemble"):
        target = folder / f"{uuid4().hex[:8]}-{dump_name(policy.app, header.exported_at, compression)}"
        parts = [part for made, _ in done for part in made]
        prove = _prover(secrets, plan, header, session) if secrets is not None else None
        facts = assemble(str(target), header, parts, compression=compression, prove=prove)
        shutil.rmtree(parts_folder)
    if secrets is not None:
        with laps.of("read back"):
            facts = check(facts.url, evaluate_proof=partial(unproven_reason, facts.url, [session.keyring]))
    return Export(facts, secrets, laps.seconds, [peak for _, peak in done], held=peak_mib())


def _prover(
    secrets: leak_search.HashedValues, plan: MaskingPlan, header: Header, session: Session
) -> Callable[[str], Proof]:
    """What seals the proof of the dump, which the load opens for its own leak search."""
    columns = leak_search.count_searched(plan.tables)
    result = LeakSearchResult(searched=True, forms=secrets.size, columns=columns, accepted=())
    return lambda body: prove_dump(secrets, result, body=body, header=header, keyring=session.keyring)


def _planned(source: str, policy: Policy, held: str, session: Session) -> tuple[MaskingPlan, list[Unit], Header]:
    with connected_to(source, name="bench", statement_within=WITHIN) as connection:
        use_snapshot(connection, held)
        catalog = read_catalog(connection)
        plan = draft_masking(catalog, policy, Choices())
        sequences, _ = require_readable(connection, catalog, plan, snapshot=held)
        require_masked_rows_fit(connection, plan, session)
        units = units_of(connection, plan)
        tables = dumped_tables(connection, plan, catalog)
    header = Header(
        app=policy.app,
        schema_version=policy.schema_version,
        source_host="production.bench.example",
        source_system=catalog.identity.system_identifier,
        source_database=catalog.identity.database,
        server_version=catalog.identity.server_version,
        exported_at=datetime.now(UTC),
        run_id="bench",
        policy=policy.fingerprint,
        key=session.keyring.fingerprint,
        tables=tables,
        sequences=sequences,
        reached=existing_names(policy, Resolver.of(catalog)),
    )
    return plan, units, header


def _collected(source: str, held: str, plan: MaskingPlan, session: Session) -> leak_search.HashedValues:
    with ExitStack() as opened:
        connections = [
            opened.enter_context(connected_to(source, name="bench", statement_within=WITHIN)) for _ in range(WORKERS)
        ]
        for connection in connections:
            use_snapshot(connection, held)
        return leak_search.collect_hashes(connections, plan, session, snapshot=held)


def _extracted(
    url: str,
    source: Source,
    batch: Batch,
    session: Session,
    folder: Path,
    compression: Compression,
    secrets: leak_search.HashedValues | None,
) -> tuple[tuple[Part, ...], float]:
    """In a worker process: one batch, and the most memory that the process has held so far."""
    return extract_batch(
        url, source, batch, session, folder=folder, compression=compression, lookup=_lookup(secrets)
    ), peak_mib()


_lookups: dict[str, leak_search.Lookup] = {}


def _lookup(secrets: leak_search.HashedValues | None) -> leak_search.Lookup | None:
    """One lookup per process and export, as the flow has it."""
    if secrets is None:
        return None
    if secrets.key not in _lookups:
        _lookups.clear()
        _lookups[secrets.key] = leak_search.Lookup(secrets)
    return _lookups[secrets.key]


def load(made: Export, target: str, policy: Policy, readers: str) -> tuple[Loaded, float]:
    """Load and verify in one transaction, with the leak search. Also return the peak memory of this process."""
    with connected_to(target, name="bench", statement_within=WITHIN, reading=False) as connection:
        plan = draft_load(
            connection,
            made.facts,
            policy,
            typed=STAGING,
            real=STAGING,
            readers=readers,
            opted_out=(),
            requested_by="bench",
            run_id=uuid4().hex,
        )
        prepare_marker(connection)
        catalog = read_catalog(connection)
        lifted = foreign_keys_to_lift(connection, catalog, plan)
        keyrings = [Keyring(KEY, run="bench")]
        unsealed = partial(open_proof, made.facts.url, plan.header, keyrings=keyrings)
        loaded = Load(connection, plan, catalog, policy, lifted, unsealed=unsealed).run(
            read(made.facts.url, proven=made.facts.trailer.digest)
        )
    return loaded, peak_mib()


# What a load consists of: function → what it does, in words. Its time is all that happens inside it.
STEPS = {
    "_empty": "empty the tables",
    "_fill": "read the dump and COPY it in",
    "_checked": "of it: unpack, count, digest, prove each line",
    "to_copy": "of it: back to COPY text",
    "_restore_foreign_keys": "foreign keys again",
    "verify_loaded": "verify, the leak search included",
    "_leak_search": "of it: the leak search",
    "_constants": "of it: masked columns computed again",
    "_commit": "commit",
}


def profiled_load(made: Export, target: str, policy: Policy, readers: str) -> tuple[dict[str, float], float]:
    """A load with the seconds of its steps, and the peak memory of this process."""
    profile = cProfile.Profile()
    _, peak = profile.runcall(load, made, target, policy, readers)
    seconds = dict.fromkeys(STEPS.values(), 0.0)
    for (file, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]  # documented
        if name in STEPS and "dumps" in file:
            seconds[STEPS[name]] += cumulative
    return seconds, peak
