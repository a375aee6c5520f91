"""Columns that are computed from others, generated or set by triggers, and the triggers that can stay on during a load."""

from collections.abc import Collection, Iterator, Mapping

from tasks.estate.schema import Catalog, Column, Table, Trigger
from tasks.estate.sites import Immutable
from tasks.masking.personal_columns import spelling
from tasks.masking.sql_tokens import Token, called, reads_table, statements, tokens
from tasks.masking.trigger_writes import BY_ARGUMENTS, Spot, TriggerWrites

VECTORS = ("vector", "halfvec", "sparsevec")
TRUTH = "bool"  # a boolean reveals next to nothing of its sources
# Names of columns that are computed from others in the row.
DERIVED_NAME = (
    "_slug_", "_slugs_", "_permalink_", "_search_", "_searchable_", "_tsv_", "_tsvector_", "_vector_", "_fts_", "_normalized_",
    "_normalised_", "_canonical_", "_lower_", "_lowercase_", "_lowered_", "_initials_", "_fingerprint_", "_full_name_", "_fullname_",
    "_display_name_", "_displayname_", "_sort_name_", "_sort_key_", "_soundex_", "_metaphone_", "_phonetic_", "_gravatar_", "_md5_",
)  # fmt: skip
TOUCHING = {
    "insert": "writes other rows", "update": "writes other rows", "delete": "writes other rows", "merge": "writes other rows",
    "execute": "runs SQL that is built at run time", "perform": "calls a function for its side effects",
    "call": "calls a procedure", "truncate": "writes other rows", "copy": "writes other rows", "notify": "notifies others",
    "lock": "locks a table", "set": "changes settings", "create": "changes the schema", "alter": "changes the schema",
    "drop": "changes the schema", "refresh": "writes other rows", "commit": "ends the transaction", "rollback": "ends the transaction",
}  # fmt: skip
ACTING = {"nextval", "setval", "set_config", "pg_notify", "pg_sleep", "query_to_xml", "currval", "lastval"}
ACTING_PREFIXES = ("dblink", "lo_", "pg_advisory", "http")


class Derived(Immutable):
    """A column that is computed from others. `by` describes what computes it."""

    table: str
    column: str
    reads: tuple[Spot, ...]  # sorted, including columns read through other derived columns
    by: str


def derived_columns(catalog: Catalog) -> dict[Spot, Derived]:
    """Return the columns that are known to be computed from others."""
    reads: dict[Spot, set[Spot]] = {}
    by: dict[Spot, str] = {}
    for table in catalog.tables:
        for column in table.columns:
            if column.generated:
                spot = str(table.name), column.name
                reads[spot] = {(str(table.name), name) for name in column.computed_from}
                by[spot] = "it is generated"
    for writes in writes_of(catalog):
        for spot, sources in writes.written.items():
            reads.setdefault(spot, set()).update(sources)
            what = "rule" if writes.trigger.language == "rule" else "trigger"
            by.setdefault(spot, f"the {what} {writes.trigger.name} on {writes.trigger.table} sets it")
    found = {}
    for spot, how in by.items():
        sources = _closed(spot, reads)
        if sources:
            found[spot] = Derived(table=spot[0], column=spot[1], reads=tuple(sorted(sources)), by=how)
    return found


def _closed(spot: Spot, reads: Mapping[Spot, set[Spot]]) -> set[Spot]:
    """Return what a column reads, directly and through other derived columns, without itself."""
    found, waiting = set[Spot](), [spot]
    while waiting:
        new = reads.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found - {spot}


def writes_of(catalog: Catalog) -> Iterator[TriggerWrites]:
    """Yield what each trigger writes."""
    return (TriggerWrites(catalog, trigger) for trigger in catalog.triggers)


def is_embedding(column: Column) -> bool:
    """Return whether a column holds an embedding: numbers from which a text can be guessed."""
    declared = (column.domain or column.type).rpartition(".")[2].partition("(")[0].strip('"')
    named = "_embedding" in spelling(column.name) or spelling(column.name).endswith("_vector_")
    return declared in VECTORS or column.base in VECTORS or (named and column.array and column.category == "N")


