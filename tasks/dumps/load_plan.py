"""The plan of a load: the target is proven to be staging, compared with the dump, and planned table by table."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import psycopg

from tasks.dumps.catalog import name_of, query_catalog, read_catalog
from tasks.dumps.derived_column_checks import triggers_to_fire
from tasks.dumps.dump_reader import Event, read
from tasks.dumps.export_plan import MaskingPlan, inherited_rules, parents_first, rule_for, rules_of
from tasks.dumps.load_privileges import event_trigger_doubts, missing_privileges, require_privileges
from tasks.dumps.missing_on_staging import missing_things, require_partitions
from tasks.dumps.staging_marker import Marker, read_marker
from tasks.dumps.table_rules import stale_rules
from tasks.dumps.trial_load import require_rows_accepted
from tasks.dumps.triggers_and_constraints import unvalidated
from tasks.dumps.verify_load import plans_for
from tasks.estate.dumps import Anonymizer, DumpedTable, DumpFacts, Header, LoadOrder, LoadPlan
from tasks.estate.errors import DumpRefused, DumpTooNew, GateClosed, PolicyRefused, WrongHost, WrongTarget
from tasks.estate.planning_faults import Fault, as_facts
from tasks.estate.plans import fingerprint
from tasks.estate.relations import Resolver, describe
from tasks.estate.schema import Catalog, DatabaseIdentity, ForeignKey, Kind, Name, Relation, Table
from tasks.masking.policy import Policy
from tasks.masking.policy_patterns import expand

ABSENT = "staging has no such table"
IMPORT_VARIABLE = "APP_ALLOW_PROD_IMPORT"
CHEAP_TO_SCAN = 2**20  # bytes of a table that may be read once for every deleted row of another one


def require_import_enabled() -> None:
    """Raise `GateClosed` unless this worker's environment allows loads, with the exact value `true`."""
    if os.environ.get(IMPORT_VARIABLE) != "true":
        raise GateClosed("Import is not enabled on this instance.")


def require_host(typed: str, real: str) -> None:
    """Raise `WrongHost` unless the person typed the name of the real target, whatever a form or parameter contains."""
    if typed.strip().lower() != real.strip().lower() or not typed.strip():
        raise WrongHost("The hostname you entered does not match this instance.")


def require_staging(target: DatabaseIdentity, header: Header, marker: Marker | None) -> None:
    """Raise `WrongTarget` if the target is the dump's source, a standby, or marked as staging of another application.

    An equal system identifier with an equal database is the source. A different identifier alone proves nothing, so that
    the environment variable, the typed hostname and the marker are checked too.
    """
    same_server = target.system_identifier == header.source_system
    if same_server and target.database == header.source_database:
        raise WrongTarget(
            f"The target {target.database} on {target.host} is the database from which the dump was exported; expected another one."
        )
    if target.standby:
        raise WrongTarget(f"The target {target.database} on {target.host} is a standby and cannot be written.")
    if marker is not None and marker.app != header.app:
        raise WrongTarget(f"The target is marked as staging of {marker.app!r}; the dump is of {header.app!r}.")


def require_version(header: Header, policy: Policy) -> None:
    """Raise `DumpRefused` if the dump is of another application, `DumpTooNew` if it is newer than staging's."""
    if header.app != policy.app:
        raise DumpRefused(f"The dump is of the application {header.app!r}; expected {policy.app!r}.")
    if header.schema_version > policy.schema_version:
        raise DumpTooNew(f"Dump schema version {header.schema_version} is newer than this instance supports.")


def structure_fingerprint(catalog: Catalog, policy: Policy) -> str:
    """Return the fingerprint of a target's structure: a migration makes a plan stale.

    It ignores the marker and the audit table, which the first load creates.
    """
    content = catalog.model_dump(
        mode="json", exclude={"identity": True, "strays": True, "sequences": True, "functions": True}
    )
    content["relations"] = [each for each in content["relations"] if each["kind"] == Kind.FOREIGN or each["partition"]]
    ours = {"understudy.staging_data", policy.audit.table}
    content["tables"] = [table for table in content["tables"] if str(Name.model_validate(table["name"])) not in ours]
    for table in content["tables"]:
        table.pop("bytes")
        table.pop("estimated_rows")
    return fingerprint(content)


