"""The target of a load: its connection, and one row in the application's audit table for every attempt that is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tasks.configuration.estate_settings import target_settings
from tasks.configuration.settings import Settings
from tasks.dumps.audit_table import AuditTable
from tasks.dumps.connections import connected_to
from tasks.estate.errors import GateClosed, UnderstudyError, WrongTarget
from tasks.ledger.ledger import may_have_acted
from tasks.masking.policy import load_policy
from tasks.runtime.current_run import run_logger, this_run
from tasks.runtime.resources import open_ledger

AUDITED = "audited"  # fact of an error whose attempt has its audit row already


@contextmanager
def audit_refusals(dump: str, policy: str, *, requested_by: str) -> Iterator[None]:
    """Record a refused load in the application's audit table.

    Nothing is written if this worker's environment does not allow imports, or if the target is proven to be something else: it
    may be production. An error of a run whose load may have been committed is no refusal.
    """
    try:
        yield
    except (GateClosed, WrongTarget):
        raise
    except UnderstudyError as error:
        if not error.facts.get(AUDITED):
            _audit_refusal(dump, policy, requested_by, error)
        raise


def _audit_refusal(dump: str, policy: str, requested_by: str, error: UnderstudyError) -> None:
    try:
        if may_have_acted(open_ledger().facts(run_id=this_run())):
            return
        settings = target_settings(policy)
        with connect_target(settings, "understudy audit") as connection:
            table = AuditTable(connection, load_policy(settings.policies, policy).audit, make=False)
            table.refuse(file=file_of(dump), run_id=this_run(), requested_by=requested_by, error=error.message)
    except (UnderstudyError, psycopg.Error):  # the refusal itself matters
        run_logger().warning("The refusal could not be written to the audit table of the target.")


def connect_target(settings: Settings, name: str) -> Any:
    """Return a connection to the target, as the owner of its tables."""
    return connected_to(
        settings.target_database.get_secret_value(),
        name=name,
        statement_within=settings.statement_within,
        lock_within=settings.lock_within,
        reading=False,
    )


def file_of(dump: str) -> str:
    """Return the name of a dump without its folder."""
    return dump.rsplit("/", 1)[-1]
