"""Results of the steps above the approval gate, kept in the ledger, so that a resumed run continues with the same values."""

import functools
import inspect
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, get_type_hints

from prefect.runtime import flow_run
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from tasks.estate.plans import fingerprint
from tasks.ledger.facts import StepDone
from tasks.ledger.ledger import AlreadyRecorded
from tasks.runtime.current_run import this_run
from tasks.runtime.resources import open_ledger
from tasks.runtime.retries import R

P = ParamSpec("P")


def kept_in_ledger(step: Callable[P, R]) -> Callable[P, R]:
    """Decorate a step above the approval gate: its result is stored in the ledger, where a resumed run reads it.

    The key is the run, the step and its arguments, not the code: a deployment during the wait does not run the step again.
    Pydantic must be able to write and read the return type as JSON. Outside a run nothing is stored.
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
            with suppress(AlreadyRecorded):  # another process of this run was faster: its result counts
                open_ledger().record(StepDone(step=step.__name__, result=found), run_id=this_run(), once=once)
            kept = _kept(once)
        return result.validate_json(json.dumps(kept))

    return body


def _kept(once: str) -> Any:
    facts = open_ledger().facts(run_id=this_run(), kind=StepDone.KIND)
    return next((fact.as_(StepDone).result for fact in facts if fact.once == once), None)
