"""Anonymize, load_dump and reload: the whole way from production to staging, as a worker runs it."""

from collections.abc import Callable
from typing import Any

from flows.anonymize import anonymize
from flows.load_dump import load_dump
from flows.reload import reload
from tasks.ledger.ledger import Ledger

HOST = "staging.schule.example"


def test_a_dump_is_made_and_loaded_after_an_answer(start: Callable[..., Any], school: Any, ledger: Ledger) -> None:
    """Anonymize ends as Exported, load_dump asks, and after an approval staging contains production's rows, masked."""
    made = start(anonymize)
    assert made.state == "Exported", made.message
    run = start(load_dump, hostname=HOST)
    assert run.state == "Suspended", run.message
    run.approve()
    assert run.state == "Loaded", run.message
    assert school.ask("SELECT count(*) FROM users") == school.ask("SELECT count(*) FROM users", production=True)
    assert school.ask("SELECT count(*) FROM users WHERE email <> 'user-' || id || '@staging.local'") == [(0,)]


def test_the_nightly_reload_needs_no_person_after_the_first_load(start: Callable[..., Any], school: Any) -> None:
    """Under a standing approval the first load is refused, because nothing proves the target yet; the second passes. One
    that empties other tables than people approved last asks them.
    """
    refused = start(reload, hostname=HOST, approval="standing")
    assert refused.state == "NotApproved"
    assert "first load" in refused.message
    first = start(reload, hostname=HOST)
    assert first.state == "Suspended", first.message
    assert first.approve().state == "Loaded", first.message
    assert start(reload, hostname=HOST, approval="standing").state == "Loaded"
    school.change("DROP TABLE login_sessions")
    asked = start(reload, hostname=HOST, approval="standing")
    assert asked.state == "Suspended", "it empties other tables than people approved"


def test_a_wrong_hostname_ends_a_reload_before_the_export(start: Callable[..., Any], school: Any) -> None:
    """What would be refused at the load is refused before production is read for minutes."""
    run = start(reload, hostname="staging.schule.exemple")
    assert run.state == "WrongHost"
    assert run.message.startswith("The hostname you entered does not match this instance.")
    assert not school.folder.exists()
