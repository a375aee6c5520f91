"""Verify: what must be true of staging before the load may commit. Any finding rolls back."""

import re
from collections.abc import Iterator
from typing import Any

import bcrypt
import psycopg
from psycopg.sql import SQL, Identifier, Literal

from tasks.dumps.catalog import asked, identifier, name_of
from tasks.dumps.column_groups import groups_of
from tasks.dumps.connections import SPELLING
from tasks.dumps.export_plan import ColumnPlan, MaskingPlan, TablePlan, rules_of, table_plan
from tasks.dumps.leak_search import Lookup, Secrets, added, search_loaded, searched_in
from tasks.dumps.masking_sql import masked
from tasks.dumps.row_sources import only, rows_of
from tasks.dumps.sequences import require_sequences_ahead
from tasks.dumps.table_rules import dropped_partitions
from tasks.estate.dumps import Choices, LoadPlan
from tasks.estate.errors import LeakFound, NotLoaded
from tasks.estate.relations import Resolver
from tasks.estate.tables import Catalog
from tasks.masking.keyring import Keyring
from tasks.masking.makers.email import Email
from tasks.masking.makers.recompute import ByTrigger, Recompute
from tasks.masking.makers.texts import Password
from tasks.masking.policy import Policy
from tasks.masking.session import OUTPUT, PASSWORD, Session

Checks = list[tuple[str, str]]


def verify_loaded(
    connection: psycopg.Connection[Any],
    plan: LoadPlan,
    catalog: Catalog,
    policy: Policy,
    rows: dict[str, int],
    secrets: Secrets | None,
) -> tuple[tuple[str, str], ...]:
    """Look inside the load's transaction. Gives what was checked; raises `NotLoaded` or `LeakFound` at a finding."""
    tables = list(treated(plan, catalog, policy))
    checks: Checks = [
        ("row counts", _counts(connection, plan, catalog, rows)),
        ("emptied tables", _emptied(connection, plan, catalog, policy)),
        ("other tables", _unchanged(connection, plan, catalog)),
        ("foreign keys and unique keys", "held by PostgreSQL for every loaded row"),
        ("references of the policy", _references(connection, policy, catalog)),
        ("sequences", require_sequences_ahead(connection, plan, catalog)),
        ("masked columns", _constants(connection, tables)),
        ("attack", _attack(connection, tables, secrets, plan, policy.accepted)),
    ]
    return tuple(checks)


def masked_now(plan: LoadPlan, catalog: Catalog, policy: Policy) -> Iterator[TablePlan]:
    """The tables with columns that the dump holds raw and this load masks; what was masked before is not masked again."""
    raw = {(str(t.name), c.name) for t in plan.header.tables for c in t.columns if c.raw}
    for table in treated(plan, catalog, policy):
        name = str(table.table.name)
        wanted = {each.column.name for each in table.columns if each.masked and (name, each.column.name) in raw}
        if wanted:  # what was computed from raw values must not stay, whichever of them stays raw
            wanted |= {c.column.name for c in table.columns if c.raw and isinstance(c.rule.maker, Recompute)}
        if wanted:
            columns = (each.model_copy(update={"raw": each.column.name not in wanted}) for each in table.columns)
            yield TablePlan(table=table.table, columns=tuple(columns))


def treated(plan: LoadPlan, catalog: Catalog, policy: Policy) -> Iterator[TablePlan]:
    """What masking did to each loaded table: as the dump's header says it, with the policy's own makers."""
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
    """The policy laid over a target's tables, without its faults: the target may be older or newer than the policy."""
    rules = dict(rules_of(catalog, policy))
    groups, _ = groups_of(catalog, policy, rules)  # its faults were the export's to name
    for table in catalog.tables:
        if str(table.name) in rules:
            yield table_plan(table, rules[str(table.name)], groups, Choices())


