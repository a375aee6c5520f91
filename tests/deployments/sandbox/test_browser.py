"""The Prefect UI as people use it, in a real Chromium: start a refresh by its form, and answer questions of all kinds."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient

from deployments.sandbox import notice_receiver
from deployments.sandbox.leads import LEAD, SECOND
from deployments.sandbox.stack import Stack
from tasks.signoff.form_fields import REJECT
from tests.deployments.sandbox.person_in_browser import CHROMIUM, PHONE, UNREADABLE, WINDOW, Person, at_the_browser

ENDS = (
    "Verified",
    "VerifyFailed",
    "OutcomeUnknown",
    "Rejected",
    "Expired",
    "Stale",
    "NotApproved",
    "Failed",
    "Crashed",
)
REQUESTER = "Rita Requester"
Copies = Callable[[], list[Any]]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed (Debian: apt-get install chromium)"),
    pytest.mark.timeout(480),  # three programs, a browser, and up to five passes of a flow, each a new process
]


@pytest.fixture(scope="module")
def person(stack: Stack) -> Iterator[Person]:
    """One person for all tests of this file."""
    with at_the_browser(stack) as person:
        yield person


@pytest.fixture(scope="module")
def unanswered(person: Person) -> UUID:
    """A refresh whose approval request is open for a few seconds only; everything else happens meanwhile."""
    asked = {"source": "schulprod", "destination": "schuldev", "answer_within": "PT5S", "requested_by": REQUESTER}
    return person.runs.start("refresh/refresh", asked)


@pytest.fixture
def copies(stack: Stack) -> Copies:
    """The copies that the emulated host has taken on so far."""

    def executed() -> list[Any]:
        journal = httpx.get(f"{stack.emulator_url}/_sandbox/journal").json()
        return [row["install"] for row in journal if row["executed"] and row["path"].endswith("/install_copy")]

    return executed


@pytest.fixture
def promotion(person: Person, stack: Stack) -> Callable[..., UUID]:
    """Start a promotion with something to copy, and wait until it asks."""

    def start(**parameters: Any) -> UUID:
        httpx.post(f"{stack.emulator_url}/_sandbox/publish", json={"install": "schulstage", "kind": "files"})
        shown = {"source": "schulstage", "destination": "schulprod", "requested_by": REQUESTER}
        run = person.runs.start("promote/promote", shown | parameters)
        person.await_form(run)
        return run

    return start


@pytest.mark.drill
def test_a_refresh_is_started_from_its_form(person: Person, stack: Stack, copies: Copies, unanswered: UUID) -> None:
    """Whoever fills in source, destination and approval in the UI gets a refresh of exactly that pair."""
    with SyncPrefectClient(stack.api_url) as client:
        deployment = client.read_deployment_by_name("refresh/refresh").id
    person.open(f"/deployments/deployment/{deployment}/run")
    person.page.locator(".schema-form-property").first.wait_for()
    person.fill(Source_install="schulprod", Destination_install="schulstage", Approval="ask", Requested_by=REQUESTER)
    person.page.locator(".schema-form-property").first.scroll_into_view_if_needed()
    person.picture("start-refresh")
    person.press("Submit")
    person.page.wait_for_url(f"**/deployments/deployment/{deployment}**")
    run = person.newest_run(deployment, but=unanswered)
    person.await_form(run)
    person.answer(run, "approve", Proof_that=stack.leads.fresh_code())
    person.submit()
    assert person.wait(run, *ENDS) == "Verified"
    assert copies() == ["schulstage"]


@pytest.mark.drill
def test_one_person_approves_on_a_phone(
    person: Person, stack: Stack, copies: Copies, promotion: Callable[..., UUID]
) -> None:
    """Every word of the form can be read; a missing proof is refused at once; a lead's code, in two halves, is one copy."""
    run = promotion()
    person.resize(PHONE)
    person.answer(run, "approve", Reason="release day")
    assert_readable(person)
    person.submit(refused=True)  # without a proof
    assert (person.state(run), "schulprod" in copies()) == ("Suspended", False)
    code = stack.leads.fresh_code()
    person.fill(Proof_that=f"{code[:3]} {code[3:]}")
    assert (person.fields, person.keystrokes, person.taps) == (4, 27, 8)  # with one Submit; docs/approvals.md has them
    person.page.get_by_text("is too short").first.wait_for(state="hidden")  # Prefect's message
    person.picture_of_form("form-approve-390")
    person.resize(WINDOW)
    person.picture_of_form("form-approve")
    person.submit()
    assert person.wait(run, *ENDS) == "Verified"
    assert copies().count("schulprod") == 1
    assert f"* Approved by: {LEAD}\n" in person.runs.report(run)
    person.open(f"/artifacts/artifact/{person.artifact('report-promote')['id']}")
    person.page.get_by_text("closing checkpoint of the destination").first.wait_for()
    person.picture("report")