class Match:
    """The comparison of a dump with a target: which tables are loaded, skipped with a reason, emptied, kept or untouched."""

    def __init__(self, facts: DumpFacts, catalog: Catalog, policy: Policy) -> None:
        there = {str(table.name): table for table in catalog.tables}
        kept = set(kept_tables(catalog, policy))
        self.kept = tuple(sorted(kept))
        rows = {str(totals.name): totals.rows for totals in facts.trailer.tables}
        self.skipped: list[tuple[str, str]] = []
        self.tables: list[LoadOrder] = []
        for dumped in facts.header.tables:
            name = str(dumped.name)
            table = there.get(name)
            if table is None:
                self.skipped.append((name, ABSENT))
            elif name in kept:
                self.skipped.append((name, "staging keeps its own"))
            else:
                self.tables.append(_order(dumped, table, rows.get(name, 0)))
        self.absent = [name for name, why in self.skipped if why == ABSENT]
        loaded = {str(order.name) for order in self.tables}
        alone = [table for name, table in there.items() if name not in loaded and name not in kept]
        self.emptied = tuple(str(t.name) for t in alone if rule_for(t, catalog, policy) is not None)
        self.untouched = tuple(str(t.name) for t in alone if rule_for(t, catalog, policy) is None)
        self.skipped += [
            (f"{order.name}.{column}", "staging has no such column")
            for order in self.tables
            for column in order.skipped
        ]


def kept_tables(catalog: Catalog, policy: Policy) -> Iterator[str]:
    """Yield what a load does not change on staging: excluded tables with their inheritance children, excluded materialized
    views, the application's audit table, and the marker.
    """
    for table in catalog.tables:
        rule = rule_for(table, catalog, policy)
        excluded = rule is not None and rule.whole == "exclude"
        if excluded or str(table.name) == policy.audit.table or table.name.schema_name == "understudy":
            yield str(table.name)
    for view in catalog.materialized_views:
        if (rule := policy.tables.get(str(view))) is not None and rule.whole == "exclude":
            yield str(view)


def require_writable(match: Match, header: Header, catalog: Catalog, policy: Policy) -> None:
    """Require that the target itself stores every table that the load writes, with all rows visible to the loading role,
    and that every rule of the policy applies to something.

    Raise `DumpRefused` with each relation that prevents it, or `PolicyRefused`.
    """
    resolver = Resolver.of(catalog)
    written = [
        *(order.name for order in match.tables),
        *(t.name for t in catalog.tables if str(t.name) in match.emptied),
    ]
    skipped = {name for name, _ in match.skipped} - {*match.kept}
    excluded = {name for name, rule in policy.tables.items() if rule.whole == "exclude"}
    absent = [table.name for table in header.tables if str(table.name) in skipped - excluded]
    faults = [*unwritable(written, resolver), *taken_names(absent, resolver)]
    if faults:
        raise DumpRefused(
            f"The load would write outside the tables of {catalog.identity.database}: {'; '.join(map(str, faults))}.",
            next_step="Nothing was loaded. Correct staging as described in the message, or exclude the table in the policy.",
            faults=as_facts(faults),
        )
    if header.reached is not None:
        known = {*header.reached, *(str(table.name) for table in header.tables)}
        if stale := list(stale_rules(policy, known, resolver)):
            named = "; ".join(map(str, stale))
            raise PolicyRefused(
                f"The policy for {policy.app!r} has rules without effect: {named}.", faults=as_facts(stale)
            )


def _order(dumped: DumpedTable, table: Table, rows: int) -> LoadOrder:
    """Return the columns to load. Raise `DumpRefused` if staging needs a column that the dump does not have."""
    there = {column.name for column in table.copied}
    given = tuple(column.name for column in dumped.columns)
    for column in table.copied:
        optional = not column.not_null or column.default is not None or column.identity
        if column.name not in given and not optional and rows:
            raise DumpRefused(
                f"The dump has no column {table.name}.{column.name}, which staging declares NOT NULL without a default."
            )
    return LoadOrder(name=table.name, columns=given, skipped=tuple(c for c in given if c not in there), rows=rows)


def to_mask_now(header: Header) -> tuple[Anonymizer, ...]:
    """Return the anonymizers whose columns are raw in the dump."""
    raw = {column.anonymizer for table in header.tables for column in table.columns if column.raw}
    return tuple(kind for kind in Anonymizer if kind in raw)