def _counts(connection: psycopg.Connection[Any], plan: LoadPlan, catalog: Catalog, rows: dict[str, int]) -> str:
    total = 0
    for order in plan.tables:
        table = catalog.table(str(order.name))
        source = rows_of(table) if table is not None else identifier(order.name)
        (count,) = connection.execute(SQL("SELECT count(*) FROM {}").format(source)).fetchone() or (0,)
        if count != order.rows or rows.get(str(order.name)) != order.rows:
            raise NotLoaded(f"{order.name} has {count} rows after the load; the dump's trailer says {order.rows}.")
        total += count
    said = f"{total} rows in {len(plan.tables)} tables, as the dump's trailer says"
    lost = [f"{each.name} ({each.rows} rows)" for each in plan.missing if each.rows and each.what != "column"]
    return f"{said}; NOT LOADED, because staging has no such table: {', '.join(lost)}" if lost else said


def _emptied(connection: psycopg.Connection[Any], plan: LoadPlan, catalog: Catalog, policy: Policy) -> str:
    """Emptied tables and dropped partitions are counted: a rule or row security may have kept rows from being deleted."""
    tables = {str(table.name): table for table in catalog.tables}
    sources = [(name, rows_of(tables[name])) for name in plan.emptied if name in tables]
    sources += [(str(leaf), only(leaf)) for leaf in dropped_partitions(policy, Resolver.of(catalog))]
    for name, source in sources:
        (count,) = connection.execute(SQL("SELECT count(*) FROM {}").format(source)).fetchone() or (0,)
        if count:
            raise NotLoaded(
                f"{name} has {count} rows after the load; expected none, because the dump has no rows for it."
            )
    return f"{len(sources)} counted: no row is left" if sources else "none"


def _unchanged(connection: psycopg.Connection[Any], plan: LoadPlan, catalog: Catalog) -> str:
    """PostgreSQL's own count of what this transaction changed: only tables of the plan may be in it."""
    resolver = Resolver.of(catalog)
    written = {*plan.emptied, *(str(order.name) for order in plan.tables)}
    for row in asked(connection, "changes"):
        name = name_of(row)
        relation = resolver.find(name)
        if relation is None or not relation.holds_rows or str(resolver.root(relation).name) in written:
            continue
        changed = ", ".join(f"{row[what]} {what}" for what in ("inserted", "updated", "deleted") if row[what])
        raise NotLoaded(
            f"The load changed rows of {name}, which is not among its tables ({changed}); expected only tables of the plan."
        )
    return "no row changed in tables that staging keeps or that are not known"


def _references(connection: psycopg.Connection[Any], policy: Policy, catalog: Catalog) -> str:
    """References that only the policy knows: PostgreSQL does not hold them, so they are looked at."""
    looked = 0
    for reference in policy.references:
        child, parent = catalog.table(reference.table), catalog.table(reference.references)
        if child is None or parent is None:
            continue
        question = SQL(
            "SELECT count(*) FROM {} WHERE c.{column} IS NOT NULL"
            " AND NOT EXISTS (SELECT FROM {} WHERE p.{there} = c.{column})"
        ).format(
            rows_of(child, "c"),
            rows_of(parent, "p"),
            column=Identifier(reference.column),
            there=Identifier(reference.referenced_column),
        )
        (lost,) = connection.execute(question).fetchone() or (0,)
        if lost:
            raise NotLoaded(
                f"{lost} rows of {reference.table}.{reference.column} find no {reference.references}.{reference.referenced_column}; "
                "expected every one to."
            )
        looked += 1
    return f"{looked} held" if looked else "none declared"


