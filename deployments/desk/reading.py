"""What the desk reads: the ledger, opened to be read only, the leads file, and Prefect. It writes nowhere but into Prefect's forms."""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit
from uuid import UUID

from prefect.client.schemas.responses import DeploymentResponse

from deployments.comments import Comment, comments_on, write_comment
from deployments.desk.live_run import Progress, progress_of
from deployments.desk.places import Place, places
from deployments.desk.starting import Start
from deployments.open_requests import OpenRequest, disagreements, find_request, open_requests
from deployments.place_calendar import AHEAD, Entry, calendar_of
from deployments.place_status import Circumstances
from deployments.places import Place as KnownPlace
from deployments.places import known_places
from deployments.prefect_server import Form, connected
from deployments.schedules import every_deployment, starts_between
from tasks.configuration.estate_file import load_estate
from tasks.configuration.reviewed_files import read_entries
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import LedgerUnavailable, NotFound, Unreachable
from tasks.estate.estate import Estate
from tasks.estate.plans import Intent, Plan
from tasks.estate.polling import utc_now
from tasks.ledger.approval_requests import ApprovalRequest
from tasks.ledger.approval_requests import open_requests as recorded_requests
from tasks.ledger.facts import PLANNED, Asked, Pictured, Reported
from tasks.ledger.ledger import Fact, Head, Ledger
from tasks.ledger.picture_files import read_picture
from tasks.safeguards.freezes import load_calendar
from tasks.safeguards.risk_rules import load_rules
from tasks.signoff.gate import Gate, Terms, Waiting
from tasks.signoff.leads import Lead, Leads
from tasks.signoff.standing import load_standing

DEPLOYMENTS_FOR = 60.0  # seconds for which the list of deployments is used: it changes when somebody deploys
VERIFIED_FOR = 60.0  # seconds after which the whole chain is verified again, while the last result is shown
TOO_OLD = 600.0  # seconds after which a result is not shown any more: the page waits for the new one
NO_RECORD = "The ledger has no such request: it was made past the worker, or by another one. Do not approve it."


@dataclass(frozen=True)
class Request:
    """One request as the pages show it. `waiting` is None if the ledger does not know it; `wrong` are reasons not to approve."""

    request: OpenRequest
    form: Form | None
    waiting: Waiting | None
    wrong: tuple[str, ...]
    comments: tuple[Comment, ...] = ()

    @property
    def run(self) -> UUID:
        """The run that waits."""
        return self.request.run.id

    @property
    def plan(self) -> Plan | LoadPlan:
        """The plan of the sheet. Raises `PlanIsStale` if it cannot be read."""
        return self.request.trusted_sheet.plan


@dataclass(frozen=True)
class Verification:
    """The result of verifying the chain, and how many seconds ago it was made."""

    problems: tuple[str, ...]
    head: Head | None
    age: float