def require_masked(header: Header, catalog: Catalog, policy: Policy) -> None:
    """Raise `DumpRefused` unless every column to load has the rule of the present policy, or is raw by the header.

    As in an export, a column that the policy does not name is refused.
    """
    rules, kept = dict(rules_of(catalog, policy)), set(kept_tables(catalog, policy))
    for dumped in header.tables:
        name = str(dumped.name)
        table = catalog.table(name)
        if table is None or name in kept:
            continue
        if name not in rules:
            raise _not_as_now(f"rows of {name}, which the policy drops or does not name")
        whole = rule_for(table, catalog, policy)
        named = inherited_rules(table, catalog, policy)
        for column in dumped.columns:
            if table.column(column.name) is None:
                continue
            rule = named.get(column.name)
            if rule is None and (whole is None or whole.whole != "keep"):
                raise _not_as_now(f"{name}.{column.name}, which the policy does not name")
            if rule is not None and rule.maker is not None and column.rule not in (rule.word, "unread"):
                raise _not_as_now(f"{name}.{column.name} as {column.rule!r}; the policy specifies {rule.word!r}")


def _not_as_now(found: str) -> DumpRefused:
    return DumpRefused(
        f"The dump contains {found}.", next_step="Nothing was loaded. Export again under the present policy."
    )


def draft_load(
    connection: psycopg.Connection[Any],
    facts: DumpFacts,
    policy: Policy,
    *,
    typed: str,
    real: str,
    readers: str,
    opted_out: tuple[Anonymizer, ...],
    requested_by: str,
    run_id: str,
    events: Callable[[], Iterator[Event]] | None = None,
) -> LoadPlan:
    """Check the target and plan the load. `real`: its name in the settings; if empty, that of the connection.
    `events` reads the dump again, for tables whose definition differs from production's; an unencrypted dump needs none.

    Raise `WrongHost`, `WrongTarget`, `DumpTooNew` or `DumpRefused`.
    """
    catalog = read_catalog(connection)
    policy = expand(policy, catalog).policy  # the export reported its faults
    hostname = real or catalog.identity.host
    marker = read_marker(connection)
    require_staging(catalog.identity, facts.header, marker)  # first: a target refused here gets no audit row either
    require_host(typed, hostname)
    require_version(facts.header, policy)
    require_masked(facts.header, catalog, policy)
    match = Match(facts, catalog, policy)
    require_writable(match, facts.header, catalog, policy)
    plan = LoadPlan(
        dump=facts.url,
        sha256=facts.sha256,
        digest=facts.trailer.digest,
        header=facts.header,
        hostname=hostname,
        target=catalog.identity,
        tables=tuple(match.tables),
        emptied=match.emptied,
        skipped=tuple(match.skipped),
        kept=match.kept,
        missing=tuple(missing_things(connection, facts, match.tables, match.absent, policy)),
        doubts=require_partitions(connection, match.tables, facts.header, catalog),
        accepted_doubts=policy.accept_doubts,
        untouched=match.untouched,
        firing=tuple(triggers_to_fire(catalog, MaskingPlan(tables=tuple(plans_for(catalog, policy))), match.tables)),
        readers=readers,
        unproven=facts.unproven,
        attack=facts.trailer.attack,
        first_load=marker is None,
        mask_now=tuple(kind for kind in to_mask_now(facts.header) if kind not in opted_out),
        arrives_raw=tuple(kind for kind in to_mask_now(facts.header) if kind in opted_out),
        catalog=structure_fingerprint(catalog, policy),
        requested_by=requested_by,
        run_id=run_id,
    )
    plan = _with_needs(connection, catalog, plan)
    reading = events or partial(read, facts.url, proven=facts.trailer.digest)
    return plan.model_copy(update={"doubts": require_rows_accepted(connection, plan, catalog, reading)})


def _with_needs(connection: psycopg.Connection[Any], catalog: Catalog, plan: LoadPlan) -> LoadPlan:
    """Return the plan with the tables whose readers wait and with its doubts. Raise `DumpRefused`."""
    names = {*plan.emptied, *(str(order.name) for order in plan.tables)}
    lifted = foreign_keys_to_lift(connection, catalog, plan)
    forgiven = unvalidated(connection, (table.name for table in catalog.tables if str(table.name) in names))
    altered = {name_of(row) for row in forgiven}
    require_privileges(missing_privileges(connection, catalog, plan, lifted, altered))
    ruled = (str(name_of(row)) for row in query_catalog(connection, "rules"))
    waiting = {str(name) for key in lifted for name in (key.table, key.references)} | set(map(str, altered))
    waiting |= names if plan.readers == "wait" else names.intersection(ruled)  # ALTER TABLE locks readers out
    doubts = (*plan.doubts, *event_trigger_doubts(connection))
    return plan.model_copy(update={"readers_wait": tuple(sorted(waiting)), "doubts": doubts})


