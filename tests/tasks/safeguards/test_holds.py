"""Holds: anybody may place one, it ends at its time or early, and the ledger contains all of it."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.estate.errors import Misconfigured, NotFound, OnHold
from tasks.ledger.ledger import Ledger
from tasks.safeguards.holds import LONGEST, Hold, active_holds, end, place, require_no_hold

NOW = datetime(2026, 11, 21, 16, tzinfo=UTC)
FRIDAY = NOW + timedelta(days=6)


@pytest.fixture
def book() -> Ledger:
    """Return an empty ledger."""
    return Ledger("sqlite:///:memory:")


def hold(book: Ledger, **changes: Any) -> Hold:
    """Place a hold of `stage` until Friday."""
    fields: dict[str, Any] = {
        "destination": "stage",
        "until": FRIDAY,
        "by": "Anna",
        "reason": "the new menu is not done",
    }
    return place(book, **fields | changes, now=NOW, run_id="run")


def test_a_hold_refuses_until_its_end(book: Ledger) -> None:
    """Until its last moment the error contains name, end and reason; at its end the destination is free."""
    hold(book)
    with pytest.raises(OnHold, match="stage is held until 2026-11-27 16:00 UTC by Anna: the new menu is not done"):
        require_no_hold(book, "stage", FRIDAY - timedelta(seconds=1))
    require_no_hold(book, "stage", FRIDAY)


def test_only_the_held_destination_is_refused(book: Ledger) -> None:
    """Another destination is free; names are compared without regard to case."""
    hold(book)
    require_no_hold(book, "stage2", NOW)
    with pytest.raises(OnHold):
        require_no_hold(book, "STAGE", NOW)


def test_an_approved_override_does_not_refuse(book: Ledger) -> None:
    """Only marks among the overrides do not count: a hold that was placed after the approval still refuses."""
    shown = hold(book)
    require_no_hold(book, "stage", NOW, overrides=[shown.mark])
    later = hold(book, by="Ben")
    with pytest.raises(OnHold, match="by Ben") as refused:
        require_no_hold(book, "stage", NOW, overrides=[shown.mark])
    assert "Anna" not in refused.value.message
    assert [shown, later] == active_holds(book, "stage", NOW)


def test_a_hold_can_be_ended_once_by_anybody(book: Ledger) -> None:
    """Ending it frees the destination and is recorded with a name; it cannot be ended again."""
    made = hold(book)
    assert end(book, made.seq, by="Ben", now=NOW, run_id="other") == made
    require_no_hold(book, "stage", NOW)
    (ended,) = book.facts(kind="hold-ended")
    assert (ended.run_id, ended.detail) == ("other", {"hold": made.seq, "by": "Ben"})
    with pytest.raises(NotFound, match="no active hold"):
        end(book, made.seq, by="Ben", now=NOW, run_id="other")


@pytest.mark.parametrize("moment", [FRIDAY, FRIDAY + timedelta(days=1)])
def test_an_expired_or_unknown_hold_cannot_be_ended(book: Ledger, moment: datetime) -> None:
    """A hold past its end, and a number that no hold has, are not found; nothing is recorded."""
    made = hold(book)
    for seq in (made.seq, made.seq + 1):
        with pytest.raises(NotFound):
            end(book, seq, by="Ben", now=moment, run_id="other")
    assert not book.facts(kind="hold-ended")


def test_two_people_at_once_end_a_hold_once(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one gets an error, although the hold was active when they read it."""
    made = hold(book)
    monkeypatch.setattr("tasks.safeguards.holds._active", lambda *_: [made])
    end(book, made.seq, by="Ben", now=NOW, run_id="first")
    with pytest.raises(NotFound, match="just now"):
        end(book, made.seq, by="Cleo", now=NOW, run_id="second")
    assert len(book.facts(kind="hold-ended")) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"until": NOW}, "after now"),
        ({"until": NOW + LONGEST + timedelta(seconds=1)}, "at most 30 days"),
        ({"until": FRIDAY.replace(tzinfo=None)}, "no time zone"),
        ({"until": None}, "no end"),
        ({"by": " A\n"}, "name of the hold has 1 characters"),
        ({"reason": "no"}, "reason of the hold has 2 characters"),
        ({"reason": "x" * 301}, "expected 5 to 300"),
    ],
)
def test_a_hold_without_end_name_or_reason_is_refused(book: Ledger, changes: dict[str, Any], message: str) -> None:
    """The error names what is wrong, and nothing is recorded."""
    with pytest.raises(Misconfigured, match=message):
        hold(book, **changes)
    assert not book.facts(kind="hold")


