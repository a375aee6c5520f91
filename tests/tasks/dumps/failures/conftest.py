"""Two small databases from one SQL text, exported and loaded without Prefect, by roles that may do no more than they must."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from deployments.sandbox.postgres import Postgres
from tasks.dumps import dump_files, dump_reader
from tasks.dumps.catalog import read_catalog
from tasks.dumps.connections import connected_to, exported_snapshot, use_snapshot
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.dump_reader import Event
from tasks.dumps.export_plan import MaskingPlan
from tasks.dumps.export_privileges import require_readable
from tasks.dumps.extract import RANGE_BYTES, Source, extract, units_of
from tasks.dumps.leak_search import Lookup, collect_hashes, count_searched, sum_overlaps
from tasks.dumps.leak_search_proof import open_proof, prove_dump, unproven_reason
from tasks.dumps.load import Load, require_no_other_load
from tasks.dumps.load_plan import draft_load, foreign_keys_to_lift
from tasks.dumps.mask_on_load import segment_masker
from tasks.dumps.masking_sql import require_masked_rows_fit
from tasks.dumps.missing_on_staging import dumped_tables
from tasks.dumps.staging_marker import prepare_marker
from tasks.dumps.table_rules import existing_names
from tasks.dumps.verify_load import masked_now
from tasks.estate.dumps import (
    Anonymizer,
    Choices,
    DumpFacts,
    Header,
    LeakSearchResult,
    Loaded,
    LoadPlan,
    Overlap,
    SequenceState,
)
from tasks.estate.relations import Resolver
from tasks.masking.keyring import Keyring
from tasks.masking.policy import Policy, parse_policy
from tasks.masking.session_settings import Session

KEY = b"0123456789abcdef0123456789abcdef"
DEBIAN = Path("/usr/lib/postgresql/15")  # where Debian puts its own server
HOST = "staging.example"
ROLES = "CREATE ROLE pair_owner LOGIN; CREATE ROLE pair_reader LOGIN"
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
LET_READ = """DO $$ DECLARE s text; BEGIN
  FOR s IN SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE 'GRANT USAGE ON SCHEMA ' || s || ' TO pair_reader';
    EXECUTE 'GRANT SELECT ON ALL TABLES IN SCHEMA ' || s || ' TO pair_reader';
    EXECUTE 'GRANT SELECT ON ALL SEQUENCES IN SCHEMA ' || s || ' TO pair_reader';
  END LOOP; END $$"""


class Debian(Postgres):
    """The server that Debian installs, of a version that the embedded package does not have."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, fsync=False)
        self._installation, self._version = DEBIAN, 15