def assert_readable(person: Person) -> None:
    """The dialog fits into the window, no word of it is cut or covered, and the plan is drawn as lists, what matters first."""
    box, window = person.form.bounding_box(), person.page.viewport_size
    assert box is not None
    assert window is not None
    assert 0 <= box["x"] < box["x"] + box["width"] <= window["width"]
    assert person.page.evaluate(UNREADABLE) == []
    plan = person.field("Decision")
    words = plan.inner_text()
    assert words.index("is overwritten with schulstage") < words.index("Permanently lost") < words.index("Risk")
    assert plan.get_by_text("YELLOW", exact=True).is_visible()  # an element of its own: bold
    assert plan.locator("li", has_text="Asset versions").locator("li", has_text="schulstage: 5.").count() == 1
    assert "(Optional)" not in person.form.inner_text()
    assert not set("*|#") & set(words)


@pytest.mark.drill
def test_two_people_approve_what_is_risky(
    person: Person, stack: Stack, copies: Copies, promotion: Callable[..., UUID]
) -> None:
    """A wrong name is refused at once, a wrong code is reported; the first approval copies nothing; the second person signs."""
    before = copies().count("schulprod")
    run = promotion(database=True)
    person.answer(run, "approve", Type_the_name="schulstage", Proof_that="000000")
    person.submit(refused=True)
    person.page.get_by_text("'schulstage' does not match").first.wait_for()
    person.picture("form-wrong-name")
    assert person.state(run) == "Suspended"
    person.fill(Type_the_name="schulprod")
    person.submit()
    assert "The last answer did not count: The code is not the one" in person.await_form(run, 1)
    person.answer(run, "approve")
    person.fill(Proof_that=stack.leads.fresh_code())  # last: a code is good for half a minute
    person.picture_of_form("form-wrong-code")
    person.submit()
    assert f"**{LEAD}** approved (code," in person.await_form(run, 2)
    assert copies().count("schulprod") == before
    signed = person.signature(run, "approve", SECOND)
    person.answer(run, "approve", Your_name=SECOND, Proof_that=signed, Reason="looked at it too")
    person.picture_of_form("form-second")
    person.submit()
    assert person.wait(run, *ENDS) == "Verified"
    assert copies().count("schulprod") == before + 1
    assert f"* Approved by: {LEAD} and {SECOND}\n" in person.runs.report(run)


@pytest.mark.drill
def test_a_rejected_promotion_never_sends_a_copy(
    person: Person, copies: Copies, promotion: Callable[..., UUID]
) -> None:
    """Whoever chooses reject and types a reason, on a phone, ends the run as Rejected: nothing is copied.

    After the approvals: a rejection without proof voids the codes that are typed elsewhere within the same minute.
    """
    before = copies().count("schulprod")
    run = promotion()
    person.open(f"/runs/flow-run/{run}")
    person.page.get_by_role("button", name="Resume").wait_for()
    person.picture("waiting")
    person.resize(PHONE)
    person.answer(run, REJECT, Reason="not before the fair")
    assert (person.fields, person.keystrokes, person.taps + 1) == (2, 19, 6)  # and Submit; docs/approvals.md
    person.picture_of_form("form-reject")
    person.submit()
    person.resize(WINDOW)
    assert person.wait(run, *ENDS) == "Rejected"
    assert "not before the fair" in person.runs.report(run)
    assert copies().count("schulprod") == before


@pytest.mark.drill
def test_silence_means_no(person: Person, stack: Stack, copies: Copies, unanswered: UUID) -> None:
    """The sweep ends an approval request that nobody answers: the run is shown as Expired, and nothing was copied."""
    person.runs.start("sweep/sweep", {})
    assert person.wait(unanswered, "Expired") == "Expired"
    person.open(f"/runs/flow-run/{unanswered}")
    person.page.get_by_text("Expired").first.wait_for()
    person.picture("expired")
    assert "schuldev" not in copies()
    shown = [notice.subject for notice in notice_receiver.read(stack.notices_file)]
    assert "[Understudy] refresh of schuldev: Expired" in shown
