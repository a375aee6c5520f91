"""Requests that wait for an answer: the plan recomputed from its sheet, and compared with the form that Prefect shows."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments.prefect_server import Form, Server, form_keys, link
from tasks.estate.approval_sheet import Sheet, sheet_key
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import NotFound, PlanIsStale
from tasks.estate.plans import ALPHABET, Plan
from tasks.rendering.after_copy import planned_sentences
from tasks.rendering.request_words import what_travels
from tasks.rendering.times_and_tables import plain
from tasks.signoff.form_fields import approval_choice, destination_is_typed

FORM_KEY = re.compile(r"suspended-(appr|arrived)-([0-9a-f]{8})-\d+-schema")  # Prefect's key of our forms
CODE = re.compile(rf"\b[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}\b")
TYPED_AS = str.maketrans({"O": "0", "I": "1", "L": "1", " ": "", "-": ""})  # Crockford's rule for typed codes


@dataclass(frozen=True)
class OpenRequest:
    """One run that waits for an answer. `sheet` is None if it cannot be read; `wrong` then contains the reason."""

    run: FlowRun
    kind: str  # approval, or arrival
    sheet: Sheet | None
    wrong: str = ""

    @property
    def trusted_sheet(self) -> Sheet:
        """The sheet. Raises `PlanIsStale` if it cannot be read."""
        if self.sheet is None:
            raise PlanIsStale(
                f"The sheet of run {self.run.id} cannot be read: {self.wrong}",
                next_step="Nothing was answered. Somebody may have changed it in Prefect: reject, and start a new run.",
            )
        return self.sheet


def open_requests(server: Server) -> list[OpenRequest]:
    """Return every request that waits for an answer, earliest deadline first."""
    runs = [run for run in server.paused() if _kind(run)]
    sheets = server.newest([sheet_key(run.id) for run in runs])
    found = [_request(run, sheets.get(sheet_key(run.id))) for run in runs]
    return sorted(found, key=lambda each: each.sheet.answer_by if each.sheet else datetime.max.replace(tzinfo=UTC))


def find_request(server: Server, named: str) -> OpenRequest:
    """Return the request of this run (its id) or about this plan (its code). Raise `NotFound` unless there is exactly one."""
    try:
        run = server.run(UUID(named))
    except ValueError:
        return _by_code(server, named)
    if not _kind(run):
        state = run.state.name if run.state else "without a state"
        raise NotFound(f"Run {run.id} waits for no answer: it is {state}.", next_step="Look at `understudy waiting`.")
    return _request(run, server.newest([sheet_key(run.id)]).get(sheet_key(run.id)))


def _by_code(server: Server, named: str) -> OpenRequest:
    wanted = named.upper().translate(TYPED_AS)
    found = [r for r in open_requests(server) if r.sheet and r.sheet.plan.code.replace("-", "") == wanted]
    if len(found) != 1:
        raise NotFound(
            f"{len(found) or 'No'} run{'s' if len(found) > 1 else ''} with plan {named!r}; expected one that waits.",
            next_step="Nothing was answered. `understudy waiting` lists the codes and runs that wait.",
        )
    return found[0]


def find_past_run(server: Server, named: str) -> FlowRun | None:
    """Return the run of this id, or the one whose last plan had this code, whether it waits or not. None: no such plan."""
    try:
        return server.run(UUID(named))
    except ValueError:
        wanted = named.upper().translate(TYPED_AS)
    if not re.fullmatch(f"[{ALPHABET}]{{8}}", wanted):
        return None
    for key, markdown in server.newest_under(sheet_key("")).items():
        with suppress(ValueError, PlanIsStale):  # a sheet that somebody changed, or of another version
            if Sheet.of_markdown(markdown).plan.code.replace("-", "") == wanted:
                return server.run(UUID(key.removeprefix(sheet_key(""))))
    return None


def _kind(run: FlowRun) -> str:
    key = FORM_KEY.fullmatch(form_keys(run.state).get("schema", ""))
    return {"appr": "approval", "arrived": "arrival"}[key[1]] if key else ""


def _request(run: FlowRun, markdown: str | None) -> OpenRequest:
    if markdown is None:
        return OpenRequest(run, _kind(run), None, "it is missing.")
    try:
        sheet = Sheet.of_markdown(markdown)
    except PlanIsStale as stale:
        return OpenRequest(run, _kind(run), None, stale.message)
    except ValueError:  # of pydantic and json; their messages would repeat the stored text
        return OpenRequest(run, _kind(run), None, "it is not a sheet of this version of Understudy.")
    return OpenRequest(run, _kind(run), sheet)


def disagreements(request: OpenRequest, form: Form | None) -> list[str]:
    """Return one sentence for each difference between the form that Prefect shows and the sheet."""
    sheet = request.trusted_sheet
    plan = sheet.plan
    found = [] if plan.run_id == str(request.run.id) else [f"The sheet is about run {plan.run_id}, not this one."]
    if form is None:
        return [*found, "The run shows no form."]
    key = FORM_KEY.fullmatch(form.key)
    if key is None or key[2] != plan.fingerprint[:8]:
        found.append("The form is about another plan than the sheet.")
    if request.kind == "approval":
        found += _differences(plan, form)
    elif plain(plan.destination_name) not in form.text:
        found.append(f"The form's text does not name the destination {plan.destination_name!r}.")
    return found


def _differences(plan: Plan | LoadPlan, form: Form) -> Iterator[str]:
    code, destination = plan.code, plan.destination_name
    shown = set(CODE.findall(form.text))
    if code not in shown:
        yield f"The form's text shows {', '.join(sorted(shown)) or 'no code'}; the sheet's plan is {code}."
    if plain(destination) not in form.text:
        yield f"The form's text does not name the destination {destination!r}, which the sheet's plan overwrites."
    if form.approval != approval_choice(code):
        yield f"The form offers {form.approval!r}; expected {approval_choice(code)!r}. Another version may have made it."
    expected = form.fields.get("destination", {}).get("pattern")
    if destination_is_typed(plan) and expected != f"^{re.escape(destination)}$":
        yield f"The form expects {expected!r} as destination; the sheet contains {destination!r}."


def facts_of(request: OpenRequest) -> dict[str, Any]:
    """Return what a lead needs to decide, recomputed from the sheet. Times are UTC."""
    sheet = request.trusted_sheet
    plan, risk = sheet.plan, sheet.plan.risk
    facts: dict[str, Any] = {
        "plan": plan.code,
        "fingerprint": plan.fingerprint,
        "verb": plan.verb,
        "source": plan.pair.source.name if isinstance(plan, Plan) else plan.header.source_host,
        "destination": plan.destination_name,
        "travels": what_travels(plan.options) if isinstance(plan, Plan) else f"the dump {plan.dump}",
        "risk": risk.grade.value,
        "reasons": list(risk.reasons),
        "people": risk.people,
        "signatures": risk.signatures,
        "overrides": list(plan.overrides),
        "requested_by": plan.requested_by,
        "answer_by": sheet.answer_by.isoformat(),
        "run": str(request.run.id),
        "link": link(request.run.id),
    }
    if isinstance(plan, Plan):
        facts |= {"backup": plan.backup.id, "break_glass": plan.break_glass, "after_copy": planned_sentences(plan)}
        if plan.restore_backup_id:
            facts["puts_back"] = plan.restore_backup_id
    if sheet.comparison:
        facts |= {"lost_for_good": list(sheet.comparison.losses), "newer": sheet.comparison.destination_is_newer}
    return facts