def looks_derived(column: Column) -> bool:
    """Return whether a column is computed from others by its type or name, whatever computes it."""
    name = spelling(column.name)
    return column.base == "tsvector" or (
        column.category == "S" and not column.array and any(word in name for word in DERIVED_NAME)
    )


class LeftOn(Immutable):
    """The triggers of one table that compute columns during a load; `faults` are columns without one, with the reason."""

    triggers: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


def left_on(catalog: Catalog, table: Table, columns: Collection[str]) -> LeftOn:
    """Return the triggers that compute these columns of new rows, and why a column has no trigger that can stay on."""
    writes = [TriggerWrites(catalog, trigger) for trigger in catalog.triggers if trigger.table == table.name]
    chosen: list[str] = []
    faults = []
    for column in columns:
        setting = [each for each in writes if (str(table.name), column) in each.written]
        reasons = [why for each in setting if (why := _why_off(catalog, each, columns))]
        if not setting:
            faults.append((column, f"no trigger of {table.name} is known to set it"))
        elif reasons:
            faults.append((column, reasons[0]))
        else:
            chosen += [each.trigger.name for each in setting]
    return LeftOn(triggers=tuple(dict.fromkeys(chosen)), faults=tuple(faults))


def _why_off(catalog: Catalog, writes: TriggerWrites, columns: Collection[str]) -> str:
    """Return why a trigger cannot run during a load; empty if it sets these columns of its own row and nothing else."""
    trigger = writes.trigger
    name = f"the trigger {trigger.name}"
    if trigger.state not in "OA":
        return f"{name} is disabled" if trigger.state == "D" else f"{name} fires on replicas only"
    if not (trigger.before and trigger.row):
        return f"{name} does not run before each row"
    if not trigger.insert:
        return f"{name} does not run on INSERT, and a load inserts"
    if trigger.conditional and any(_is_not_null(catalog, trigger, column) for column in columns):
        return f"{name} runs under a condition only, and the column is NOT NULL"
    if trigger.partition:
        return f"{name} is on a partition alone"
    if writes.unknown:
        return f"{name} cannot stay on: {writes.unknown[0]}"
    others = sorted(column for _, column in writes.written if column not in columns)
    if others:
        return f"{name} also sets {', '.join(others)}, which would then differ from the plan"
    if trigger.function in BY_ARGUMENTS and trigger.language != "plpgsql":
        return ""
    why = _touches(tokens(trigger.source), catalog, frozenset())
    return f"{name} {why}" if why else ""


def _is_not_null(catalog: Catalog, trigger: Trigger, name: str) -> bool:
    table = catalog.table(str(trigger.table))
    column = table.column(name) if table is not None else None
    return column is not None and column.not_null


def _touches(found: list[Token], catalog: Catalog, seen: frozenset[str]) -> str:
    """Return why a body reads or writes more than its own row; empty if it does not."""
    for statement in statements(found):
        if why := TOUCHING.get(statement[0].word):
            return why
        if statement[0].word == "return" and [token.word for token in statement[1:]] == ["null"]:
            return "may leave rows out (RETURN NULL)"
    for place, token in enumerate(found):
        if token.word == "from" and reads_table(found, place):
            return "reads other rows"
    for name in sorted(called(found)):
        if name in ACTING or name.startswith(ACTING_PREFIXES):
            return f"calls {name}"
        for function in (each for each in catalog.functions if each.name.name == name):
            if name in seen:
                continue
            if function.language not in ("sql", "plpgsql"):
                return f"calls {function.name}, which is written in {function.language}"
            if why := _touches(tokens(function.source), catalog, seen | {name}):
                return f"calls {function.name}, which {why}"
    return ""


def unknown_triggers(catalog: Catalog) -> Iterator[tuple[Trigger, str]]:
    """Yield the triggers with unknown writes, each with the reason."""
    for writes in writes_of(catalog):
        for why in writes.unknown:
            yield writes.trigger, why
