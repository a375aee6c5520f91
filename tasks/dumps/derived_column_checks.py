"""Derived columns: kept columns that are computed from masked ones, and columns that are recomputed."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from tasks.dumps.export_plan import ColumnPlan, MaskingPlan, TablePlan, anonymizer_of
from tasks.estate.dumps import LoadOrder
from tasks.estate.errors import DumpRefused
from tasks.estate.planning_faults import Fault
from tasks.estate.schema import Catalog, Name, Table
from tasks.masking.derived_columns import (
    TRUTH,
    Derived,
    is_embedding,
    left_on,
    looks_derived,
    unknown_triggers,
)
from tasks.masking.makers.recompute import ByTrigger, Recompute
from tasks.masking.policy import Policy
from tasks.masking.trigger_writes import Spot

SHARE = 0.2  # of the sampled rows; below it, equal words are chance
SHORTEST = 4  # letters of a word that counts
REMEDY = (
    'add `{recompute: "SQL over the masked row"}`, `{recompute: trigger}` or another maker for it; if it identifies no '
    "person, list the pair under `accept`, with a reason"
)


def derived_faults(
    catalog: Catalog, policy: Policy, plans: list[TablePlan], known: Mapping[Spot, Derived]
) -> Iterator[Fault]:
    """Yield the kept columns that derive from masked ones, and the rules of `recompute` that cannot work."""
    masked = masked_spots(plans)
    for plan in plans:
        for each in plan.columns:
            spot = str(plan.table.name), each.column.name
            if each.rule.maker is None and not each.unread and spot in known:
                pairs = [(source, each) for source in known[spot].reads if source in masked]
                named = [source for source, _ in pairs if not _accepted(policy, source, spot)]
                if named and each.column.base != TRUTH:
                    why = f"{_line(each)}{_dotted(spot)} ({each.column.type}) is kept and derives from "
                    why += f"{_listed(named, masked)} ({known[spot].by})"
                    yield Fault("derived", why, *spot, REMEDY)
            elif each.rule.maker is None and is_embedding(each.column):
                yield from _embedding_faults(policy, plan, each)
        yield from _recompute_faults(catalog, plan)


def _line(each: ColumnPlan) -> str:
    return f"line {each.rule.line}: " if each.rule.line else ""


def masked_spots(plans: list[TablePlan]) -> dict[Spot, str]:
    """Return the columns that are masked or not read, with the rule's word, even if they travel raw this time."""
    return {
        (str(plan.table.name), each.column.name): "unread" if each.unread else each.rule.word
        for plan in plans
        for each in plan.columns
        if each.rule.maker is not None or each.unread
    }


def _dotted(spot: Spot) -> str:
    return f"{spot[0]}.{spot[1]}"


def _listed(sources: list[Spot], masked: Mapping[Spot, str]) -> str:
    return ", ".join(f"{_dotted(source)}, which is masked ({masked[source]})" for source in sources)


def _accepted(policy: Policy, source: Spot, found: Spot) -> bool:
    return (_dotted(source), _dotted(found)) in policy.accepted


def accepted_pairs(catalog: Catalog, plans: list[TablePlan], known: Mapping[Spot, Derived]) -> set[tuple[str, str]]:
    """Return the pairs of source and derived column that `accept` may name."""
    masked = masked_spots(plans)
    pairs = {
        (_dotted(source), _dotted(spot))
        for spot, derived in known.items()
        for source in derived.reads
        if source in masked
    }
    for plan in plans:
        for each in plan.columns:
            if is_embedding(each.column) or looks_derived(each.column):
                found = f"{plan.table.name}.{each.column.name}"
                pairs |= {(f"{plan.table.name}.{source}", found) for source in _texts(plan)}
    return pairs


def _texts(plan: TablePlan) -> list[str]:
    """Return the masked columns of a table that may contain words."""
    return [
        each.column.name
        for each in plan.columns
        if each.rule.maker is not None
        and not isinstance(each.rule.maker, Recompute | ByTrigger)
        and (each.column.category == "S" or each.column.base in ("json", "jsonb"))
    ]


