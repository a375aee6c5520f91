"""Notices: every place is notified, one that fails or hangs stops nothing, and no address of a place is shown."""

import logging
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret

from deployments.sandbox.notice_receiver import Catcher
from tasks.configuration.settings import forget_settings
from tasks.ledger.ledger import Ledger
from tasks.runtime import notices
from tasks.runtime.notices import send_notice
from tests.raw_facts import raw_fact

SECRET = "T0PSECRET"


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    """A place on loopback."""
    with Catcher() as place:
        yield place


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Set `UNDERSTUDY_NOTICES`, and forget the settings afterwards."""
    yield monkeypatch
    forget_settings()


def send_to(places: pytest.MonkeyPatch, *addresses: str) -> None:
    """Make these the places."""
    places.setenv("UNDERSTUDY_NOTICES", " ".join(addresses))
    forget_settings()


def saved(catcher: Catcher) -> str:
    """Save a webhook block that leads to the catcher, as an operator would; return its name for the setting."""
    name = f"leads-{uuid4().hex[:8]}"
    block = CustomWebhookNotificationBlock(
        name="leads",
        url=catcher.url.replace("json:", "http:"),
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
    )
    block.save(name)
    return f"{CustomWebhookNotificationBlock.get_block_type_slug()}/{name}"


def test_without_places_nothing_happens(ledger: Ledger) -> None:
    """No places: nothing is sent and nothing recorded."""
    send_notice("alert", "no place", ["a line"])
    assert ledger.facts(kind="notice") == []


def test_a_notice_has_subject_lines_link_and_head(ledger: Ledger, catcher: Catcher, places: pytest.MonkeyPatch) -> None:
    """A notice has a marked subject, the lines, the run's link, and at its end the ledger's head as it was."""
    send_to(places, catcher.url)
    newest, run = ledger.record(raw_fact("planned"), run_id="r"), str(uuid4())
    send_notice("asked", "promote schulstage", ["first", "second"], run_id=run)
    (caught,) = catcher.caught
    assert caught.subject == "[Understudy] promote schulstage"
    assert caught.body.startswith("first\nsecond\n\nRun: ")
    assert run in caught.body
    assert caught.body.endswith(f"\nLedger head: {newest.seq}:{newest.hash}")
    (fact,) = ledger.facts(kind="notice")
    assert (fact.run_id, fact.detail) == (run, {"kind": "asked", "subject": caught.subject, "sent": 1, "failed": 0})


@pytest.mark.usefixtures("prefect_server")
def test_blocks_are_notified_from_inside_a_run_and_outside(
    ledger: Ledger, catcher: Catcher, places: pytest.MonkeyPatch
) -> None:
    """A Prefect block is a place like any other, in a flow's run and without one."""
    send_to(places, saved(catcher), catcher.url)
    send_notice("alert", "outside", ["x"])
    flow(lambda: send_notice("alert", "inside", ["x"]), name="telling", log_prints=False)()
    assert sorted(c.subject for c in catcher.caught) == ["[Understudy] inside"] * 2 + ["[Understudy] outside"] * 2
    assert [fact.detail["sent"] for fact in ledger.facts(kind="notice")] == [2, 2]


@pytest.mark.usefixtures("prefect_server")
def test_a_place_that_fails_stops_nothing(
    ledger: Ledger, catcher: Catcher, places: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused, unreachable, unknown, no notification: each counts as failed, the good place is notified, no address is logged."""
    secret_block = f"no-notice-{uuid4().hex[:8]}"
    Secret(value=SECRET).save(secret_block)  # type: ignore[arg-type]  # any value is wrapped
    with Catcher() as refusing:
        refusing.status = 500
        wrong = [
            refusing.url.replace("/notices", f"/{SECRET}"),
            f"json://127.0.0.1:9/{SECRET}",
            f"nonsense://{SECRET}",
            f"slack://{SECRET}",
            "slack-webhook/does-not-exist",
            f"secret/{secret_block}",
        ]
        send_to(places, *wrong, catcher.url)
        with caplog.at_level(logging.INFO):
            send_notice("alert", "partly sent", ["x"])
    assert len(catcher.caught) == 1
    (fact,) = ledger.facts(kind="notice")
    assert (fact.detail["sent"], fact.detail["failed"]) == (1, len(wrong))
    assert caplog.text.count("A notice to") == len(wrong)
    assert "'nonsense'" in caplog.text
    assert SECRET not in caplog.text + str(ledger.facts())


def test_a_place_that_hangs_is_left_behind(ledger: Ledger, catcher: Catcher, places: pytest.MonkeyPatch) -> None:
    """All places share one time limit: the others are notified, and the run continues."""
    places.setattr(notices, "PATIENCE", 3.0)  # seconds; a busy machine needs one to send a notice
    with Catcher() as hanging, Catcher() as hanging_too:
        hanging.delay = hanging_too.delay = 60.0
        send_to(places, hanging.url, hanging_too.url, catcher.url)
        began = time.monotonic()
        send_notice("alert", "in time", ["x"])
        assert time.monotonic() - began < 30
    assert len(catcher.caught) == 1
    assert ledger.facts(kind="notice")[0].detail["failed"] == 2


def test_a_lost_ledger_raises_nothing(
    worker: object, catcher: Catcher, places: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure of our own side becomes a warning: a notice never ends a run."""
    places.setenv("UNDERSTUDY_LEDGER_URL", "mysql://user:" + SECRET + "@host/db")
    send_to(places, catcher.url)
    send_notice("ended", "unsent", ["x"])
    assert "unsent" in caplog.text
    assert SECRET not in caplog.text


@given(st.text(max_size=80))
def test_words_are_inert(text: str) -> None:
    """No text makes markup for mail, a mention of everybody in a chat, or a template of a block."""
    shown = notices._inert(text + "<!channel> @here <b>{{token}}</b>")
    assert not set("<>{}") & set(shown)
    assert "@here" not in shown
