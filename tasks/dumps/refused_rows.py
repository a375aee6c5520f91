"""Rows that staging refuses: the fault behind the server's error, with staging's names and without any value."""

import re
from collections.abc import Mapping

import psycopg

from tasks.estate.dumps import DumpedTable
from tasks.estate.planning_faults import Fault
from tasks.estate.schema import Name, Table

MIGRATE = "run the application's migrations on staging"
VALUES = {  # SQLSTATE of a value that a type refuses
    "22001": "contains a value that is too long",
    "22003": "contains a number that is too large",
    "22P02": "contains a value that the type does not have",
    "22007": "contains a value that is not a date or time",
    "22008": "contains a date or time that is out of range",
}


def refused_row_fault(error: psycopg.Error, table: Table, dumped: DumpedTable, names: Mapping[str, Name]) -> Fault:
    """Return the fault behind an error of writing to a copy of `table`. `names`: the table or partition of each copy."""
    diagnosis, state = error.diag, error.sqlstate or ""
    where = names.get(diagnosis.table_name or "", table.name)
    if state == "23502" and diagnosis.column_name:
        column = diagnosis.column_name
        message = f"{where}.{column}: the dump has rows with NULL; staging's column is NOT NULL"
        return _fault("not-null", message, table, column, f"ALTER TABLE {where} ALTER COLUMN {column} DROP NOT NULL")
    if state == "23514" and diagnosis.constraint_name and not diagnosis.datatype_name:
        return _check(diagnosis.constraint_name, table, where)
    if state == "23514" and not diagnosis.constraint_name:
        keys = "no partition takes a row of the dump, by its values in the partition key"
        return Fault(
            "partition", f"{where}: {keys}", str(table.name), "", f"{MIGRATE}, or add the partition or a DEFAULT one"
        )
    if state in ("23505", "23P01"):
        return _key(error, table, where)
    return _value(error, table, dumped, where)


def _fault(kind: str, message: str, table: Table, column: str, statement: str) -> Fault:
    return Fault(kind, message, str(table.name), column, f"{MIGRATE}, or: {statement}")


def _check(name: str, table: Table, where: Name) -> Fault:
    check = next((each for each in table.checks if each.name == name), None)
    expression = f": {check.expression}" if check is not None else ""
    columns = check.columns if check is not None else ()
    message = f"{where}{_of(columns)}: a row of the dump does not satisfy staging's CHECK {name}{expression}"
    return _fault("check", message, table, _one(columns), f"ALTER TABLE {where} DROP CONSTRAINT {name}")


def _key(error: psycopg.Error, table: Table, where: Name) -> Fault:
    """Return the fault of a violated key. The copy's index has another name: find the key by the columns in the message."""
    detail = error.diag.message_detail or ""
    listed = re.search(r"\(([^=]*)\)=\(", detail)
    read = {part.strip().strip('"') for part in listed[1].split(",")} if listed else set()
    keys = [key for key in table.unique_keys if key.leaf in (None, where)]
    exact = [key for key in keys if read and read == {*key.columns}]
    named = exact or [
        key for key in keys if not read or any(name in " ".join(read) for name in (*key.columns, *key.computed))
    ]
    names = " or ".join(dict.fromkeys(key.name for key in named)) or "a unique key"
    columns = tuple(dict.fromkeys(c for key in named for c in (*key.columns, *key.computed, *key.conditions)))
    message = f"{where}{_of(columns)}: two rows of the dump conflict under staging's unique or exclusion key {names}"
    return _fault("unique", message, table, _one(columns), f"drop {names} on staging")


def _value(error: psycopg.Error, table: Table, dumped: DumpedTable, where: Name) -> Fault:
    """Return the fault of a value that a type, domain, computed column or index refuses. CONTEXT has its column, then the
    value, which is not read.
    """
    head = (error.diag.context or "").split("\n")[0].partition(": ")[0]
    found = [each for each in dumped.columns if head.endswith(f" {each.name}")]
    state = error.sqlstate or ""
    if not found or (column := table.column(found[-1].name)) is None:
        why = f"({type(error).__name__}, SQLSTATE {state})"
        what = f"a computed column, a default or an index of staging fails for a row of the dump {why}"
        return Fault("computed", f"{where}: {what}", str(table.name), "", MIGRATE)
    what = VALUES.get(state, f"contains a value that is refused ({type(error).__name__}, SQLSTATE {state})")
    if error.diag.constraint_name:
        what = f"contains a value that does not satisfy the CHECK {error.diag.constraint_name} of {column.domain or column.type}"
    known = f"; labels: {', '.join(column.enum_labels)}" if column.enum_labels else ""
    message = f"{table.name}.{column.name}: the dump, where it is {found[-1].type}, {what}; staging expects {column.type}{known}"
    same = column.type == found[-1].type
    statement = (
        f"change the type {column.type} on staging"
        if same
        else f"ALTER TABLE {table.name} ALTER COLUMN {column.name} TYPE {found[-1].type}"
    )
    return _fault("type", message, table, column.name, statement)


def _of(columns: tuple[str, ...]) -> str:
    return f".{', '.join(columns)}" if columns else ""


def _one(columns: tuple[str, ...]) -> str:
    return columns[0] if len(columns) == 1 else ""