def _embedding_faults(policy: Policy, plan: TablePlan, each: ColumnPlan) -> Iterator[Fault]:
    """Yield a fault for a kept embedding, because its sources cannot be determined."""
    spot, texts = (str(plan.table.name), each.column.name), _texts(plan)
    if texts and not any(_accepted(policy, (spot[0], text), spot) for text in texts):
        why = f"{_line(each)}{_dotted(spot)} ({each.column.type}) is kept and holds an embedding whose source columns "
        why += f"are not known, and {', '.join(f'{spot[0]}.{text}' for text in texts)} of the same table are masked"
        remedy = "mask it with `null`, or list it under `accept` with one of them as its source, with a reason"
        yield Fault("derived", why, *spot, remedy)


def _recompute_faults(catalog: Catalog, plan: TablePlan) -> Iterator[Fault]:
    table = plan.table
    computed = {c.column.name: c for c in plan.columns if isinstance(c.rule.maker, Recompute | ByTrigger)}
    for name, each in computed.items():
        maker = each.rule.maker
        if isinstance(maker, Recompute):
            others = sorted((maker.reads & computed.keys()) - {name})
            if others:
                why = f"{_line(each)}{table.name}.{name}: recompute reads {others[0]}, which is recomputed itself"
                yield Fault("recompute", why, str(table.name), name)
            unread = sorted(c.column.name for c in plan.columns if c.unread and c.column.name in maker.reads)
            if unread:
                why = f"{_line(each)}{table.name}.{name}: recompute reads {unread[0]}, whose content is not read"
                yield Fault("recompute", why, str(table.name), name)
    by_trigger = _by_trigger(plan)
    for name, why in left_on(catalog, table, by_trigger).faults if by_trigger else ():
        where = f"{_line(computed[name])}{table.name}.{name}"
        yield Fault(
            "recompute", f"{where}: recompute: trigger: {why}", str(table.name), name, "write an expression instead"
        )


def with_watched_columns(policy: Policy, plans: list[TablePlan], known: Mapping[Spot, Derived]) -> list[TablePlan]:
    """Mark the columns whose rows are tested for words of masked columns.

    They look derived by name or type, but the application fills them: the catalogue does not show from which columns.
    """
    return [
        plan.model_copy(
            update={
                "columns": tuple(
                    each.model_copy(update={"watched": tuple(_watched(policy, plan, each, known))})
                    for each in plan.columns
                )
            }
        )
        if any(looks_derived(each.column) for each in plan.columns)
        else plan
        for plan in plans
    ]


def _watched(policy: Policy, plan: TablePlan, each: ColumnPlan, known: Mapping[Spot, Derived]) -> Iterator[str]:
    spot = str(plan.table.name), each.column.name
    if each.rule.maker is None and looks_derived(each.column) and spot not in known:
        yield from (text for text in _texts(plan) if not _accepted(policy, (spot[0], text), spot))


def word_faults(connection: psycopg.Connection[Any], plan: TablePlan, sample: Composable) -> Iterator[Fault]:
    """Yield the kept columns whose sampled rows hold words, or the checksum, of a masked column of the same row.

    A word that another kept column of the row contains is not a finding.
    """
    kept = [
        c.column
        for c in plan.columns
        if c.rule.maker is None and c.column.category == "S" and not looks_derived(c.column)
    ]
    others = SQL("concat_ws(' ', '', {})").format(
        SQL(", ").join(SQL("{}::text").format(Identifier(c.name)) for c in kept)
    )
    for each in plan.columns:
        for source in each.watched:
            query = SQL(
                "SELECT count(*) FILTER (WHERE kept IN (md5(text), md5(lower(text)),"
                " encode(sha256(convert_to(lower(text), 'UTF8')), 'hex'))"
                " OR EXISTS (SELECT FROM regexp_split_to_table(lower(text), '[^[:alnum:]]+') AS w (word)"
                " WHERE char_length(word) >= {shortest}"
                " AND strpos(kept, left(word, greatest({shortest}, char_length(word) - 2))) > 0 AND strpos(others, word) = 0)),"
                " count(*) FROM (SELECT lower({kept}::text) AS kept, {source}::text AS text, lower({others}) AS others"
                " FROM {sample} AS s) AS rows"
                " WHERE kept <> '' AND text <> ''"
            ).format(
                shortest=SHORTEST,
                kept=Identifier(each.column.name),
                source=Identifier(source),
                sample=sample,
                others=others if kept else SQL("''"),
            )
            (held, looked) = connection.execute(query).fetchone() or (0, 0)
            if held and held >= SHARE * looked:
                where = f"{_line(each)}{plan.table.name}.{each.column.name} ({each.column.type})"
                shown = f"which is masked, in {held} of {looked} sampled rows"
                why = f"{where} is kept and contains words of {plan.table.name}.{source}, {shown}"
                yield Fault("derived", why, str(plan.table.name), each.column.name, REMEDY)


