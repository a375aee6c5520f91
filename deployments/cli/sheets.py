"""Questions that wait, as a lead may trust them: the sheet recomputed, and compared with what the form says."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments.cli.output import Loud, columns
from deployments.prefect_server import Form, Server, form_keys, link
from tasks.estate.errors import NotFound, PlanIsStale
from tasks.estate.plans import ALPHABET, Plan
from tasks.estate.sheets import Sheet, sheet_key
from tasks.rendering.approval import difference_table, what_travels
from tasks.rendering.markdown import plain

OURS = re.compile(r"suspended-(appr|arrived)-([0-9a-f]{8})-\d+-schema")  # how our questions are named in Prefect
CODE = re.compile(rf"\b[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}\b")
READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", " ": "", "-": ""})  # Crockford's rule for what people type


@dataclass(frozen=True)
class Asked:
    """One run that waits. `sheet` is None where there is none that can be read; `wrong` says then why."""

    run: FlowRun
    kind: str  # approval, or arrival
    sheet: Sheet | None
    wrong: str = ""

    @property
    def trusted(self) -> Sheet:
        """The sheet. Raises `PlanIsStale` where there is none that can be trusted."""
        if self.sheet is None:
            raise PlanIsStale(
                f"The sheet of run {self.run.id} cannot be read: {self.wrong}",
                next_step="Nothing was answered. Somebody may have changed it in Prefect: reject, and start a new run.",
            )
        return self.sheet


def all_asked(server: Server) -> list[Asked]:
    """Every run that waits for an answer to one of our questions, earliest deadline first."""
    runs = [run for run in server.paused() if _kind(run)]
    sheets = server.newest([sheet_key(run.id) for run in runs])
    found = [_asked(run, sheets.get(sheet_key(run.id))) for run in runs]
    return sorted(found, key=lambda asked: asked.sheet.answer_by if asked.sheet else datetime.max.replace(tzinfo=UTC))


def find_asked(server: Server, named: str) -> Asked:
    """The question of this run (its id), or about this plan (its code). Raises `NotFound` unless it is exactly one."""
    try:
        run = server.run(UUID(named))
    except ValueError:
        return _by_code(server, named)
    if not _kind(run):
        state = run.state.name if run.state else "without a state"
        raise NotFound(f"Run {run.id} asks nothing: it is {state}.", next_step="Look at `understudy waiting`.")
    return _asked(run, server.newest([sheet_key(run.id)]).get(sheet_key(run.id)))


def _by_code(server: Server, named: str) -> Asked:
    wanted = named.upper().translate(READ_AS)
    found = [a for a in all_asked(server) if a.sheet and a.sheet.plan.code.replace("-", "") == wanted]
    if len(found) != 1:
        raise NotFound(
            f"{len(found) or 'No'} run{'s' if len(found) else ''} waits about plan {named!r}; expected one.",
            next_step="Nothing was answered. `understudy waiting` lists the codes and runs that wait.",
        )
    return found[0]


def _kind(run: FlowRun) -> str:
    named = OURS.fullmatch(form_keys(run.state).get("schema", ""))
    return {"appr": "approval", "arrived": "arrival"}[named[1]] if named else ""


def _asked(run: FlowRun, markdown: str | None) -> Asked:
    if markdown is None:
        return Asked(run, _kind(run), None, "there is none.")
    try:
        sheet = Sheet.of_markdown(markdown)
    except PlanIsStale as stale:
        return Asked(run, _kind(run), None, stale.message)
    except ValueError:  # pydantic's and json's errors are ValueErrors; their words would repeat what lies there
        return Asked(run, _kind(run), None, "it is no sheet of this version of Understudy.")
    return Asked(run, _kind(run), sheet)


def disagreements(asked: Asked, form: Form | None) -> list[str]:
    """Where the question that Prefect shows is not the one on the sheet, in words; empty where they agree."""
    sheet = asked.trusted
    plan = sheet.plan
    found = [] if plan.run_id == str(asked.run.id) else [f"The sheet is about run {plan.run_id}, not this one."]
    if form is None:
        return [*found, "The run shows no form."]
    named = OURS.fullmatch(form.key)
    if named is None or named[2] != plan.fingerprint[:8]:
        found.append("The run asks about another plan than the sheet holds.")
    if asked.kind == "approval":
        found += _other_words(plan.code, plan.destination_name, form)
    elif plain(plan.destination_name) not in form.text:
        found.append(f"The form's text does not name the destination {plan.destination_name!r}.")
    return found


def _other_words(code: str, destination: str, form: Form) -> Iterator[str]:
    shown = set(CODE.findall(form.text))
    if code not in shown:
        yield f"The form's text shows {', '.join(sorted(shown)) or 'no code'}; the sheet's plan is {code}."
    if plain(destination) not in form.text:
        yield f"The form's text does not name the destination {destination!r}, which the sheet's plan overwrites."
    for field, value in (("plan", code), ("destination", destination)):
        expected = form.fields.get(field, {}).get("pattern")
        if expected not in (None, f"^{value}$", f"^{re.escape(value)}$"):
            yield f"The form expects {expected!r} as {field}; the sheet says {value!r}."


def facts_of(asked: Asked) -> dict[str, Any]:
    """What a lead should know, recomputed from the sheet. Times are UTC."""
    sheet = asked.trusted
    plan, risk = sheet.plan, sheet.plan.risk
    known: dict[str, Any] = {
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
        "run": str(asked.run.id),
        "link": link(asked.run.id),
    }
    if isinstance(plan, Plan):
        known |= {"backup": plan.backup.id, "break_glass": plan.break_glass}
        if plan.restore_backup_id:
            known["puts_back"] = plan.restore_backup_id
    if sheet.comparison:
        known |= {"lost_for_good": list(sheet.comparison.losses), "newer": sheet.comparison.destination_is_newer}
    return known


def fact_lines(asked: Asked) -> list[str]:
    """The same in lines, with the differences that the sheet holds."""
    known = facts_of(asked)
    rows = [(name.replace("_", " "), _words(value)) for name, value in known.items() if value not in ("", [], None, 0)]
    lines = columns(rows)
    if known.get("newer"):
        lines.append(Loud(f"{known['destination']} is NEWER than {known['source']}."))
    sheet = asked.trusted
    if sheet.comparison:
        lines += ["", *difference_table(sheet.comparison)]
    return lines


def _words(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
