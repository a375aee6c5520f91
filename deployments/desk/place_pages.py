"""The pages about places, and what they start: a run onto a place, its hold, and the undo of a run."""

from dataclasses import dataclass
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as Call
from starlette.responses import RedirectResponse, Response

from deployments.desk.places import Place
from deployments.desk.protection import read_form
from deployments.desk.reading import Sources
from deployments.desk.starting import Offer, hold_of, offer_of, run_onto, undo_of
from deployments.place_calendar import AHEAD
from deployments.places import Place as KnownPlace
from tasks.estate.errors import Misconfigured, NotApproved
from tasks.estate.polling import utc_now


class Pages(Protocol):
    """What draws a page."""

    @property
    def sources(self) -> Sources:
        """What the desk reads."""

    def page(self, call: Call, template: str, /, *, status: int = 200, **values: Any) -> Response:
        """Draw a page, with the token that its forms send back."""


@dataclass(frozen=True)
class PlacePages:
    """Places, each with its calendar and history, and the forms on their pages."""

    desk: Pages

    async def places(self, call: Call) -> Response:
        """Every place, with its last outcome."""
        found = {each.name: each for each in await run_in_threadpool(self.desk.sources.places)}
        names = [each.destination for each in await run_in_threadpool(self.desk.sources.names)]
        shown = [found.get(name, Place(name, (), ())) for name in sorted({*names, *found}, key=str.casefold)]
        return self.desk.page(call, "places", places=shown)

    async def place(self, call: Call) -> Response:
        """One place: its calendar, its history, and the forms that start a run onto it or hold it."""
        return await run_in_threadpool(self._place, call)

    def _place(self, call: Call, **more: Any) -> Response:
        name = call.path_params["name"]
        known, place = self.desk.sources.known(name), self._recorded(name)
        calendar = self.desk.sources.calendar(known)
        shown = {"given": {}, "refused": None, "held": None} | more
        return self.desk.page(
            call,
            "place",
            status=409 if shown["refused"] else 200,
            place=place,
            calendar=calendar,
            days=AHEAD.days,
            offer=self._offer(known),
            **shown,
        )

    def _recorded(self, name: str) -> Place:
        return next((each for each in self.desk.sources.places() if each.name == name), Place(name, (), ()))

    def _offer(self, known: KnownPlace) -> Offer | None:
        return offer_of(known, self.desk.sources.estate(), self._recorded(known.destination).runs)

    async def start(self, call: Call) -> Response:
        """Start a run onto a place."""
        given = await read_form(call, self.desk.sources.origin)

        def begin() -> Response:
            try:
                known = self.desk.sources.known(call.path_params["name"])
                run = self.desk.sources.start(run_onto(known, self._offer(known), given))
            except (NotApproved, Misconfigured) as refused:
                return self._place(call, given=given, refused=refused)
            return RedirectResponse(call.url_for("run", run=run).path, status_code=303)

        return await run_in_threadpool(begin)

    async def hold(self, call: Call) -> Response:
        """Hold a place, and show the word that ends the hold to whoever placed it."""
        given = await read_form(call, self.desk.sources.origin)

        def begin() -> Response:
            try:
                start = hold_of(self.desk.sources.known(call.path_params["name"]).destination, given, utc_now())
                run = self.desk.sources.start(start)
            except (NotApproved, Misconfigured) as refused:
                return self._place(call, given=given, refused=refused)
            return self._place(call, held=(run, start.word))

        return await run_in_threadpool(begin)

    async def undo(self, call: Call) -> Response:
        """Start the run that undoes another one."""
        given = await read_form(call, self.desk.sources.origin)
        run = await run_in_threadpool(self.desk.sources.start, undo_of(str(call.path_params["run"]), given))
        return RedirectResponse(call.url_for("run", run=run).path, status_code=303)
