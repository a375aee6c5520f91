"""A lead at the desk, in a real Chromium with a virtual authenticator, on a phone and on a wide screen."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import axe_playwright_python
import pytest
import uvicorn
import yaml
from playwright.sync_api import Page, sync_playwright
from prefect.client.orchestration import get_client
from prefect.states import Pending

from deployments.desk.app import make_desk
from deployments.desk.reading import Sources
from deployments.sandbox.processes import free_port
from flows.promote import promote
from tasks.configuration.settings import forget_settings, load_settings
from tasks.ledger.ledger import Ledger
from tests.deployments.sandbox.person_in_browser import CHROMIUM, PATIENCE, QUIET, SCREENSHOTS
from tests.people import DEMO_LEAD, SECOND_LEAD, Run

pytestmark = [
    pytest.mark.drill,
    pytest.mark.browser,
    pytest.mark.timeout(1800),  # seconds: a browser, a server and whole promotions on a machine that does other things
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine"),
]
PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip
PAIR = {"source": "schulstage", "destination": "schulprod"}
REASON = "release day"


class Lead:
    """Somebody at the desk. Counts fields, keystrokes and taps, as a person would make them."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin = page, origin
        self.fields = self.keystrokes = self.taps = 0
        page.set_default_timeout(PATIENCE * 1000)  # milliseconds
        self.session = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable")
        self.session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})

    def open(self, path: str) -> None:
        """Open a page of the desk."""
        self.page.goto(f"{self.origin}{path}")
        self.page.wait_for_load_state("networkidle")

    def tap(self, role: Any, name: str) -> None:
        """Tap a link or button by its name."""
        self.taps += 1
        self.page.get_by_role(role, name=name, exact=False).first.click()

    def type(self, label: str, text: str) -> None:
        """Tap a field, and type into it."""
        self.taps += 1
        self.fields += 1
        self.keystrokes += len(text)
        self.page.get_by_label(label).first.click()
        self.page.keyboard.type(text)

    def check(self, name: str) -> None:
        """Require that the page, in both widths, has no violation of axe's rules, no text outside and no error of the script."""
        self.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        for size in (WIDE, PHONE):
            self.page.set_viewport_size(size)  # type: ignore[arg-type]  # a dictionary of two numbers
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= size["width"], f"{name} is {wide} px wide in a window of {size['width']}"
            found = self.page.evaluate(f"{AXE}\n;axe.run().then(result => result.violations)")
            assert not found, [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
            if SCREENSHOTS:
                self.page.screenshot(path=Path(SCREENSHOTS) / f"desk-{name}-{size['width']}.png", full_page=True)


@pytest.fixture
def origin(worker: Any, ledger: Ledger) -> Iterator[str]:
    """The address of a desk over the ledger, leads and Prefect of this worker."""
    port, settings = free_port(), load_settings()
    address = f"http://localhost:{port}"
    sources = Sources(
        settings.ledger_url, settings.leads_file, Path("deployments/risks.yaml"), settings.pictures, address,
        estate_file=settings.estate_file, standing_file=settings.standing_file, freeze_file=settings.freeze_file,
    )  # fmt: skip
    server = uvicorn.Server(uvicorn.Config(make_desk(sources), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield address
    server.should_exit = True
    thread.join()


@pytest.fixture
def lead(origin: str, tmp_path: Path) -> Iterator[Lead]:
    """Somebody with a fresh browser, on a phone."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path / "browser",
            executable_path=CHROMIUM,
            args=QUIET,
            timezone_id="Europe/Vienna",
            viewport=PHONE,  # type: ignore[arg-type]  # as above
        )
        yield Lead(context.pages[0] if context.pages else context.new_page(), origin)
        context.close()


def enrol(lead: Lead) -> None:
    """Make a passkey on the desk's page, and list its line under the demo lead, as a reviewer would."""
    lead.open("/passkeys")
    lead.check("passkeys")
    lead.type("Your name", DEMO_LEAD)
    lead.type("Your e-mail", "demo@schulfest.example")
    lead.tap("button", "Make a passkey")
    line = lead.page.get_by_label("The line for the leads file").inner_text()
    lead.check("enrolled")
    path = load_settings().leads_file
    leads = yaml.safe_load(path.read_text())
    leads[0]["passkeys"] = yaml.safe_load(line)
    path.write_text(yaml.safe_dump(leads))
    lead.fields = lead.keystrokes = lead.taps = 0


def sent(lead: Lead, run: Run) -> Run:
    """Wait until the desk has sent the answer, and continue the run as its worker."""
    lead.page.wait_for_url(f"**/runs/{run.id}")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run.id), Pending(), force=True)
    return run.go()


def test_a_yellow_promotion_is_approved_on_a_phone(
    start: Callable[..., Any], worker: Any, ledger: Ledger, lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the list to the outcome: at most three fields, twenty keystrokes and six taps, and every page can be read."""
    monkeypatch.setenv("UNDERSTUDY_BROWSER", CHROMIUM)
    forget_settings()
    enrol(lead)
    worker.publish("schulstage", "files")
    run = start(promote, **PAIR)
    lead.open("/")
    lead.check("waiting")
    lead.tap("link", "promote of schulprod")
    lead.page.wait_for_url("**/decide")
    lead.page.wait_for_load_state("networkidle")
    pictures = lead.page.get_by_role("img", name="Front page of")
    assert pictures.count() == 4
    assert all(each.evaluate("image => image.naturalWidth") > 0 for each in pictures.all())
    lead.check("decide")
    lead.type("Reason", REASON)
    lead.tap("button", "Approve with your passkey")
    sent(lead, run)
    assert run.state == "Verified", run.message
    counted = (lead.fields, lead.keystrokes, lead.taps)
    print("fields, keystrokes, taps:", counted)
    assert counted <= (3, 20, 6)
    assert counted[1] <= 20
    assert counted[2] <= 6
    (answered,) = ledger.facts(run_id=run.id, kind="answered")
    assert (answered.detail["name"], answered.detail["proof"]) == (DEMO_LEAD, "passkey")
    lead.page.get_by_text("Next step").or_(lead.page.get_by_text("Verified")).first.wait_for()
    lead.check("after")
    for path, name in (("/places", "places"), ("/places/schulprod", "place"), ("/ledger", "ledger")):
        lead.open(path)
        lead.check(name)


def test_a_rejection_is_a_reason_and_two_taps(start: Callable[..., Any], worker: Any, lead: Lead) -> None:
    """No proof, no name, nothing typed but the reason."""
    worker.publish("schulstage", "files")
    run = start(promote, **PAIR)
    lead.open(f"/runs/{run.id}/decide")
    lead.type("Reason", "not before the fair")
    lead.tap("button", "Reject")
    assert sent(lead, run).state == "Rejected", run.message
    assert (lead.fields, lead.taps) == (1, 2)


def test_red_needs_two_people_and_the_name(start: Callable[..., Any], worker: Any, ledger: Ledger, lead: Lead) -> None:
    """The second person reads that they are the last, types what is overwritten, and approves with the passkey."""
    enrol(lead)
    worker.publish("schulstage", "files")
    run = start(promote, **PAIR, database=True)
    assert run.request.people == 2, run.message
    run.say(lead=SECOND_LEAD)
    run.go()
    lead.open(f"/runs/{run.id}/decide")
    assert f"You are the last of 2 people: {SECOND_LEAD} approved" in lead.page.inner_text("main")
    lead.type("Reason", REASON)
    lead.tap("button", "Approve with your passkey")
    assert "Type what the field asks for" in lead.page.inner_text("main")
    lead.type("Type the name of what is overwritten", "schulprod")
    lead.check("decide-red")
    lead.tap("button", "Approve with your passkey")
    assert sent(lead, run).state == "Verified", run.message


def keys(lead: Lead, *pressed: str) -> None:
    """Press keys, or type what is no name of a key."""
    for each in pressed:
        lead.page.keyboard.press(each) if each in ("Tab", "Enter", "Space") else lead.page.keyboard.type(each)


def test_a_comment_is_written_with_the_keyboard_alone(start: Callable[..., Any], worker: Any, lead: Lead) -> None:
    """It is shown to everybody, and the run still waits."""
    worker.publish("schulstage", "files")
    run = start(promote, **PAIR)
    lead.open(f"/runs/{run.id}/decide")
    lead.page.get_by_text("Write a comment").focus()
    keys(lead, "Enter", "Tab", "Carl Comment", "Tab", "is the menu done?", "Tab", "Enter")
    lead.page.wait_for_url("**/decide#comments")
    assert "is the menu done?" in lead.page.inner_text("#comments")
    assert "Carl Comment (not proven)" in lead.page.inner_text("#comments")
    lead.check("comment")
    assert run.state == "Suspended", run.message


def test_the_end_of_a_hold_is_picked_in_local_time(worker: Any, ledger: Ledger, lead: Lead, tmp_path: Path) -> None:
    """The browser sends it in UTC, with the keyboard alone."""
    load_settings().estate_file.write_text("sites: [{name: Schulfest, production: schulprod, staging: schulstage}]")
    sent: list[str] = []

    def keep(route: Any) -> None:
        sent.append(route.request.post_data)
        route.fulfill(status=200, body="held")

    lead.page.route("**/hold", keep)
    lead.open("/places/schulstage")
    lead.check("place-forms")
    lead.page.get_by_label("Until (your time)").fill("2026-12-24T18:00")
    lead.page.get_by_label("Reason").focus()
    keys(lead, "rehearsal", "Tab", "Carl Comment", "Enter")
    lead.page.get_by_text("held").wait_for()
    assert "until_utc=2026-12-24T17%3A00%3A00.000Z" in sent[0]
