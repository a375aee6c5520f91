"""`doctor`: every finding with its remedy; only a worker about which everything is known to be right is healthy."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.doctor.examination import Finding, bad, good, unknown
from tasks.configuration.settings import forget_settings
from tasks.ledger.ledger import Ledger

PARTS = ("_databases", "examine_leads", "examine_standing", "_ledger", "_server", "_host")


@pytest.fixture
def healthy(worker: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts but the settings find nothing."""
    for part in PARTS:
        monkeypatch.setattr(f"deployments.cli.doctor.{part}", lambda: iter(()))
    monkeypatch.setattr("deployments.cli.doctor.examine_notices", lambda send: iter([good("notices", "taken")]))


def test_a_healthy_worker_passes(healthy: None, machine: Callable[..., Any]) -> None:
    """The exit code is 0, and the document has every finding."""
    code, document = machine("doctor")
    assert (code, document["counts"]) == (0, {"passed": 2, "failed": 0, "not known": 0})
    assert [each["check"] for each in document["findings"]] == ["settings", "notices"]


@pytest.mark.parametrize("finding", [bad("a", "It is wrong.", "Do b."), unknown("a", "It is away.", "Do b.")])
def test_what_is_wrong_or_not_known_is_not_green(
    healthy: None, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, finding: Finding
) -> None:
    """The exit code is 1, and the remedy follows its finding."""

    def part() -> Iterator[Finding]:
        yield finding

    monkeypatch.setattr("deployments.cli.doctor._ledger", part)
    done = cli("doctor", "--no-notice")
    assert done.exit_code == 1
    assert f"a: {finding.verdict}. {finding.detail}\n    Do b.\n" in done.stdout


def test_wrong_settings_are_the_only_finding(
    worker: object, machine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With settings that cannot be read, nothing else is claimed."""
    monkeypatch.setenv("UNDERSTUDY_PACE", "7")
    forget_settings()
    code, document = machine("doctor")
    (finding,) = document["findings"]
    assert (code, finding["check"], finding["verdict"]) == (1, "settings", "failed")


def test_parts_read_the_worker(ledger: Ledger, machine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the emulator, the login, the leads and the ledger are found in order, and nothing was sent."""
    monkeypatch.setattr("deployments.cli.doctor._server", lambda: iter(()))
    _, document = machine("doctor", "--no-notice")
    found = {each["check"]: each["verdict"] for each in document["findings"]}
    assert {"API login", "ledger", "ledger writable", "leads"} <= {check for check, v in found.items() if v == "passed"}
    assert found["notices"] == "failed"  # the worker of the tests has no place for notices