@dataclass
class Sources:
    """Where the desk reads. `origin` is the address under which browsers reach it; passkeys are bound to its host."""

    ledger_url: str
    leads_file: Path
    risk_file: Path
    pictures: Path
    origin: str
    estate_file: Path = Path(os.devnull)
    standing_file: Path = Path(os.devnull)
    freeze_file: Path = Path(os.devnull)
    _ledger: Ledger | None = None
    _facts: list[Fact] = field(default_factory=list)
    _places: tuple[int, list[Place]] = (0, [])  # with the number of facts that they were made from
    _deployments: tuple[float, list[DeploymentResponse]] | None = None
    _verified: tuple[float, tuple[str, ...], Head | None] | None = None
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    _verifying: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        """The relying party of passkeys that are enrolled or used here."""
        return urlsplit(self.origin).hostname or ""

    @property
    def ledger(self) -> Ledger:
        """The ledger. Raises `LedgerUnavailable`, also if no worker has used it yet."""
        if self._ledger is None:
            self._ledger = Ledger(self.ledger_url, read_only=True)
        return self._ledger

    def leads(self) -> Leads:
        """Return the leads as the reviewed file lists them now, without secrets. Raises `Misconfigured`."""
        return Leads(read_entries(self.leads_file, Lead, called="a lead"))

    def owner_of(self, credential: str) -> str:
        """Return the name of the lead who has this passkey, or "" if it is not listed."""
        return next(
            (lead.name for lead in self.leads().everybody for each in lead.passkeys if each.credential == credential),
            "",
        )

    def facts(self) -> Sequence[Fact]:
        """Return all facts, oldest first. Facts are never rewritten, so only new ones are read; a changed past shows in `verify`."""
        with self._one_at_a_time:
            newest = self._facts[-1].seq if self._facts else None
            self._facts += self.ledger.facts(after=newest)
            return [*self._facts]

    def places(self) -> list[Place]:
        """Return every place that the ledger knows, by name. They are made again only if a fact is new."""
        facts = self.facts()
        count, made = self._places
        if count != len(facts):
            made = places(facts)
            self._places = (len(facts), made)
        return made

    def estate(self) -> Estate:
        """Return the estate as the reviewed file describes it now; empty without the file."""
        return load_estate(self.estate_file)

    def deployments(self) -> list[DeploymentResponse] | None:
        """Return what Prefect can start, as of a minute ago at most; None without Prefect."""
        with self._one_at_a_time:
            if self._deployments is None or time.monotonic() - self._deployments[0] > DEPLOYMENTS_FOR:
                try:
                    with connected() as server:
                        self._deployments = (time.monotonic(), every_deployment(server.client))
                except Unreachable:
                    return None
            return self._deployments[1]

    def names(self) -> list[KnownPlace]:
        """Return every place that estate, standing approvals, deployments or ledger name, by name."""
        standing = load_standing(self.standing_file)
        runs = [run for place in self.places() for run in place.runs[:1]]
        return known_places(self.estate(), standing, self.deployments() or (), runs)

    def known(self, name: str) -> KnownPlace:
        """Return the place of this name. Raises `NotFound`."""
        found = next((each for each in self.names() if each.destination == name), None)
        if found is not None or any(each.name == name for each in self.places()):
            return found or KnownPlace(name)
        raise NotFound(f"Nobody names a place {name!r}.", next_step="Look at the page Places.")

    def calendar(self, place: KnownPlace) -> list[Entry] | None:
        """Return the next 14 days of a place; None without Prefect, which has the schedules."""
        deployments, now = self.deployments(), utc_now()
        if deployments is None:
            return None
        mine = [each for each in deployments if each.name in {nightly.name for nightly in place.nightly}]
        mentioned = [fact for fact in self.facts() if fact.kind in PLANNED or fact.kind == Reported.KIND]
        around = Circumstances(
            self.ledger, mentioned, load_rules(self.risk_file), self.leads(), load_calendar(self.freeze_file), {}, now
        )
        return calendar_of(place, around, starts_between(mine, now, now + AHEAD))

    def start(self, start: Start) -> UUID:
        """Start a run and return its id. Raises `NotFound` without its deployment, `Misconfigured` for what its flow refuses."""
        with connected() as server:
            return server.start(f"{start.flow}/{start.flow}", start.parameters)

    def verify(self) -> Verification:
        """Return the result of the last verification of the whole chain.

        One that is more than a minute old is made again meanwhile, so that a page waits for it only at first and after a pause.
        """
        if self._verified is None or time.monotonic() - self._verified[0] > TOO_OLD:
            self._verify()
        elif time.monotonic() - self._verified[0] > VERIFIED_FOR and not self._verifying.locked():
            threading.Thread(target=self._verify_again, daemon=True).start()
        assert self._verified is not None, "made above"  # noqa: S101  # for the type checker
        made, problems, head = self._verified
        return Verification(problems, head, time.monotonic() - made)

    def _verify_again(self) -> None:
        with suppress(LedgerUnavailable):  # the page that waits for the next result shows it
            self._verify()

    def _verify(self) -> None:
        """Verify the whole chain, unless another thread just did."""
        with self._verifying:
            if self._verified and time.monotonic() - self._verified[0] < VERIFIED_FOR:
                return
            problems = tuple(self.ledger.verify())
            self._verified = (time.monotonic(), problems, self.ledger.head())
        if problems:
            with self._one_at_a_time:
                self._facts.clear()
                self._places = (0, [])

    def waiting(self) -> list[Request]:
        """Return every request that waits, earliest deadline first. Raises `Unreachable` without Prefect."""
        with connected() as server:
            found = open_requests(server)
            comments = comments_on(server.client, [each.run.id for each in found])
        gate = self._gate()
        return [
            Request(each, None, *self._recorded(each, gate), tuple(comments.get(each.run.id, ()))) for each in found
        ]

    def recorded(self) -> list[ApprovalRequest]:
        """Return the open requests that the ledger knows: what can be shown without Prefect."""
        return recorded_requests(self.ledger)

    def request(self, run: UUID) -> Request:
        """Return the request of this run with its form. Raises `NotFound` if it waits for nothing."""
        with connected() as server:
            found = find_request(server, str(run))
            form = server.form(found.run)
            comments = comments_on(server.client, [run]).get(run, [])
        waiting, wrong = self._recorded(found, self._gate())
        if found.sheet is not None:
            wrong = (*wrong, *disagreements(found, form))
        return Request(found, form, waiting, wrong, tuple(comments))

    def pictured(self, plan: Plan | LoadPlan) -> Pictured | None:
        """Return which pictures of both sides were taken for this plan, or why not; None if that is not recorded."""
        found = self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind=Pictured.KIND)
        return found[-1].as_(Pictured) if found else None

    def picture(self, digest: str) -> bytes:
        """Return a picture. Raises `NotFound` if it is not on this machine, or is not the one that this digest names."""
        picture = read_picture(self.pictures, digest)
        if picture is None:
            raise NotFound(
                "This picture is not on the desk's machine: it is older than 30 days, was changed, or the worker has another folder.",
                next_step="Give desk and worker one folder with UNDERSTUDY_PICTURES, or look at the sites themselves.",
            )
        return picture

    def _recorded(self, found: OpenRequest, gate: Gate) -> tuple[Waiting | None, tuple[str, ...]]:
        if found.sheet is None:
            return None, (f"Its sheet cannot be read: {found.wrong}",)
        plan = found.sheet.plan
        if not self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind=Asked.KIND):
            return None, (NO_RECORD,)
        waiting = gate.waiting(plan)
        if waiting.answer_by != found.sheet.answer_by:
            return waiting, ("The deadline of the sheet is not that of the ledger; an answer to it would not count.",)
        return waiting, ()

    def _gate(self) -> Gate:
        """Return the approval gate, to read where a request stands: with a ledger that cannot be written, and without secrets."""
        rules = load_rules(self.risk_file)
        terms = Terms(rules.answer.attempts, rules.answer.codes_an_hour, timedelta(0), rules.restore_within)
        return Gate(self.ledger, self.leads(), terms, _never)

    def run(self, run: UUID) -> Progress | None:
        """Return a run as Prefect has it; None without Prefect, or if Prefect does not have it."""
        try:
            with connected() as server:
                return progress_of(server, run)
        except (Unreachable, NotFound):
            return None

    def answer(self, run: UUID, fields: dict[str, str]) -> None:
        """Send an answer to the form of a run. Raises `NotApproved` with Prefect's reason if it is refused."""
        with connected() as server:
            server.answer(run, fields)

    def comment(self, run: UUID, name: str, text: str) -> None:
        """Write a comment on a run that waits. Raises `NotApproved` for a text that is refused, `NotFound` if it does not wait."""
        with connected() as server:
            find_request(server, str(run))
            write_comment(server.client, run, name, text)


def _never(plan: Intent, moment: object) -> NoReturn:
    raise AssertionError(f"the desk evaluates no answer, also not about {plan.code}")