@dataclass
class Pair:
    """A source and a target. The export's role may only SELECT, the load's role owns the target and is no superuser."""

    server: Postgres
    folder: Path
    policy: Policy
    found: tuple[Overlap, ...] = ()
    sequences: tuple[SequenceState, ...] = ()
    notes: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def url(self, which: str, user: str = "postgres") -> str:
        """The address of `source` or `target`."""
        return self.server.url(f"pair_{which}", user=user)

    def ask(self, query: str, which: str = "target") -> list[Any]:
        """The rows of a query."""
        with psycopg.connect(self.url(which)) as connection:
            return connection.execute(query.encode()).fetchall()

    def change(self, statement: str, which: str = "target") -> None:
        """Change something, as the owner."""
        with psycopg.connect(self.url(which, "pair_owner")) as connection:
            connection.execute(statement.encode())

    def session(self, key: bytes = KEY) -> Session:
        """The keyed session of the export."""
        return Session(Keyring(key, run="run-1"))

    def plan(self, choices: Choices | None = None, *, key: bytes = KEY, snapshot: str = "") -> MaskingPlan:
        """The masking plan, proven on the rows. Raises `PolicyRefused`."""
        with connected_to(self.url("source", "pair_reader"), name="plan", statement_within=60) as connection:
            if snapshot:
                use_snapshot(connection, snapshot)
            catalog = read_catalog(connection)
            plan = draft_masking(catalog, self.policy, choices or Choices())
            self.sequences, self.notes = require_readable(connection, catalog, plan, snapshot=snapshot)
            require_masked_rows_fit(connection, plan, self.session(key))
            return plan

    def export(
        self,
        choices: Choices | None = None,
        *,
        key: bytes = KEY,
        range_bytes: int = RANGE_BYTES,
        between: Callable[[], None] = lambda: None,
    ) -> DumpFacts:
        """A dump; `between` happens after the snapshot was taken and before the first row is read."""
        url, chosen = self.url("source", "pair_reader"), choices or Choices()
        folder = self.folder / uuid4().hex[:8]
        folder.mkdir()
        with connected_to(url, name="snapshot", statement_within=60) as holding, exported_snapshot(holding) as held:
            plan = self.plan(chosen, key=key, snapshot=held)
            between()
            with connected_to(url, name="units", statement_within=60) as connection:
                use_snapshot(connection, held)
                catalog = read_catalog(connection)
                units = units_of(connection, plan, range_bytes=range_bytes)
                secrets = collect_hashes([connection], plan, self.session(key))
                lookup = Lookup(secrets)
                tables = dumped_tables(connection, plan, catalog)
            source = Source(snapshot=held, statement_within=60)
            parts = [
                extract(
                    url,
                    source,
                    plan.of(unit),
                    unit,
                    self.session(key),
                    folder=folder,
                    compression="none",
                    lookup=lookup,
                )
                for unit in units
            ]
        identity = catalog.identity
        header = Header(
            app=self.policy.app, schema_version=self.policy.schema_version, source_host=identity.host,
            source_system=identity.system_identifier, source_database=identity.database, run_id="run-1",
            server_version=identity.server_version, exported_at=datetime.now(UTC), policy=self.policy.fingerprint,
            key=self.session(key).keyring.fingerprint, opted_out=chosen.opted_out, attachments=chosen.attachments,
            tables=tables,
            sequences=self.sequences,
            reached=existing_names(self.policy, Resolver.of(catalog)),
        )  # fmt: skip
        self.found = sum_overlaps(each for part in parts for each in part.found)
        result = LeakSearchResult(
            searched=not chosen.opted_out, forms=secrets.size, columns=count_searched(plan.tables), accepted=()
        )
        keyring = self.session(key).keyring
        target = str(folder / "dump.json")
        dump_files.assemble(
            target, header, parts, compression="none",
            prove=lambda body: prove_dump(secrets, result, body=body, header=header, keyring=keyring),
        )  # fmt: skip
        return self.check(target)

    def check(self, url: str, key: bytes = KEY) -> DumpFacts:
        """Read a dump and check its proof with this key."""
        return dump_reader.check(url, evaluate_proof=partial(unproven_reason, "dump.json", [self.session(key).keyring]))

    def load(
        self,
        facts: DumpFacts,
        *,
        readers: str = "stay",
        opted_out: tuple[Anonymizer, ...] = (),
        statement_within: float = 60,
        lock_within: float = 10,
        on_the_way: Callable[[Iterator[Event]], Iterator[Event]] = iter,
        searched: bool = True,
        key: bytes = KEY,
    ) -> Loaded:
        """Load it as a run does; `on_the_way` may do things between what is read of the dump."""
        url = self.url("target", "pair_owner")
        with connected_to(
            url, name="load", statement_within=statement_within, lock_within=lock_within, reading=False
        ) as connection:
            require_no_other_load(connection)
            plan = self._draft(connection, facts, readers=readers, opted_out=opted_out)
            prepare_marker(connection)
            catalog = read_catalog(connection)
            masks = list(masked_now(plan, catalog, self.policy))
            return Load(
                connection,
                plan,
                catalog,
                self.policy,
                foreign_keys_to_lift(connection, catalog, plan),
                unsealed=lambda sealed: open_proof(
                    "dump.json", facts.header, sealed, [self.session(key).keyring] if searched else []
                ),
                remask=segment_masker(plan, masks, self.session()) if masks else None,
            ).run(on_the_way(dump_reader.read(facts.url)))

    def load_plan(self, facts: DumpFacts, *, readers: str = "stay") -> LoadPlan:
        """The plan of a load, as people are shown it."""
        with connected_to(
            self.url("target", "pair_owner"), name="plan", statement_within=60, lock_within=1, reading=False
        ) as connection:
            return self._draft(connection, facts, readers=readers)

    def _draft(
        self,
        connection: psycopg.Connection[Any],
        facts: DumpFacts,
        *,
        readers: str,
        opted_out: tuple[Anonymizer, ...] = (),
    ) -> LoadPlan:
        return draft_load(
            connection, facts, self.policy, typed=HOST, real=HOST, readers=readers, opted_out=opted_out,
            requested_by="", run_id="run-2",
        )  # fmt: skip

    def contents(self, which: str = "target") -> dict[str, Any]:
        """Every table's rows, and where every sequence stands: to tell whether anything changed."""
        listed = (
            "SELECT c.oid::regclass::text, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE"
            " c.relkind IN ('r', 'm', 'S') AND n.nspname !~ '^(pg_|information_schema|understudy)' ORDER BY 1"
        )
        rows = "SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {} t"
        state = "SELECT last_value, is_called FROM {}"
        found = {}
        for name, kind in self.ask(listed, which):
            found[name] = self.ask((state if kind == "S" else rows).format(name), which)
        return found


