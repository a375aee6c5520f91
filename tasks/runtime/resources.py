"""What every step shares with Prefect: who may try again, how progress is shown, and the way to the outside.

Step files import it; the import contracts in pyproject.toml say what else they share.
"""

import functools
import inspect
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, get_type_hints
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import MissingContextError
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.tasks import Task, exponential_backoff
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from tasks.capi.client import Client
from tasks.estate.errors import RateLimited, Transient
from tasks.estate.plans import fingerprint
from tasks.estate.settings import load_settings
from tasks.ledger.ledger import AlreadyRecorded, Ledger
from tasks.masking.keys import Keyring
from tasks.masking.policy import Policy
from tasks.masking.session import Session
from tasks.probes.websites import Prober
from tasks.safeguards.risk_rules import RiskRules, load_rules
from tasks.signoff.leads import Leads, load_leads
from tasks.signoff.suspensions import suspended_now

P = ParamSpec("P")
R = TypeVar("R")

# pydantic names `State[Any]` after whichever module said it first. Processes of an export exchange such states as pickles,
# so its name must be the same in each of them, whatever they imported first.
_any_state: Any = State[Any]
_any_state.__module__ = __name__
globals()["State[Any]"] = _any_state

SHOWN_EVERY = 1.0  # seconds between two updates of a progress bar
LONGEST_PATIENCE = 120.0  # seconds; a Retry-After beyond this is left to the next attempt


