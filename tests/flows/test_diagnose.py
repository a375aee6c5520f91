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
    assert start(refresh, source="schulprod", destination="schulstage").approve().state == "VerifyFailed"
    run = start(diagnose, install="schulstage", compare_with="schulprod")
    assert run.state == "Unhealthy"
    assert "wp search-replace '//www.schulfest.example' '//schulstage.wpengine.example'" in run.report


def test_ssh_shows_an_install_from_the_inside(start: Callable[..., Any], worker: Host, ssh: Callable[..., Any]) -> None:
    """With SSH, URLs of the other install are counted by table, and what staging would do to customers is in the report."""
    document = worker.named("schulstage")
    document["database"] |= {"home": "www.schulfest.example"}
    worker.store.put("installs", document)
    worker.change_inside("schulstage", filters_mail=False, environment_type="production")
    report = start(diagnose, install="schulstage", compare_with="schulprod").report.replace("\\", "")  # of Markdown
    for detail in (
        "wp_posts.post_content: 7", "wp_postmeta.meta_value: 2", "wp_options.option_value: 2",
        "nothing stops e-mails to customers", "production; the host reports staging",
    ):  # fmt: skip
        assert detail in report


def test_an_install_that_ssh_does_not_reach_is_diagnosed_from_outside(
    start: Callable[..., Any], worker: Host, ssh: Callable[..., Any]
) -> None:
    """A refused key is one finding that is not known; the outcome is that of what a visitor sees."""
    worker.switch_on("ssh-key-refused")
    run = start(diagnose, install="schulprod")
    assert run.state == "Healthy"
    assert "refuses the key for schulprod" in run.report
