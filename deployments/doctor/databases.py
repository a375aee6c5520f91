"""What the worker needs of the databases: a source that it may read, and a target that it may write."""

import os
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg

from deployments.doctor.examination import Finding, bad, examine, good, unknown
from tasks.configuration.settings import Settings, load_settings
from tasks.dumps.connections import connected_to
from tasks.estate.estate import Estate
from tasks.loads import require_import_allowed

SOURCE, TARGET = "UNDERSTUDY_SOURCE_DATABASE", "UNDERSTUDY_TARGET_DATABASE"
WITHIN = 30.0  # seconds for one statement; it reads the catalogue only
NAME = "understudy doctor"  # as pg_stat_activity shows it
SHOWN = 5  # tables in one finding
TABLES = """SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname NOT IN ('information_schema', 'understudy')"""
LACKING_SELECT = f"{TABLES} AND NOT pg_catalog.has_any_column_privilege(c.oid, 'SELECT') ORDER BY 1"
LACKING_WRITE = f"""{TABLES} AND NOT (pg_catalog.has_table_privilege(c.oid, 'INSERT')
AND pg_catalog.has_table_privilege(c.oid, 'DELETE')) ORDER BY 1"""
RIGHTS = """SELECT current_user, quote_ident(current_database()),
pg_catalog.has_database_privilege(current_database(), 'CREATE'),
pg_catalog.has_database_privilege(current_database(), 'TEMPORARY')"""


def examine_databases(estate: Estate) -> Iterator[Finding]:
    """Yield the findings about the databases of the settings; those that the estate names by other settings are not known."""
    settings = load_settings()
    for database in estate.databases:
        if {database.source, database.target or TARGET} - {SOURCE, TARGET}:
            detail = "Its addresses are in settings of their own, which are not checked here."
            remedy = (
                f"`understudy dump --policy {settings.policies}/{database.policy}.yaml --plan-only` checks its source."
            )
            yield unknown(f"database {database.name}", detail, remedy)
    if settings.source_database.get_secret_value():
        yield from examine("source database", lambda: examine_source(settings))
        if not settings.masking_key.get_secret_value():
            remedy = "Set UNDERSTUDY_MASKING_KEY: openssl rand -hex 32"
            yield bad("masking key", "There is no masking key, so nothing can be exported.", remedy)
    if settings.target_database.get_secret_value():
        yield from examine("target database", lambda: examine_target(settings))
        yield from examine("imports allowed", _imports)


def examine_source(settings: Settings) -> Iterator[Finding]:
    """Yield whether the role of production may read its tables."""
    url = settings.source_database.get_secret_value()
    with connected_to(url, name=NAME, statement_within=WITHIN) as connection:
        tables, lacking = _names(connection, TABLES), _names(connection, LACKING_SELECT)
    if not tables:
        remedy = "Check the database that UNDERSTUDY_SOURCE_DATABASE names, and the role's USAGE on its schemas."
        yield bad("source database", "The role sees no tables.", remedy)
    elif lacking:
        detail = f"Of {len(tables)} tables the role may not read {_listed(lacking)}; a policy may drop or exclude them."
        remedy = "`understudy dump --policy FILE --plan-only` names what is missing, with the statement that grants it."
        yield unknown("source database", detail, remedy)
    else:
        yield good("source database", f"The role may read all {len(tables)} tables.")


def examine_target(settings: Settings) -> Iterator[Finding]:
    """Yield whether the role of staging may replace its tables."""
    url = settings.target_database.get_secret_value()
    with connected_to(url, name=NAME, statement_within=WITHIN, reading=False) as connection:
        tables, lacking = _names(connection, TABLES), _names(connection, LACKING_WRITE)
        role, database, create, temporary = connection.execute(RIGHTS).fetchone() or ("", "", False, False)
    for right, held in (("CREATE", create), ("TEMPORARY", temporary)):
        if not held:
            remedy = f"On staging: GRANT {right} ON DATABASE {database} TO {role}"
            yield bad("target database", f"The role {role} lacks {right} on the database.", remedy)
    if lacking:
        remedy = "Use the owner of the tables as the loading role, or grant it INSERT and DELETE on them."
        yield bad("target database", f"Of {len(tables)} tables the role may not write {_listed(lacking)}.", remedy)
    elif create and temporary:
        yield good("target database", f"The role {role} may write all {len(tables)} tables.")


def _imports() -> Iterator[Finding]:
    require_import_allowed()
    yield good("imports allowed", f"APP_ALLOW_PROD_IMPORT is {os.environ.get('APP_ALLOW_PROD_IMPORT')}.")


def _names(connection: psycopg.Connection[Any], query: LiteralString) -> list[str]:
    return [name for (name,) in connection.execute(query.replace("%%", "%"))]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
