"""Previews: read-only steps before an export. What masking would do to a few rows, and a draft of a policy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from prefect import get_run_logger, task

from tasks.configuration.estate_settings import source_settings
from tasks.configuration.settings import load_settings
from tasks.dumps.catalog import read_catalog
from tasks.dumps.column_samples import samples_of
from tasks.dumps.connections import connected_to
from tasks.dumps.draft_check import correct_draft
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.masking_preview import Preview, overlaps_in_sample, preview_tables
from tasks.dumps.masking_sql import require_masked_rows_fit
from tasks.estate.dumps import Choices
from tasks.estate.errors import Misconfigured
from tasks.masking.classify import Draft, draft
from tasks.masking.draft_yaml import as_yaml, compress
from tasks.masking.policy import load_policy, policy_as_written
from tasks.runtime.current_run import this_run
from tasks.runtime.resources import masking_session
from tasks.runtime.retries import BELOW_THE_GATE

# Nothing is cached: results describe the database as it is now, and with originals they must not be stored.
APP = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")  # what a policy accepts as `app`


@contextmanager
def _production(policy: str, *, name: str) -> Iterator[psycopg.Connection[Any]]:
    settings = source_settings(policy)
    url = settings.source_database.get_secret_value()
    with connected_to(url, name=name, statement_within=settings.statement_within) as connection:
        yield connection


@task(name="Preview the masking", **BELOW_THE_GATE)
def preview_masking(name: str, rows: int, *, originals: bool) -> Preview:
    """Plan and prove like an export, mask a few rows of every table, and search a sample of masked rows as an export does.

    Raises `PolicyRefused` like an export.
    """
    policy = load_policy(load_settings().policies, name)
    with _production(name, name="understudy preview") as connection:
        catalog = read_catalog(connection)
        session = masking_session(policy, this_run(), catalog.identity.server_version)
        plan = draft_masking(catalog, policy, Choices())
        require_masked_rows_fit(connection, plan, session)
        tables = preview_tables(connection, plan, session, rows=rows, originals=originals, canaries=policy.canaries)
        overlaps = overlaps_in_sample(connection, plan, session)
    return Preview(
        policy=policy.fingerprint,
        source=catalog.identity,
        tables=tables,
        dropped=plan.dropped,
        excluded=plan.excluded,
        notes=plan.notes,
        originals=originals,
        overlaps=overlaps,
        leaks=tuple(each for each in overlaps if (each.source, each.found) not in policy.accepted),
    )


def read_policy(name: str) -> dict[str, Any] | None:
    """Return the policy of that name as it is written, or None if it does not exist. Raises `Misconfigured` for a bad name."""
    written = policy_as_written(load_settings().policies, name)
    if written is None and not APP.fullmatch(name):
        raise Misconfigured(f"{name!r} cannot be the name of a new policy; expected lower case, digits, '-' and '_'.")
    return written


@task(name="Draft the policy", **BELOW_THE_GATE)
def draft_policy(name: str, existing: dict[str, Any] | None, sample: int) -> Draft:
    """Draft a policy from names, types and sampled values of production; decisions of the `existing` policy are kept.

    Samples stay in the memory of this process: a draft contains names, counts and reasons.
    """
    tables = (existing or {}).get("tables") or {}
    unread = {str(table) for table, rule in tables.items() if rule in ("drop", "exclude")}
    with _production(name, name="understudy classify") as connection:
        catalog = read_catalog(connection)
        samples = samples_of(connection, catalog, sample, without=unread)
        drafted = compress(correct_draft(connection, catalog, draft(catalog, samples, existing)), catalog)
    get_run_logger().info("Looked at %d values of %d columns.", sum(map(len, samples.values())), len(samples))
    return drafted if existing is not None else drafted.model_copy(update={"app": name})


def require_new_file(write_to: str) -> Path | None:
    """Return the file to write a draft to, or None if no name is given. Raises `Misconfigured` unless it is a new .yaml file."""
    if not write_to:
        return None
    path = load_settings().policies / write_to  # an absolute path stays itself
    if path.suffix != ".yaml" or not path.parent.is_dir():
        raise Misconfigured(f"A draft cannot be written to {path}; expected a .yaml file in a folder that exists.")
    if path.exists():
        raise _taken(path)
    return path


def _taken(path: Path) -> Misconfigured:
    return Misconfigured(f"{path} exists; a draft is written to a new file only.")


@task(name="Write the draft", **BELOW_THE_GATE)
def write_draft(drafted: Draft, path: Path | None) -> str:
    """Write the draft as a policy file if there is a path; return the path, or "". Never overwrites."""
    if path is None:
        return ""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(as_yaml(drafted))
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        raise Misconfigured(f"A draft cannot be written to {path} ({type(error).__name__}).") from error
    return str(path)