def _require_left_alone(key: ForeignKey, readers: str) -> None:
    """Raise `DumpRefused` if a foreign key whose triggers are disabled would have to be created again.

    Only a superuser can disable the triggers of a foreign key, so that a load could not restore its state.
    """
    if readers == "wait":
        raise DumpRefused(
            f"The triggers of the foreign key {key.name} on {key.declared_on} are disabled; with readers: wait it would be "
            "created again with its triggers enabled. Expected enabled triggers, or readers: stay.",
            next_step="Nothing was loaded. Start the load with readers: stay, or have a superuser enable the triggers.",
        )


def foreign_keys_to_lift(connection: psycopg.Connection[Any], catalog: Catalog, plan: LoadPlan) -> list[ForeignKey]:
    """Return the foreign keys that the load drops and creates again in its transaction.

    With `plan.readers` "wait", all of written tables: checking them once at the end is faster. With "stay", only those
    that cannot hold in between (circles, tables that staging keeps, keys that are NOT VALID), or whose missing index makes
    deleting too slow; readers of their tables wait for the commit, because PostgreSQL locks both.
    """
    loaded = {str(order.name): number for number, order in enumerate(plan.tables)}
    written = {*loaded, *plan.emptied}
    place = {str(table.name): number for number, table in enumerate(parents_first(catalog))}
    slow = {
        (row["schema"], row["table"], row["name"])
        for row in query_catalog(connection, "unsupported_foreign_keys")
        if row["bytes"] > CHEAP_TO_SCAN
    }
    lifted = []
    for key in catalog.foreign_keys:
        child, parent = str(key.table), str(key.references)
        if parent not in written and child not in written:
            continue
        foreign = child not in written  # a kept table points at a written one
        circle = place[child] < place[parent]  # no order of deleting satisfies it
        backwards = (
            child in loaded and loaded.get(parent, -1) > loaded[child]
        )  # the dump's order of loading does not satisfy it
        unindexed = parent in written and (key.declared_on.schema_name, key.declared_on.name, key.name) in slow
        not_valid = not key.validated  # it checks new rows, and all rows of the dump are new
        if not key.watched:  # its disabled triggers do not stop the load, and would be enabled if it were created again
            _require_left_alone(key, plan.readers)
            continue
        if plan.readers == "wait" or foreign or circle or backwards or unindexed or not_valid:
            lifted.append(key)
    return lifted


def unwritable(written: Iterable[Name], resolver: Resolver) -> Iterator[Fault]:
    """Yield what keeps a load from writing these tables: rows that are stored elsewhere, or that the role cannot see."""
    for name in written:
        for leaf in resolver.leaves(name):
            if leaf.kind is Kind.FOREIGN:
                above = leaf.parents[0]
                why = f"{leaf.name} is {describe(leaf)}, so that emptying and loading {name} would change that server"
                remedy = f"on staging: ALTER TABLE {above} DETACH PARTITION {leaf.name}"
                yield Fault("foreign-partition", why, str(name), remedy=remedy)
        relation = resolver.find(name)
        for each in (relation, *resolver.partitions(name)):
            if each is not None and each.hidden:
                why = f"row security hides rows of {each.name} from the loading role"
                remedy = f"on staging: ALTER TABLE {each.name} NO FORCE ROW LEVEL SECURITY for the owner, or a role with BYPASSRLS"
                yield Fault("row-security", why, str(name), remedy=remedy)


def taken_names(absent: Iterable[Name], resolver: Resolver) -> Iterator[Fault]:
    """Yield the tables of the dump whose name stands for something else on staging: a view, a foreign table, a part."""
    for name in absent:
        relation = resolver.find(name)
        if relation is not None and not _is_table(relation):
            why = f"the dump has the table {name}, which is {describe(relation)} on staging"
            yield Fault("taken-name", why, str(name), remedy="rename it there")


def _is_table(relation: Relation) -> bool:
    return relation.holds_rows and not relation.partition and not relation.of_extension
