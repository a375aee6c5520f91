"""The Prefect UI as people use it, in a real Chromium: start a refresh by its form, answer a promotion, reject one."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright
from prefect.client.orchestration import SyncPrefectClient

from deployments.sandbox.runs import Runs
from deployments.sandbox.stack import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
# A browser that looks for no updates and no accounts: this machine may have no network.
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 90.0  # seconds until a run ends or asks, on a busy machine
SCREENSHOTS = os.environ.get("UNDERSTUDY_SCREENSHOTS", "")  # a folder; how the pictures in docs/images are made

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed (Debian: apt-get install chromium)"),
    pytest.mark.timeout(240),  # three programs, a browser and a copy in simulated time
]


class Person:
    """Somebody at the Prefect UI."""

    def __init__(self, page: Page, stack: Stack, runs: Runs) -> None:
        self.page, self.stack, self.runs = page, stack, runs

    def open(self, path: str) -> None:
        """Open a page of the UI and let it draw."""
        self.page.goto(f"{self.stack.ui_url}{path}")
        self.page.wait_for_load_state("networkidle")

    def fill(self, **answers: str) -> None:
        """Fill in the form's fields by their labels; underscores are spaces, the start of a label is enough."""
        for label, value in answers.items():
            field = self.page.locator(".schema-form-property").filter(
                has=self.page.locator(".schema-form-property__label", has_text=label.replace("_", " "))
            )
            if field.locator("textarea").count():
                field.locator("textarea").last.fill(value)
            else:
                field.locator("button.p-select-button__control").last.focus()
                self.page.keyboard.press("Space")  # a click opens the list and closes it again
                self.page.locator(".p-select-option__text").get_by_text(value, exact=True).click()

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name).last.click()

    def picture(self, name: str) -> None:
        """Keep a picture for the documentation, where one is asked for."""
        if SCREENSHOTS:
            self.page.wait_for_timeout(1500)  # the UI's animations
            self.page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")

    def wait(self, run: UUID, *states: str) -> str:
        """Wait until the run is in one of these states."""
        deadline = time.monotonic() + PATIENCE
        while (state := self.runs.read(run).state) is None or state.name not in states:
            assert time.monotonic() < deadline, f"run is {state.name if state else None}, expected {states}"
            time.sleep(0.3)
        return str(state.name)

    def answer(self, run: UUID, decision: str) -> None:
        """Answer the run's question in its form."""
        self.open(f"/runs/flow-run/{run}")
        self.press("Resume")
        self.page.locator(".schema-form-property").first.wait_for()
        self.fill(Decision=decision, Your_name="Lena Lead", Type_the_name="schulprod", Reason="tested on staging")
        self.picture(f"form-{decision}")
        self.press("Submit")


@pytest.fixture(scope="module")
def person(stack: Stack) -> Iterator[Person]:
    """A person with a fresh browser profile."""
    with sync_playwright() as playwright, Runs(stack.api_url) as runs:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield Person(browser.new_page(viewport={"width": 1280, "height": 1000}), stack, runs)
        browser.close()


@pytest.fixture
def copies(stack: Stack) -> Callable[[], list[Any]]:
    """The copies that the emulated host has taken on so far."""

    def executed() -> list[Any]:
        journal = httpx.get(f"{stack.emulator_url}/_sandbox/journal").json()
        return [row["install"] for row in journal if row["executed"] and row["path"].endswith("/install_copy")]

    return executed


def started(stack: Stack, deployment: UUID) -> UUID:
    """The run that was started from this deployment's form."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with SyncPrefectClient(stack.api_url) as client:
            found = [run.id for run in client.read_flow_runs() if run.deployment_id == deployment]
        if found:
            return found[0]
        time.sleep(0.3)
    pytest.fail("the form started no run")


def test_a_refresh_is_started_from_its_form(person: Person, stack: Stack, copies: Callable[[], list[Any]]) -> None:
    """Whoever fills in source, destination and approval in the UI gets a refresh of exactly that pair."""
    with SyncPrefectClient(stack.api_url) as client:
        deployment = client.read_deployment_by_name("refresh/refresh").id
    person.open(f"/deployments/deployment/{deployment}/run")
    person.page.locator(".schema-form-property").first.wait_for()
    person.fill(Source_install="schulprod", Destination_install="schulstage", Approval="standing")
    person.picture("start-refresh")
    person.press("Submit")
    person.page.wait_for_url(f"**/deployments/deployment/{deployment}**")
    run = started(stack, deployment)
    assert person.wait(run, "Verified", "VerifyFailed", "OutcomeUnknown", "Failed") == "Verified"
    assert copies() == ["schulstage"]


def test_a_rejected_promotion_never_sends_a_copy(person: Person, copies: Callable[[], list[Any]]) -> None:
    """A lead who chooses reject in the form ends the run as Rejected; production is untouched."""
    run = person.runs.start("promote/promote", source="schulstage", destination="schulprod")
    person.wait(run, "Suspended")
    person.open(f"/runs/flow-run/{run}")
    person.picture("waiting")
    person.answer(run, "reject")
    assert person.wait(run, "Rejected", "Verified", "Failed") == "Rejected"
    assert "schulprod" not in copies()


def test_a_promotion_is_answered_in_the_resume_form(
    person: Person, stack: Stack, copies: Callable[[], list[Any]]
) -> None:
    """A lead who approves in the form gets one copy, and a report that names them."""
    httpx.post(f"{stack.emulator_url}/_sandbox/publish", json={"install": "schulstage", "kind": "files"})
    run = person.runs.start("promote/promote", source="schulstage", destination="schulprod")
    person.wait(run, "Suspended")
    person.answer(run, "approve")
    assert person.wait(run, "Verified", "VerifyFailed", "OutcomeUnknown", "Failed") == "Verified"
    assert copies().count("schulprod") == 1
    assert "Lena Lead" in person.runs.report(run)
    listed = httpx.post(
        f"{stack.api_url}/artifacts/filter", json={"artifacts": {"key": {"any_": [f"report-{run}"]}}}
    ).json()
    person.open(f"/artifacts/artifact/{listed[0]['id']}")
    person.page.get_by_text("closing checkpoint of the destination").first.wait_for()
    person.picture("report")