def _constants(connection: psycopg.Connection[Any], tables: list[TablePlan]) -> str:
    """What can be told without the key is told from the values, because a header can lie: the password, columns that
    were not read, and replacements that do not depend on the key, which are computed again and compared.
    """
    compared = 0
    for key, value in SPELLING.items():
        connection.execute("SELECT set_config(%s, %s, true)", (key, value))
    for table in tables:
        for each in table.columns:
            if each.unread or isinstance(each.rule.maker, Password | Email):
                compared += _recognised(connection, table, each)
                continue
            if isinstance(each.rule.maker, ByTrigger):
                continue  # it was computed while the row was written
            if not each.masked or (each.rule.maker is not None and not each.rule.maker.has_python_twin):
                continue  # an SQL expression over its own result need not give the same again
            session = Session(Keyring(bytes(range(32)), run="verify"))  # a key that nothing was masked with
            made = masked(table, each, session)
            if set(session.settings) - set(OUTPUT):
                continue  # made with the key, which is not here
            question = SQL("SELECT count(*) FROM {} WHERE {}::text IS DISTINCT FROM ({})::text::{}::text").format(
                rows_of(table.table), Identifier(each.column.name), made, SQL(each.column.type)
            )  # fmt: skip
            (count,) = connection.execute(question).fetchone() or (0,)
            if count:
                raise LeakFound(
                    f"{count} values of {table.table.name}.{each.column.name} are not what its maker {each.rule.word!r} gives; "
                    "expected none, under a policy with the same options as at the export."
                )
            compared += 1
    return f"{compared} columns compared with what their makers give"


def _recognised(connection: psycopg.Connection[Any], table: TablePlan, each: ColumnPlan) -> int:
    """Whether the values have the form that their treatment gives them; counts the column if there is one to have."""
    if each.masked and isinstance(each.rule.maker, Password):
        _one_password(connection, table, each)
    elif each.unread:
        _none_but(connection, table, each, r"^(\\x)?$", "its content was not to be read")
    elif each.masked and isinstance(each.rule.maker, Email):
        pattern = f"^(user-[^@]+|u[0-9a-f]{{{each.rule.maker.chars}}})@{re.escape(each.rule.maker.domain)} *$"
        _none_but(connection, table, each, pattern, "not an address of this policy")
    else:
        return 0
    return 1


def _none_but(connection: psycopg.Connection[Any], table: TablePlan, each: ColumnPlan, pattern: str, why: str) -> None:
    question = SQL("SELECT count(*) FROM {} WHERE {}::text !~ {}").format(
        rows_of(table.table), Identifier(each.column.name), Literal(pattern)
    )
    (count,) = connection.execute(question).fetchone() or (0,)
    if count:
        raise LeakFound(f"{count} values of {table.table.name}.{each.column.name}: {why}; expected none.")


def _one_password(connection: psycopg.Connection[Any], table: TablePlan, each: ColumnPlan) -> None:
    question = SQL("SELECT {column}::text FROM {table} WHERE {column} IS NOT NULL GROUP BY 1 LIMIT 2").format(
        column=Identifier(each.column.name), table=rows_of(table.table)
    )
    found = [hashed.rstrip().encode() for (hashed,) in connection.execute(question).fetchall()]
    if len(found) > 1 or not all(_opens(hashed) for hashed in found):
        raise LeakFound(
            f"{table.table.name}.{each.column.name} holds password hashes that are not that of the staging password; "
            "expected that one for all."
        )


def _opens(hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(PASSWORD.encode(), hashed)
    except ValueError:  # no bcrypt hash at all
        return False


def _attack(
    connection: psycopg.Connection[Any],
    tables: list[TablePlan],
    secrets: Secrets | None,
    plan: LoadPlan,
    accepted: set[tuple[str, str]],
) -> str:
    """Search what arrived for the values whose hashes the dump carries."""
    if plan.arrives_raw:
        return "not run: anonymizers were switched off, so personal data is expected"
    if secrets is None:
        if not plan.unproven:
            raise NotLoaded(
                "The plan says that the dump is proven, and its proof could not be opened here; expected its key."
            )
        return f"NOT RUN: the dump is unproven: {plan.unproven}"
    found = added(search_loaded(connection, tables, Lookup(secrets)))
    leaks = [each for each in found if (each.source, each.found) not in accepted]
    if leaks:
        raise LeakFound(f"Values of the source were found on staging: {'; '.join(map(str, leaks))}.")
    allowed = f"; accepted by the policy: {'; '.join(map(str, found))}" if found else ""
    return f"{secrets.size} values of the source searched for in {searched_in(tables)} columns: none found{allowed}"