@pytest.fixture(scope="session", params=["embedded", pytest.param("debian-15", marks=pytest.mark.drill)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The newest PostgreSQL that we know, and the one that Debian 12 installs."""
    if request.param == "embedded":
        made: Postgres = request.getfixturevalue("postgres")
        prepare(made)
        yield made
    elif not (DEBIAN / "bin" / "postgres").exists():
        pytest.skip("PostgreSQL 15 of Debian is not installed")
    else:
        with Debian(tmp_path_factory.mktemp("debian")) as made:
            prepare(made)
            yield made


def prepare(server: Postgres) -> None:
    """Two databases for all tests, emptied by each: new ones would take longer than what is tested."""
    with psycopg.connect(server.url()) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = 'pair_owner'").fetchone() is not None:
            return  # pytest set this fixture up before, in this session
        connection.execute(ROLES)
    for which in ("source", "target"):
        server.create(f"pair_{which}", owner="pair_owner")


def policy_of(tables: str, more: str = "") -> Policy:
    """A policy from the YAML below `tables:`."""
    indented = "\n".join(f"  {line}" for line in tables.strip("\n").splitlines())
    return parse_policy(f"app: small\nschema_version: 1\ntables:\n{indented}\n{more}")


@pytest.fixture
def policy() -> Callable[..., Policy]:
    """A function that makes a policy from the YAML below `tables:`."""
    return policy_of


def fill(made: Pair, schema: str, *, rows: str = "", old: str = "", after: str = "") -> Pair:
    """Empty both databases of a pair and fill them."""
    for which, content in (("source", rows), ("target", old)):
        with psycopg.connect(made.url(which)) as connection:
            for (name,) in connection.execute(SCHEMAS).fetchall():
                connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(name)))
            connection.execute("CREATE SCHEMA public AUTHORIZATION pair_owner")
            connection.execute("SET ROLE pair_owner")
            for text in (schema, content, after):
                if text:
                    connection.execute(text.encode())
            if which == "source":
                connection.execute(LET_READ)
    return made


MakePair = Callable[..., Pair]


@pytest.fixture
def pair(server: Postgres, tmp_path: Path) -> MakePair:
    """A function that makes a pair: `pair(schema, policy, rows)`; `policy` is the YAML below `tables:`.

    `schema` is run on both sides, `rows` on the source, `old` on the target, which has other rows from before.
    """

    def make(schema: str, policy: str, rows: str = "", *, old: str = "", after: str = "", more: str = "") -> Pair:
        return fill(Pair(server, tmp_path, policy_of(policy, more)), schema, rows=rows, old=old, after=after)

    return make
