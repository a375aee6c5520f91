"""Somebody at the Prefect UI, in a real Chromium: what people do there, and what they see."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from playwright.sync_api import Locator, Page, ViewportSize, sync_playwright

from deployments.sandbox.runs import Runs, connected_to
from deployments.sandbox.stack import Stack
from tasks.estate.approval_sheet import Sheet
from tasks.signoff.form_fields import REJECT, approval_choice, destination_is_typed
from tasks.signoff.proofs import statement

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
# A browser that looks for no updates and no accounts: this machine may have no network.
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WINDOW = ViewportSize(width=1280, height=1000)
PHONE = ViewportSize(width=390, height=844)
# Every line of text of the open form that stays outside of the window or under something else when it is scrolled to.
UNREADABLE = """() => {
  const body = document.querySelector('.p-modal__card .p-modal__body'), found = [];
  const texts = document.createTreeWalker(body, NodeFilter.SHOW_TEXT), range = document.createRange();
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (!node.textContent.trim()) continue;
    node.parentElement.scrollIntoView({block: 'center'});
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      const top = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
      const inside = box.left >= 0 && box.right <= innerWidth && top && node.parentElement.contains(top);
      if (!inside) found.push(node.textContent);
    }
  }
  return found;
}"""
MARGINS = 32  # pixels above and below the dialog
PRESSES = 5
PATIENCE = 120.0  # seconds until a run ends or asks, on a busy machine
SCREENSHOTS = os.environ.get("UNDERSTUDY_SCREENSHOTS", "")  # a folder; how the pictures in docs/images are made


class Person:
    """Whoever sits there: opens pages, fills in forms, presses buttons, and reads."""

    def __init__(self, page: Page, stack: Stack, runs: Runs) -> None:
        self.page, self.stack, self.runs = page, stack, runs
        self.fields = self.keystrokes = self.taps = 0  # of the form that was opened last, as a hand makes them

    def open(self, path: str) -> None:
        """Open a page of the UI and let it draw."""
        self.page.goto(f"{self.stack.ui_url}{path}")
        self.page.wait_for_load_state("networkidle")

    def field(self, label: str) -> Locator:
        """A field of the open form by the start of its label."""
        titled = self.page.locator(".schema-form-property__label", has_text=label)
        return self.page.locator(".schema-form-property").filter(has=titled)

    def fill(self, **answers: str) -> None:
        """Fill in the form's fields by their labels; underscores are spaces, the start of a label is enough."""
        for label, value in answers.items():
            self.fields += 1
            field = self.field(label.replace("_", " "))
            if field.locator("textarea").count():
                self.taps, self.keystrokes = self.taps + 1, self.keystrokes + len(value)
                field.locator("textarea").last.fill(value)
            else:
                self.taps += 2
                field.locator("button.p-select-button__control").last.focus()
                self.page.keyboard.press("Space")  # a click opens the list and closes it again
                self.page.locator(".p-select-option__text").get_by_text(value, exact=True).click()

    def press(self, name: str) -> None:
        """Press a button."""
        self.taps += 1
        self.page.get_by_role("button", name=name).last.click()

    @property
    def form(self) -> Locator:
        """The dialog of an open approval request."""
        return self.page.locator(".p-modal__card")

    def submit(self, *, refused: bool = False) -> None:
        """Send the form off, and see it taken (it closes) or, where that is expected, refused (it stays).

        Presses again, as people do, where Prefect's SQLite was locked: a server under load answers so and stores nothing.
        """
        verdict = ""
        for _ in range(PRESSES):
            with self.page.expect_response("**/resume") as answered:
                self.press("Submit")
            verdict = answered.value.json().get("status", "")
            if verdict in ("ACCEPT", "REJECT"):
                break
            self.page.wait_for_timeout(1000)
        assert verdict == ("REJECT" if refused else "ACCEPT")
        if not refused:
            self.form.wait_for(state="hidden")

    def resize(self, window: ViewportSize) -> None:
        """Change the size of the window."""
        self.page.set_viewport_size(window)

    def picture(self, name: str) -> None:
        """Keep a picture of the window for the documentation, where one is asked for."""
        if SCREENSHOTS:
            self.page.wait_for_timeout(1500)  # the UI's animations
            self.page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")

    def picture_of_form(self, name: str) -> None:
        """The same of the open form alone, from its first word to its last."""
        if SCREENSHOTS:
            body = self.form.locator(".p-modal__body")
            frame = self.form.evaluate("e => e.clientHeight") - body.evaluate("e => e.clientHeight") + MARGINS
            window = self.page.viewport_size or WINDOW
            self.page.set_viewport_size(
                {"width": window["width"], "height": body.evaluate("e => e.scrollHeight") + frame}
            )
            self.page.wait_for_timeout(1500)
            self.form.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
            self.page.set_viewport_size(window)

    def state(self, run: UUID) -> str:
        """The name of the run's state."""
        state = self.runs.run(run).state
        return str(state.name) if state else ""

    def wait(self, run: UUID, *states: str) -> str:
        """Wait until the run is in one of these states."""
        deadline = time.monotonic() + PATIENCE
        while (name := self.state(run)) not in states:
            asked = self.runs.form(self.runs.run(run)) if time.monotonic() >= deadline else None
            assert time.monotonic() < deadline, f"run is {name}, expected {states}; it asks: {asked and asked.text}"
            time.sleep(0.3)
        return name

    def await_form(self, run: UUID, number: int = 0) -> str:
        """Wait for the form of the run with this number, counted from 0, and return the text above it."""
        deadline = time.monotonic() + PATIENCE
        while (asked := self.runs.form(self.runs.run(run))) is None or not asked.key.endswith(f"-{number}-schema"):
            name = self.state(run)
            assert time.monotonic() < deadline, f"run is {name}, asks {asked and asked.key}, expected question {number}"
            time.sleep(0.3)
        return asked.text

    def open_form(self, run: UUID) -> None:
        """Open the form of the run's question. In a narrow window, Prefect has its button in a menu."""
        self.open(f"/runs/flow-run/{run}")
        self.fields = self.keystrokes = self.taps = 0
        if self.page.viewport_size == PHONE:
            self.taps += 2
            self.page.locator(".p-icon-button-menu button").last.click()
            self.page.get_by_text("Resume", exact=True).last.click()
        else:
            self.press("Resume")
        self.page.locator(".schema-form-property").first.wait_for()

    def sheet(self, run: UUID) -> Sheet:
        """Return the latest approval request of the run, as data."""
        return Sheet.of_markdown(self.artifact(f"plan-{run}")["data"])

    def artifact(self, key: str) -> dict[str, Any]:
        """The newest artifact under this key."""
        wanted = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
        found: list[dict[str, Any]] = httpx.post(f"{self.stack.api_url}/artifacts/filter", json=wanted).json()
        assert found, f"no artifact {key}"
        return found[0]

    def answer(self, run: UUID, decision: str, **instead: str) -> None:
        """Open the run's form and fill it in as the demo lead, with these changes; a rejection has a reason only."""
        self.open_form(run)
        plan = self.sheet(run).plan
        if decision == REJECT:
            self.fill(**{"Decision": REJECT, "Reason": "tested on staging"} | instead)
            return
        form = {"Decision": approval_choice(plan.code), "Reason": "tested on staging", "Your_name": "Demo Lead"}
        if destination_is_typed(plan):
            form["Type_the_name"] = plan.destination_name
        self.fill(**(form | instead))

    def newest_run(self, deployment: UUID, *, but: UUID) -> UUID:
        """The run that was just started from this deployment, other than one that is known."""
        deadline = time.monotonic() + PATIENCE
        wanted = {"flow_runs": {"deployment_id": {"any_": [str(deployment)]}, "id": {"not_any_": [str(but)]}}}
        while not (found := httpx.post(f"{self.stack.api_url}/flow_runs/filter", json=wanted).json()):
            assert time.monotonic() < deadline, "the form started no run"
            time.sleep(0.3)
        return UUID(found[0]["id"])

    def signature(self, run: UUID, decision: str, name: str) -> str:
        """Return what `ssh-keygen` prints for a decision about the run's plan, on one line."""
        sheet = self.sheet(run)
        return self.stack.leads.sign(statement(decision, sheet.plan.fingerprint, sheet.answer_by), name=name)


@contextmanager
def at_the_browser(stack: Stack) -> Iterator[Person]:
    """A person with a fresh browser profile."""
    with sync_playwright() as playwright, connected_to(stack.api_url) as runs:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield Person(browser.new_page(viewport=WINDOW), stack, runs)
        browser.close()
