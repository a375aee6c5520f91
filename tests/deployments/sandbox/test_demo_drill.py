"""The demo as a drill: a person decides at the desk, by code and with a passkey, and a rejection ends it well."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, sync_playwright

from deployments.sandbox.desk_visitor import answer_at_desk
from deployments.sandbox.leads import LEAD, LEAD_EMAIL
from tests.deployments.desk.test_browser import AUTHENTICATOR
from tests.deployments.sandbox.person_in_browser import CHROMIUM, PATIENCE, PHONE, QUIET, SCREENSHOTS, WINDOW

pytestmark = [
    pytest.mark.drill,
    pytest.mark.timeout(900),  # seconds: a whole sandbox, on a machine that does other things
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="left-overs are looked for in /proc"),
]
LINK = re.compile(r"Decide at the desk: (http://localhost:\d+)/runs/([0-9a-f-]{36})/decide")


def link_of(demo: Any) -> tuple[str, UUID]:
    """Return the address of the desk and the run, from the one link that the demo prints."""
    found = LINK.search(demo.read_until("Decide at the desk"))
    assert found
    return found[1], UUID(found[2])


def answer(demo: Any, **fields: str) -> str:
    """Answer the next request at the desk as the demo describes, with the digits that it prints; return the desk's address."""
    desk, run = link_of(demo)
    digits = re.search(r"now: (\d{3} \d{3}) ", demo.read_until("six digits now"))
    assert digits
    answer_at_desk(desk, run, {"reason": "as described by the demo", "name": LEAD, "code": digits[1]} | fields)
    return desk


def test_a_person_answers_in_the_demo(perform: Callable[..., Any]) -> None:
    """Attended, it prints where and with which digits to answer, accepts a rejection, stays up, and exits 0 at Ctrl-C."""
    demo = perform()
    answer(demo, decision="approve")
    desk = answer(demo, decision="reject", name="", code="")
    demo.read_until("Everything stays up")
    assert "(promote verified)" in demo.printed
    assert "Somebody at the desk (not proven) rejected plan" in demo.printed
    assert "The ledger is whole" in demo.printed
    assert "no nightly reload" in demo.printed
    demo.note_family()
    os.kill(demo.process.pid, signal.SIGINT)
    assert demo.finish() == 0
    assert demo.nothing_left()
    assert demo.port_is_free(desk)


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_a_newcomer_decides_with_a_passkey(perform: Callable[..., Any]) -> None:
    """In a browser: make a passkey, type its line into the demo's terminal, approve with it, and watch until it is verified."""
    demo = perform()
    desk, run = link_of(demo)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport=PHONE)
        page.set_default_timeout(PATIENCE * 1000)  # milliseconds
        session = page.context.new_cdp_session(page)
        session.send("WebAuthn.enable")
        session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        demo.type("- {credential: nothing}")
        demo.read_until("passkey")  # of the help
        page.goto(f"{desk}/passkeys")
        page.get_by_label("Your name").fill(LEAD)
        page.get_by_label("Your e-mail").fill(LEAD_EMAIL)
        page.get_by_role("button", name="Make a passkey").click()
        demo.type(page.get_by_label("The line for the leads file").inner_text())
        demo.read_until("passkey is in the leads file")
        page.goto(f"{desk}/runs/{run}/decide")
        page.get_by_label("Reason").fill("release day")
        picture(page, "demo-decide")
        page.get_by_role("button", name="Approve with your passkey").click()
        page.get_by_text("Verified").first.wait_for()
        picture(page, "demo-watch")
        browser.close()
    demo.read_until("(promote verified)")
    assert f"Approved by: {LEAD}" in demo.printed + demo.read_until("Approved by")
    demo.note_family()
    os.kill(demo.process.pid, signal.SIGINT)
    demo.finish()
    assert demo.nothing_left()


def picture(page: Page, name: str) -> None:
    """Keep pictures of the page in both widths for the documentation, where they are asked for."""
    if SCREENSHOTS:
        for size in (WINDOW, PHONE):
            page.set_viewport_size(size)
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{size['width']}.png", full_page=True)
