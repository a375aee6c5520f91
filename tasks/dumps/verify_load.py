"""The verification of a load before it commits. Any finding rolls the load back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from tasks.dumps.catalog import identifier, name_of, query_catalog
from tasks.dumps.column_groups import groups_of
from tasks.dumps.connections import SPELLING
from tasks.dumps.export_plan import ColumnPlan, MaskingPlan, TablePlan, rules_of, table_plan
from tasks.dumps.leak_search import HashedValues, Lookup, Searcher, count_searched, search_loaded, searcher
from tasks.dumps.masking_sql import masked
from tasks.dumps.row_sources import count_rows, only, rows_of
from tasks.dumps.search_processes import SearchProcesses
from tasks.dumps.sequences import require_sequences_ahead
from tasks.dumps.table_rules import dropped_partitions
from tasks.estate.dumps import Choices, LoadPlan
from tasks.estate.errors import LeakFound, NotLoaded
from tasks.estate.relations import Resolver
from tasks.estate.schema import Catalog
from tasks.masking.keyring import Keyring
from tasks.masking.makers.email import Email
from tasks.masking.makers.recompute import ByTrigger, Recompute
from tasks.masking.makers.texts import Password
from tasks.masking.policy import Policy
from tasks.masking.session_settings import OUTPUT, PASSWORD, Session, opens

MANY_ROWS = 100_000  # to start two processes costs a second of CPU, as much as the search of so many rows
PROCESSES = 2  # of the leak search of a load, as an export has by default


def verify_loaded(
    connection: psycopg.Connection[Any],
    plan: LoadPlan,
    catalog: Catalog,
    policy: Policy,
    rows: dict[str, int],
    secrets: HashedValues | None,
) -> tuple[tuple[str, str], ...]:
    """Verify the load inside its transaction and return the checks with their results. Raise `NotLoaded` or `LeakFound`."""
    tables = list(treated(plan, catalog, policy))
    with _searching(plan, secrets) as search:
        return (
            ("row counts", _counts(connection, plan, catalog, rows)),
            ("emptied tables", _emptied(connection, plan, catalog, policy)),
            ("other tables", _unchanged(connection, plan, catalog)),
            ("foreign keys and unique keys", "enforced by PostgreSQL for every loaded row"),
            ("references of the policy", _references(connection, policy, catalog)),
            ("sequences", require_sequences_ahead(connection, plan, catalog)),
            ("masked columns", _constants(connection, tables)),
            ("leak search", _leak_search(connection, tables, search, secrets, plan, policy.accepted)),
        )


def masked_now(plan: LoadPlan, catalog: Catalog, policy: Policy) -> Iterator[TablePlan]:
    """Yield the tables with columns that are raw in the dump and masked by this load; no column is masked twice."""
    raw = {(str(t.name), c.name) for t in plan.header.tables for c in t.columns if c.raw}
    for table in treated(plan, catalog, policy):
        name = str(table.table.name)
        wanted = {each.column.name for each in table.columns if each.masked and (name, each.column.name) in raw}
        if wanted:  # a column that was computed from raw values is computed again, whichever of them stays raw
            wanted |= {c.column.name for c in table.columns if c.raw and isinstance(c.rule.maker, Recompute)}
        if wanted:
            columns = (each.model_copy(update={"raw": each.column.name not in wanted}) for each in table.columns)
            yield TablePlan(table=table.table, columns=tuple(columns))


def treated(plan: LoadPlan, catalog: Catalog, policy: Policy) -> Iterator[TablePlan]:
    """Yield how each loaded table was masked: as in the dump's header, with the policy's own makers."""
    raw = {(str(t.name), c.name) for t in plan.header.tables for c in t.columns if c.raw}
    words = {(str(t.name), c.name): c.rule for t in plan.header.tables for c in t.columns}
    masking = MaskingPlan(tables=tuple(plans_for(catalog, policy)))
    for order in plan.tables:
        known = masking.table(str(order.name))
        if known is None:
            continue
        columns = []
        for each in known.columns:
            where = (str(order.name), each.column.name)
            if where not in words:
                continue
            travelled_raw = where in raw and each.anonymizer not in plan.mask_now
            agrees = words[where] in (each.rule.word, "unread")
            rule = each.rule if agrees else each.rule.model_copy(update={"maker": None})
            columns.append(
                each.model_copy(update={"rule": rule, "raw": travelled_raw, "unread": words[where] == "unread"})
            )
        yield TablePlan(table=known.table, columns=tuple(columns))


def plans_for(catalog: Catalog, policy: Policy) -> Iterator[TablePlan]:
    """Yield the policy's plans for a target's tables, ignoring faults: the target may be older or newer than the policy."""
    rules = dict(rules_of(catalog, policy))
    groups, _ = groups_of(catalog, policy, rules)  # the export reported its faults
    for table in catalog.tables:
        if str(table.name) in rules:
            yield table_plan(table, rules[str(table.name)], groups, Choices())


def _counts(connection: psycopg.Connection[Any], plan: LoadPlan, catalog: Catalog, rows: dict[str, int]) -> str:
    total = 0
    for order in plan.tables:
        table = catalog.table(str(order.name))
        count = count_rows(connection, rows_of(table) if table is not None else identifier(order.name))
        if count != order.rows or rows.get(str(order.name)) != order.rows:
            raise NotLoaded(
                f"{order.name} has {count} rows after the load; expected {order.rows}, as in the dump's trailer."
            )
        total += count
    text = f"{total} rows in {len(plan.tables)} tables, as in the dump's trailer"
    lost = [f"{each.name} ({each.rows} rows)" for each in plan.missing if each.rows and each.what != "column"]
    return f"{text}; NOT LOADED, because staging has no such table: {', '.join(lost)}" if lost else text


def _emptied(connection: psycopg.Connection[Any], plan: LoadPlan, catalog: Catalog, policy: Policy) -> str:
    """Count emptied tables and dropped partitions: a rule or row security may have kept rows from being deleted."""
    tables = {str(table.name): table for table in catalog.tables}
    sources = [(name, rows_of(tables[name])) for name in plan.emptied if name in tables]
    sources += [(str(leaf), only(leaf)) for leaf in dropped_partitions(policy, Resolver.of(catalog))]
    for name, source in sources:
        if count := count_rows(connection, source):
            raise NotLoaded(
                f"{name} has {count} rows after the load; expected none, because the dump has no rows for it."
            )
    return f"{len(sources)} counted: no row is left" if sources else "none"


def _unchanged(connection: psycopg.Connection[Any], plan: LoadPlan, catalog: Catalog) -> str:
    """Require that PostgreSQL's own counts of changed rows in this transaction name only tables of the plan."""
    resolver = Resolver.of(catalog)
    written = {*plan.emptied, *(str(order.name) for order in plan.tables)}
    for row in query_catalog(connection, "changes"):
        name = name_of(row)
        relation = resolver.find(name)
        if relation is None or not relation.holds_rows or str(resolver.root(relation).name) in written:
            continue
        changed = ", ".join(f"{row[what]} {what}" for what in ("inserted", "updated", "deleted") if row[what])
        raise NotLoaded(
            f"The load changed rows of {name}, which is not among its tables ({changed}); expected only tables of the plan."
        )
    return "no row changed in tables that staging keeps or that the policy does not know"


