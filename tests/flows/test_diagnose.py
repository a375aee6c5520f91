"""Diagnose: read-only, with findings that name what to do."""

from collections.abc import Callable
from typing import Any

from deployments.sandbox.host.host import Host
from flows.diagnose import diagnose
from flows.refresh import refresh


def test_a_sound_install_is_healthy_and_nothing_is_written(start: Callable[..., Any], worker: Host) -> None:
    """A diagnosis ends Healthy and sends nothing but reads."""
    assert start(diagnose, install="schulprod").state == "Healthy"
    assert {row["method"] for row in worker.journal()} == {"GET"}


def test_an_unknown_install_is_named(start: Callable[..., Any]) -> None:
    """A typo ends as NotFound with the name."""
    run = start(diagnose, install="schulprad")
    assert run.state == "NotFound"
    assert "schulprad" in run.message


def test_leaked_urls_come_with_the_command_that_mends_them(start: Callable[..., Any], worker: Host) -> None:
    """After a copy without URL replacement, the finding names the exact search-replace command."""
    worker.switch_on("urls-leak", install="schulstage")
    assert start(refresh, source="schulprod", destination="schulstage").approve("schulstage").state == "VerifyFailed"
    run = start(diagnose, install="schulstage", compare_with="schulprod")
    assert run.state == "Unhealthy"
    assert "wp search-replace '//www.schulfest.example' '//schulstage.wpengine.example'" in run.report
