"""`watch` and `open`: an existing run is followed or shown, named as people name runs."""

from collections.abc import Callable
from typing import Any

from prefect import flow

from tasks.estate.errors import NotApproved


@flow(name="ended", flow_run_name="look at {install}", retries=0)  # retries are not tested here
def ended(install: str) -> Any:
    """End at once."""
    raise NotApproved(f"nobody approved {install}")


def test_a_run_that_has_ended_is_reported(
    start: Callable[..., Any], machine: Callable[..., Any], cli: Callable[..., Any]
) -> None:
    """Its name is enough; the exit code is that of its outcome, and the place of a run names its newest."""
    run = start(ended, install="schulwatch")
    for named in ("look at schulwatch", "schulwatch", run.id, "LOOK AT SCHULW"):
        code, document = machine("watch", named)
        assert (code, document["run"], document["name"]) == (1, run.id, "look at schulwatch")
    assert "nobody approved schulwatch" in cli("watch", run.id).stdout
    missing = cli("watch", "no such run")
    assert (missing.exit_code, "None of the newest" in missing.stderr) == (1, True)


def test_a_page_is_opened_or_only_printed(asked: Any, machine: Callable[..., Any], monkeypatch: Any) -> None:
    """The browser gets the page in Prefect, or the one at the desk; `--print` opens nothing."""
    opened: list[str] = []

    def browser(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", browser)
    code, document = machine("open", asked.id, "--print")
    assert (code, document["opened"], opened) == (0, False, [])
    assert machine("open", asked.id)[1]["opened"]
    at_desk = machine("open", asked.id, "--desk", "https://desk.example.org/")[1]
    assert opened == [document["link"], f"https://desk.example.org/runs/{asked.id}"]
    assert at_desk["link"] == opened[-1]