def _references(connection: psycopg.Connection[Any], policy: Policy, catalog: Catalog) -> str:
    """Check the references that only the policy declares, because PostgreSQL does not enforce them."""
    checked = 0
    for reference in policy.references:
        child, parent = catalog.table(reference.table), catalog.table(reference.references)
        if child is None or parent is None:
            continue
        orphaned = SQL(
            "c.{column} IS NOT NULL AND NOT EXISTS (SELECT FROM {parents} WHERE p.{referenced} = c.{column})"
        ).format(
            column=Identifier(reference.column),
            parents=rows_of(parent, "p"),
            referenced=Identifier(reference.referenced_column),
        )
        if lost := count_rows(connection, rows_of(child, "c"), orphaned):
            raise NotLoaded(
                f"{lost} rows of {reference.table}.{reference.column} find no {reference.references}.{reference.referenced_column}; "
                "expected a match for each."
            )
        checked += 1
    return f"{checked} held" if checked else "none declared"


def _constants(connection: psycopg.Connection[Any], tables: list[TablePlan]) -> str:
    """Check values that can be checked without the key, because a header may be wrong: the password, columns that were
    not read, and replacements that do not depend on the key, which are computed again and compared. Each table is read once.
    """
    compared = 0
    for key, value in SPELLING.items():
        connection.execute("SELECT set_config(%s, %s, true)", (key, value))
    for table in tables:
        wrong = [(each, *found) for each in table.columns if (found := _wrong(table, each)) is not None]
        passwords = [each for each in table.columns if _is_staging_password(each)]
        for each in passwords:
            _require_staging_password(connection, table, each)
        compared += len(wrong) + len(passwords)
        if not wrong:
            continue
        counts = SQL(", ").join(SQL("count(*) FILTER (WHERE {})").format(condition) for _, condition, _ in wrong)
        row = connection.execute(SQL("SELECT {} FROM {}").format(counts, rows_of(table.table))).fetchone() or ()
        for (each, _, why), count in zip(wrong, row, strict=True):
            if count:
                raise LeakFound(f"{count} values of {table.table.name}.{each.column.name}{why}")
    return f"{compared} columns compared with the results of their makers"