def with_raw_recomputed(plan: TablePlan) -> TablePlan:
    """Mark columns as raw if they are recomputed from a column that travels raw.

    A load that masks the raw column must not leave values that were computed from it.
    """
    raw = {each.column.name: anonymizer_of(each.rule) for each in plan.columns if each.raw}
    columns = []
    for each in plan.columns:
        reads = sorted(raw.keys() & each.rule.maker.reads) if isinstance(each.rule.maker, Recompute) else []
        if reads:
            rule = each.rule.model_copy(update={"anonymizer": raw[reads[0]]})
            columns.append(each.model_copy(update={"rule": rule, "raw": True}))
        else:
            columns.append(each)
    return plan.model_copy(update={"columns": tuple(columns)}) if raw else plan


def derived_notes(catalog: Catalog, plans: list[TablePlan], known: Mapping[Spot, Derived]) -> Iterator[str]:
    """Yield notes about derived columns: those that the target computes, and triggers that could not be analysed."""
    masked, there = masked_spots(plans), {str(plan.table.name) for plan in plans}
    for plan in plans:
        name = str(plan.table.name)
        for column in plan.table.columns:
            sources = [s for s in known[name, column.name].reads if s in masked] if (name, column.name) in known else []
            if column.generated and sources:
                yield f"{name}.{column.name} is generated: the target computes it from {_listed(sources, masked)}"
        if by_trigger := _by_trigger(plan):
            triggers = ", ".join(left_on(catalog, plan.table, by_trigger).triggers)
            when = "while rows are loaded; whether it is NULL or not unique shows then"
            yield from (f"{name}.{column} is computed by {triggers} {when}" for column in by_trigger)
        for each in plan.columns:
            derived = known.get((name, each.column.name))
            gone = [s for s in derived.reads if s[0] not in there] if derived and each.rule.maker is None else []
            if derived and gone:
                absent = ", ".join(map(_dotted, gone))
                yield f"{name}.{each.column.name} is kept and derives from {absent}, which does not travel ({derived.by})"
    travelling = {spot[0] for spot in masked}
    for trigger, why in unknown_triggers(catalog):
        if str(trigger.table) in travelling:
            yield f"what the trigger {trigger.name} on {trigger.table} derives is not known: {why}"


def _by_trigger(plan: TablePlan) -> list[str]:
    return [each.column.name for each in plan.columns if isinstance(each.rule.maker, ByTrigger)]


def triggers_to_fire(catalog: Catalog, plan: MaskingPlan, orders: Collection[LoadOrder]) -> Iterator[tuple[Name, str]]:
    """Yield the triggers of the target, with their tables, that must run while these tables are loaded.

    Raise `DumpRefused` if the target has no such trigger, or one that does more than compute the columns.
    """
    for order in orders:
        table_plan = plan.table(str(order.name))
        columns = [name for name in _by_trigger(table_plan) if name in order.columns] if table_plan is not None else []
        table: Table | None = catalog.table(str(order.name))
        if table is None or not columns:
            continue
        found = left_on(catalog, table, columns)
        if found.faults:
            column, why = found.faults[0]
            raise DumpRefused(
                f"{order.name}.{column} is to be computed by a trigger of staging: {why}.",
                next_step="Nothing was loaded. Correct the trigger on staging, or export with an expression: `recompute`.",
            )
        yield from ((table.name, trigger) for trigger in found.triggers)