def is_transient(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether the step that ended in `state` may try again: only after `Transient`.

    Reads the exception from `state.data`: `state.result()` in a synchronous predicate would never retry an async task.
    """
    return isinstance(state.data, Transient)


# Four more tries after 1, 2, 4 and 8 s, each lengthened by up to half, and only after `Transient`.
RETRIES: dict[str, Any] = {
    "retries": 4,
    "retry_delay_seconds": exponential_backoff(1),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient,
}
# Above the gate: the body runs again after a resume, and these must answer what they answered before the wait, on whatever
# machine. Prefect would keep their results on the disk of the worker; `recalled` keeps them in the ledger.
ABOVE_THE_GATE: dict[str, Any] = RETRIES | {"persist_result": False, "cache_policy": NO_CACHE}
# From the gate down: never an answer from before the wait.
BELOW_THE_GATE: dict[str, Any] = RETRIES | {"persist_result": False, "cache_policy": NO_CACHE}
# Destructive: once. Written out, because environment-wide defaults for retries and persistence exist.
ONCE: dict[str, Any] = {"retries": 0, "persist_result": False, "cache_policy": NO_CACHE}


_run_here: ContextVar[str] = ContextVar("run_here", default="")
_listener: ContextVar[Callable[[str, int, int, int], None] | None] = ContextVar("listener", default=None)


@contextmanager
def run_here(run_id: str, listener: Callable[[str, int, int, int], None]) -> Iterator[None]:
    """Work for a run of this process that Prefect does not know: a command in a terminal.

    `listener(table, rows, done, whole)` hears of the progress of each table, in bytes or rows of its whole.
    """
    run, heard = _run_here.set(run_id), _listener.set(listener)
    try:
        yield
    finally:
        _run_here.reset(run)
        _listener.reset(heard)


def this_run() -> str:
    """Return the id of the run that this code works for; a fixed word outside a run (a REPL)."""
    return str(flow_run.get_id() or _run_here.get() or "no-run")


def show_table(table: str, *, rows: int, done: int, whole: int) -> None:
    """Report how far one table of an export or load is; `done` of `whole` in bytes or rows."""
    listener = _listener.get()
    if listener is not None:
        listener(table, rows, done, whole)


def run_logger() -> "logging.Logger | logging.LoggerAdapter[logging.Logger]":
    """Return the logger of the run, so that people see its lines in Prefect; outside a run, Python's own."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("understudy")


def recalled(step: Callable[P, R]) -> Callable[P, R]:
    """Decorate a step above the gate: its result is a fact of the ledger, and a later pass of the run reads it there.

    The key is the run, the step and its arguments, not the code: a deployment during the wait does not run it again. The
    return type must be what pydantic reads and writes as JSON. Outside a run nothing is kept.
    """

    @functools.wraps(step)
    def body(*args: P.args, **kwargs: P.kwargs) -> R:
        if flow_run.get_id() is None:
            return step(*args, **kwargs)
        result: TypeAdapter[R] = TypeAdapter(get_type_hints(step)["return"])
        given = inspect.signature(step).bind(*args, **kwargs).arguments
        once = f"step:{this_run()}:{step.__name__}:{fingerprint(to_jsonable_python(given))}"
        kept = _kept(once)
        if kept is None:
            found = result.dump_python(step(*args, **kwargs), mode="json")
            with suppress(AlreadyRecorded):  # another process of this run was faster: its answer counts
                detail = {"step": step.__name__, "result": found}
                open_ledger().record("step", run_id=this_run(), detail=detail, once=once)
            kept = _kept(once)
        return result.validate_json(json.dumps(kept))

    return body


def _kept(once: str) -> Any:
    facts = open_ledger().facts(run_id=this_run(), kind="step")
    return next((fact.detail["result"] for fact in facts if fact.once == once), None)


@contextmanager
def connected() -> Iterator[tuple[Client, Prober]]:
    """The hosting API and the public sites, as the settings name them; closed at the end."""
    settings = load_settings().require("api_user", "api_password", "notify")
    with (
        Client(settings.api_url, settings.api_user, settings.api_password) as client,
        Prober(settings.site_scheme, settings.site_gateway, logins=settings.logins()) as prober,
        honouring_retry_after(),
    ):
        yield client, prober


@contextmanager
def honouring_retry_after() -> Iterator[None]:
    """Wait as long as the host asked before the failure reaches Prefect, so that no retry comes earlier."""
    try:
        yield
    except RateLimited as limited:
        if limited.retry_after:
            time.sleep(min(limited.retry_after, LONGEST_PATIENCE))
        raise


_ledgers: dict[str, Ledger] = {}


def open_ledger() -> Ledger:
    """The ledger that the settings name; one per process and URL."""
    url = load_settings().ledger_url
    if url not in _ledgers:
        _ledgers[url] = Ledger(url)
    return _ledgers[url]


def read_leads() -> Leads:
    """Who may approve, as the reviewed file says at this moment, and the hosting account too while that rule is on.

    Raises `Misconfigured`.
    """
    settings = load_settings()
    leads = load_leads(settings.leads_file, settings.codes_file)
    return leads.without(suspended_now(open_ledger())) if read_rules().leads_are_users else leads


def read_rules() -> RiskRules:
    """What makes a plan dangerous and what its gate demands, as the reviewed file says at this moment."""
    return load_rules(load_settings().risk_file)


def paced(seconds: float) -> timedelta:
    """A duration of the settings at the settings' pace."""
    return timedelta(seconds=seconds * load_settings().pace)


def masking_session(policy: Policy, run_id: str) -> Session:
    """The keyed session of a run's masking, the same in every worker. The key stays in this process."""
    settings = load_settings().require("masking_key")
    key = settings.masking_key.get_secret_value().encode()
    return Session(Keyring(key, run=run_id if settings.masking_key_rotates else None), policy.locale)


def proof_keyrings(run_id: str) -> tuple[Keyring, ...]:
    """Return the keyrings that may have sealed the dump of this run: none if this worker has no masking key.

    A key that rotates and one that does not are both tried, because another worker may have other settings.
    """
    key = load_settings().masking_key.get_secret_value().encode()
    return (Keyring(key, run=run_id), Keyring(key, run=None)) if key else ()


class Progress:
    """A live progress artifact of a waiting step. Shown, never needed: a lost update does not end a wait."""

    def __init__(self, key: str, *, typical: float) -> None:
        """`key`: lowercase, digits, dashes; `typical`: seconds that the remote side usually takes, for the bar."""
        self._key = key
        self._typical = max(typical, 0.001)
        self._artifact: UUID | None = None
        self._shown: tuple[str, int] | None = None
        self._at = -math.inf  # when a share of the work was last shown, monotonic

    def show(self, elapsed: float, text: str) -> None:
        """Show `text` and a bar that nears, but does not reach, 100 % while the wait goes on."""
        self._put(min(95, int(100 * elapsed / self._typical)), text)

    def at(self, percent: float, text: str) -> None:
        """Show `text` and a bar at a known share of the work, in percent.

        At most once a second, except the end: thousands of small tables must not wait for as many answers of Prefect.
        """
        now = time.monotonic()
        if percent < 100 and now - self._at < SHOWN_EVERY:
            return
        self._at = now
        self._put(min(100, int(percent)), text)

    def done(self, text: str) -> None:
        """Show `text` and a full bar."""
        self._put(100, text)

    def _put(self, percent: int, text: str) -> None:
        if self._shown == (text, percent) or flow_run.get_id() is None:
            return
        try:
            # A bar is not worth minutes of the wait that it shows.
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                if self._artifact is None:
                    made = create_progress_artifact(progress=percent, key=self._key, description=text)
                    self._artifact = made if isinstance(made, UUID) else None
                else:
                    update_progress_artifact(artifact_id=self._artifact, progress=percent, description=text)
            self._shown = (text, percent)
        except httpx.HTTPError:
            logging.getLogger(__name__).warning("Progress of %s could not be shown.", self._key)


def looking(look: Callable[[], R | None]) -> Callable[[], R | None]:
    """A look that takes `Transient` for "not yet": a wait ends by its deadline, not by one lost answer."""

    def patient() -> R | None:
        try:
            with honouring_retry_after():
                return look()
        except Transient as trouble:
            logging.getLogger(__name__).warning("Looking again: %s", trouble.message)
            return None

    return patient