def _is_staging_password(each: ColumnPlan) -> bool:
    return not each.unread and each.masked and isinstance(each.rule.maker, Password)


def _wrong(table: TablePlan, each: ColumnPlan) -> tuple[Composable, str] | None:
    """Return the condition that values of a column must not satisfy, with words for those that do. None: it cannot be checked."""
    maker, name = each.rule.maker, Identifier(each.column.name)
    if each.unread:
        return _other_form(name, r"^(\\x)?$"), ": its content was not to be read; expected none."
    if isinstance(maker, Email) and each.masked:
        pattern = f"^(user-[^@]+|u[0-9a-f]{{{maker.chars}}})@{re.escape(maker.domain)} *$"
        return _other_form(name, pattern), ": not an address of this policy; expected none."
    if isinstance(maker, Password | Email | ByTrigger):
        return None  # a trigger computed it while the row was written
    if not each.masked or (maker is not None and not maker.has_python_twin):
        return None  # an SQL expression over its own result may return another value
    session = Session(Keyring(bytes(range(32)), run="verify"))  # a key that nothing was masked with
    made = masked(table, each, session)
    if set(session.settings) - set(OUTPUT):
        return None  # made with the key, which is not here
    differing = SQL("{}::text IS DISTINCT FROM ({})::text::{}::text").format(name, made, SQL(each.column.type))
    return differing, (
        f" differ from the result of their maker {each.rule.word!r}; expected none, under a policy with the same options as at"
        " the export."
    )


def _other_form(name: Identifier, pattern: str) -> Composable:
    return SQL("{}::text !~ {}").format(name, Literal(pattern))


def _require_staging_password(connection: psycopg.Connection[Any], table: TablePlan, each: ColumnPlan) -> None:
    query = SQL("SELECT {column}::text FROM {table} WHERE {column} IS NOT NULL GROUP BY 1 LIMIT 2").format(
        column=Identifier(each.column.name), table=rows_of(table.table)
    )
    found = [hashed.rstrip() for (hashed,) in connection.execute(query).fetchall()]
    if len(found) > 1 or not all(opens(PASSWORD, hashed) for hashed in found):
        raise LeakFound(
            f"{table.table.name}.{each.column.name} contains password hashes that are not that of the staging password; "
            "expected that one for all."
        )


@contextmanager
def _searching(plan: LoadPlan, secrets: HashedValues | None) -> Iterator[Searcher]:
    """Provide the leak search: of many rows in processes, which start while other checks run, of few in this one."""
    if secrets is None or not secrets.size or sum(order.rows for order in plan.tables) < MANY_ROWS:
        yield searcher(Lookup(secrets or HashedValues()))
        return
    with SearchProcesses(secrets, PROCESSES) as processes:
        yield processes.search


def _leak_search(
    connection: psycopg.Connection[Any],
    tables: list[TablePlan],
    search: Searcher,
    secrets: HashedValues | None,
    plan: LoadPlan,
    accepted: set[tuple[str, str]],
) -> str:
    """Search the loaded rows for the values whose hashes the dump contains."""
    if plan.arrives_raw:
        return "not run: anonymizers were switched off, so personal data is expected"
    if secrets is None:
        if not plan.unproven:
            raise NotLoaded(
                "The dump is proven according to the plan, but its proof could not be opened here; expected its key."
            )
        return f"NOT RUN: the dump is unproven: {plan.unproven}"
    found = search_loaded(connection, tables, search) if secrets.size else ()
    leaks = [each for each in found if (each.source, each.found) not in accepted]
    if leaks:
        raise LeakFound(f"Values of the source were found on staging: {'; '.join(map(str, leaks))}.")
    allowed = f"; accepted by the policy: {'; '.join(map(str, found))}" if found else ""
    return f"{secrets.size} values of the source searched for in {count_searched(tables)} columns: none found{allowed}"