def test_typed_text_is_stored_on_one_line(book: Ledger) -> None:
    """A line break in a reason cannot forge a second line in a report."""
    assert hold(book, reason="menu\n\n# Approved\tby all").reason == "menu # Approved by all"


@settings(max_examples=15)  # each opens a ledger
@given(minutes=st.integers(1, 30 * 24 * 60), offset=st.integers(-14 * 60, 14 * 60))
def test_the_end_is_one_moment_in_every_zone(minutes: int, offset: int) -> None:
    """The hold ends at that moment, whatever the zone of its end, and stores it in UTC."""
    book = Ledger("sqlite:///:memory:")
    moment = NOW + timedelta(minutes=minutes)
    made = hold(book, until=moment.astimezone(timezone(timedelta(minutes=offset))))
    assert (made.until, made.until.utcoffset()) == (moment, timedelta(0))
    assert active_holds(book, "stage", moment - timedelta(seconds=1)) == [made]
    assert active_holds(book, "stage", moment) == []


def test_the_longest_hold_is_thirty_days(book: Ledger) -> None:
    """The limit is exact to the second."""
    assert hold(book, until=NOW + timedelta(days=30)).until == NOW + timedelta(days=30)
    for until in (NOW + timedelta(days=30, seconds=1), NOW):
        with pytest.raises(Misconfigured, match="at most 30 days"):
            hold(book, until=until)


@pytest.mark.parametrize(("field", "shortest", "longest"), [("by", 3, 80), ("reason", 5, 300)])
def test_name_and_reason_have_limits(book: Ledger, field: str, shortest: int, longest: int) -> None:
    """Both limits are allowed; one character less or more is not."""
    for length in (shortest, longest):
        assert getattr(hold(book, **{field: "x" * length}), field) == "x" * length
    for length in (shortest - 1, longest + 1):
        with pytest.raises(Misconfigured, match=f"has {length} characters; expected {shortest} to {longest}"):
            hold(book, **{field: "x" * length})


def test_only_its_word_releases_a_hold(book: Ledger) -> None:
    """No word releases a hold that was placed without one, not even an empty word."""
    word = hashlib.sha256(b"swordfish").hexdigest()
    held = hold(book, release=word)
    assert [held.is_released_by(typed) for typed in ("swordfish", " swordfish\n", "Swordfish", "", word)] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert active_holds(book, "stage", NOW)[0].release == word
    bare = hold(book)
    assert bare.release == ""
    assert not any(bare.is_released_by(typed) for typed in ("", "swordfish"))


@pytest.mark.parametrize("release", ["swordfish", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_a_release_that_is_not_a_digest_is_refused(book: Ledger, release: str) -> None:
    """Nobody could release such a hold."""
    with pytest.raises(Misconfigured, match="not a SHA-256"):
        hold(book, release=release)
    assert book.facts() == []


def test_only_the_named_hold_ends(book: Ledger) -> None:
    """Other holds of the destination stay active."""
    first, second, third = (hold(book, by=name) for name in ("Anna", "Bert", "Cleo"))
    assert end(book, second.seq, by="Bert", now=NOW, run_id="r", proof="word") == second
    assert active_holds(book, "stage", NOW) == [first, third]
    (fact,) = book.facts(kind="hold-ended")
    assert fact.detail == {"hold": second.seq, "by": "Bert", "proof": "word"}
