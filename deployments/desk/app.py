"""The pages of the desk, and the address of each."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request as Call
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from deployments.desk import deciding, passkeys
from deployments.desk.place_pages import PlacePages
from deployments.desk.protection import NotOurForm, Protection, keep_token, read_form, token_of
from deployments.desk.reading import Request, Sources
from deployments.desk.starting import UNDONE
from deployments.prefect_server import link
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import LedgerUnavailable, NotApproved, NotFound, UnderstudyError, Unreachable
from tasks.estate.outcomes import GREEN
from tasks.estate.plans import Plan
from tasks.estate.polling import utc_now
from tasks.ledger.facts import AnswerRefused, Planned, Reported
from tasks.ledger.ledger import Fact, may_have_acted
from tasks.rendering import dumps
from tasks.rendering.after_copy import planned_sentences
from tasks.rendering.approval import gate_lines
from tasks.rendering.request_words import age, must_be_bound, sentence, shown_differences, span, turn

HERE = Path(__file__).parent
SWEEP = "sweep"  # the verb of the report of a sweep
STATUS = {NotFound: 404, NotApproved: 409, Unreachable: 503, LedgerUnavailable: 503}


@dataclass(frozen=True)
class Desk:
    """The pages over what the desk reads."""

    sources: Sources
    pages: Environment

    def page(self, call: Call, template: str, /, *, status: int = 200, **values: Any) -> Response:
        """Draw a page, with the token that its forms send back."""
        token = token_of(call, self.sources.origin)
        text = self.pages.get_template(f"{template}.html").render(token=token, now=utc_now(), here=template, **values)
        response = HTMLResponse(text, status_code=status)
        keep_token(response, token, self.sources.origin)
        return response

    async def waiting(self, call: Call) -> Response:
        """Everything that waits for an answer. Without Prefect: what the ledger knows."""

        def read() -> tuple[list[Request], list[Any], str]:
            try:
                return self.sources.waiting(), [], ""
            except Unreachable as away:
                return [], self.sources.recorded(), away.message

        requests, recorded, away = await run_in_threadpool(read)
        return self.page(call, "waiting", requests=requests, recorded=recorded, away=away)

    async def decide(self, call: Call) -> Response:
        """One request: what is overwritten, lost and different; and the two answers."""
        run: UUID = call.path_params["run"]
        given = await read_form(call, self.sources.origin) if call.method == "POST" else {}
        request = await run_in_threadpool(self.sources.request, run)
        if not given:
            return self._decide(call, request)
        try:
            answer = (
                deciding.approval(request, given, self.sources)
                if given.get("decision") == "approve"
                else deciding.rejection(request, given)
            )
            await run_in_threadpool(self.sources.answer, run, answer)
        except NotApproved as refused:
            return self._decide(call, request, given=given, refused=refused)
        return RedirectResponse(call.url_for("run", run=run).path, status_code=303)

    def _decide(
        self, call: Call, request: Request, *, given: dict[str, str] | None = None, refused: NotApproved | None = None
    ) -> Response:
        sheet = request.request.sheet
        if sheet is None or request.waiting is None:
            return self.page(call, "unreadable", request=request, refused=refused, given=given or {})
        return self.page(
            call,
            "decide",
            status=409 if refused else 200,
            request=request,
            plan=sheet.plan,
            comparison=sheet.comparison,
            differences=shown_differences(sheet.comparison) if sheet.comparison else [],
            waiting=request.waiting,
            answer_by=sheet.answer_by,
            pictured=self.sources.pictured(sheet.plan),
            details=_details(request) if isinstance(sheet.plan, LoadPlan) else "",
            inside=planned_sentences(sheet.plan) if isinstance(sheet.plan, Plan) else [],
            asked=deciding.asked_for(request) if request.form else None,
            host=self.sources.host,
            given=given or {},
            refused=refused,
        )

    async def comment(self, call: Call) -> Response:
        """Write a comment on a request: it decides nothing."""
        run: UUID = call.path_params["run"]
        given = await read_form(call, self.sources.origin)
        try:
            await run_in_threadpool(self.sources.comment, run, given.get("who", ""), given.get("comment", ""))
        except NotApproved as refused:
            request = await run_in_threadpool(self.sources.request, run)
            return self._decide(call, request, given=given, refused=refused)
        return RedirectResponse(f"{call.url_for('decide', run=run).path}#comments", status_code=303)

    async def run(self, call: Call) -> Response:
        """What happened after the answer: steps, outcome, next step."""
        return await self._run(call, "run")

    async def live(self, call: Call) -> Response:
        """The part of that page that changes."""
        return await self._run(call, "live")

    async def _run(self, call: Call, page: str) -> Response:
        run: UUID = call.path_params["run"]
        found = await run_in_threadpool(self.sources.run, run)
        facts = await run_in_threadpool(self.sources.ledger.facts, run_id=str(run))
        if found is None and not facts:
            raise NotFound(f"Neither Prefect nor the ledger knows run {run}.", next_step="Look at the page Waiting.")
        state = found.state if found else None
        report = _last(facts, Reported.KIND)
        planned = _last(facts, Planned.KIND)
        refused = _last(facts, AnswerRefused.KIND) if state and state.is_paused() else None
        return self.page(
            call,
            page,
            run=run,
            name=found.run.name if found else "",
            state=state,
            progress=found,
            report=report.detail if report else None,
            green=GREEN,
            refused=refused.as_(AnswerRefused).why if refused else "",
            undo=report is not None and report.text("verb") in UNDONE and may_have_acted(facts),
            with_database=planned is not None and planned.text("options", "database") == str(True),
            over=bool(report) or bool(state and state.is_final()),
            link=link(run),
        )

    async def picture(self, call: Call) -> Response:
        """One picture of a side of a plan."""
        picture = await run_in_threadpool(self.sources.picture, call.path_params["digest"])
        return Response(picture, media_type="image/webp")

    async def ledger(self, call: Call) -> Response:
        """Whether the ledger is whole, its head, and the last sweep."""
        verified = await run_in_threadpool(self.sources.verify)
        facts = await run_in_threadpool(self.sources.facts)
        sweep = next(
            (fact for fact in reversed(facts) if fact.kind == Reported.KIND and fact.text("verb") == SWEEP), None
        )
        return self.page(call, "ledger", verified=verified, sweep=sweep)

    async def passkeys(self, call: Call) -> Response:
        """Enrolment: the line of the leads file for a new passkey."""
        made = None
        if call.method == "POST":
            given = await read_form(call, self.sources.origin)
            token = token_of(call, self.sources.origin)
            made = await run_in_threadpool(passkeys.enrolled, given, token, self.sources)
        challenge = passkeys.challenge_of(token_of(call, self.sources.origin))
        return self.page(call, "passkeys", made=made, challenge=challenge, host=self.sources.host)

    async def explain(self, call: Call, error: Exception) -> Response:
        """An error in one sentence, with what to do next."""
        assert isinstance(error, UnderstudyError), "registered for these only"  # noqa: S101  # an invariant, not input
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
        return self.page(call, "error", status=status, error=error)

    async def refuse(self, call: Call, _error: Exception) -> Response:
        """A form that another page made, or that is too old."""
        wrong = NotApproved(
            "This form is not of this browser's desk, or the browser was restarted.",
            next_step="Nothing was sent. Open the page again, and answer there.",
        )
        return self.page(call, "error", status=403, error=wrong)


def make_desk(sources: Sources) -> Starlette:
    """Return the web application."""
    desk = Desk(sources, _environment())
    at = PlacePages(desk)
    return Starlette(
        routes=[
            Route("/", desk.waiting, name="waiting"),
            Route("/runs/{run:uuid}", desk.run, name="run"),
            Route("/runs/{run:uuid}/live", desk.live, name="live"),
            Route("/runs/{run:uuid}/decide", desk.decide, name="decide", methods=["GET", "POST"]),
            Route("/runs/{run:uuid}/comment", desk.comment, name="comment", methods=["POST"]),
            Route("/pictures/{digest}", desk.picture, name="picture"),
            Route("/places", at.places, name="places"),
            Route("/places/{name}", at.place, name="place"),
            Route("/places/{name}/start", at.start, name="start", methods=["POST"]),
            Route("/places/{name}/hold", at.hold, name="hold", methods=["POST"]),
            Route("/runs/{run:uuid}/undo", at.undo, name="undo", methods=["POST"]),
            Route("/ledger", desk.ledger, name="ledger"),
            Route("/passkeys", desk.passkeys, name="passkeys", methods=["GET", "POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        ],
        middleware=[Middleware(Protection, origin=sources.origin)],
        exception_handlers={UnderstudyError: desk.explain, NotOurForm: desk.refuse},
    )


def _environment() -> Environment:
    pages = Environment(
        loader=PackageLoader("deployments.desk"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    pages.globals |= {"version": _version(), "GREEN": GREEN}
    pages.filters |= {"sentence": sentence, "age": age, "span": span}
    pages.globals |= {"turn": turn, "must_be_bound": must_be_bound, "cool_down": _cool_down}
    return pages


def _version() -> str:
    """Return a mark of the style sheet and script, so that browsers do not keep those of an older version."""
    files = (HERE / "static").iterdir()
    return hashlib.sha256(b"".join(each.read_bytes() for each in sorted(files) if each.is_file())).hexdigest()[:8]


def _cool_down(request: Request) -> str:
    """Return until when nobody may approve, or "" if that is over or there is no such time."""
    waiting, seconds = request.waiting, request.plan.risk.cool_down
    if waiting is None or not seconds:
        return ""
    early = waiting.asked_at + timedelta(seconds=seconds)
    return f"{early:%H:%M:%S} UTC" if utc_now() < early else ""


def _details(request: Request) -> Markup:
    """Return the whole text of a load's form. The Markdown comes from the sheet, and raw HTML in it stays text."""
    plan, waiting = request.plan, request.waiting
    assert isinstance(plan, LoadPlan), "asked only about loads"  # noqa: S101  # an invariant, not input
    assert waiting is not None, "a request without a record is not shown"  # noqa: S101  # an invariant, not input
    text = dumps.load_text(plan, answer_by=waiting.answer_by, gate=gate_lines(plan, waiting))
    drawn = MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink"]).render(text)
    return Markup(drawn)  # noqa: S704  # Markdown without HTML, links and images


def _last(facts: list[Fact], kind: str) -> Fact | None:
    return next((fact for fact in reversed(facts) if fact.kind == kind), None)
