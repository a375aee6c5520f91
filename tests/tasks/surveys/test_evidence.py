"""The verdict drawn from two readings: what counts, what does not, and that a contradiction outweighs everything."""

import itertools
from datetime import UTC, datetime

import pytest

from tasks.estate.plans import Signal, Verdict
from tasks.surveys.evidence import Reading, evaluate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def reading(*ranks: int, contradicted: bool = False, unchanged: bool = False) -> Reading:
    """A reading that saw the rungs of these ranks."""
    signals = [Signal(rank=r, name=f"rank {r}", seen=r in ranks, detail="", observed_at=NOW) for r in (1, 2, 3, 4)]
    return Reading(tuple(signals), contradicted, unchanged)


@pytest.mark.parametrize(
    ("ranks", "verdict"),
    [
        ((), Verdict.UNCONFIRMED), ((4,), Verdict.UNCONFIRMED), ((2,), Verdict.UNCONFIRMED), ((3,), Verdict.UNCONFIRMED),
        ((2, 4), Verdict.UNCONFIRMED), ((1,), Verdict.PROBABLE), ((2, 3), Verdict.PROBABLE),
        ((1, 2), Verdict.CONFIRMED), ((1, 3), Verdict.CONFIRMED), ((1, 2, 3, 4), Verdict.CONFIRMED),
    ],
)  # fmt: skip
def test_the_verdict_follows_the_ladder(ranks: tuple[int, ...], verdict: Verdict) -> None:
    """Each combination of rungs, seen twice, has its verdict; a status alone has none."""
    assert evaluate(reading(*ranks), reading(*ranks)) is verdict


def test_one_reading_is_no_reading() -> None:
    """Whatever is seen once may be gone a minute later."""
    assert evaluate(None, reading(1, 2, 3)) is Verdict.UNCONFIRMED


@pytest.mark.parametrize("ranks", [(), (4,), (2,), (3,)])
def test_a_quiet_site_is_settled_once_the_host_has_had_its_time(ranks: tuple[int, ...]) -> None:
    """Nothing differed and nothing differs: before the host's time is over that may still change, after it that is an end."""
    same = reading(*ranks, unchanged=True)
    assert evaluate(same, same) is Verdict.UNCONFIRMED
    assert evaluate(same, same, host_had_its_time=True) is Verdict.UNCHANGED


def test_a_closing_checkpoint_says_that_the_host_is_done() -> None:
    """With the checkpoint after the overwrite, a quiet site is settled without waiting for the deadline."""
    assert evaluate(reading(1, unchanged=True), reading(1, unchanged=True)) is Verdict.UNCHANGED
    assert evaluate(reading(1, unchanged=True), reading(unchanged=True)) is Verdict.UNCONFIRMED


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (reading(), reading(unchanged=True)),
        (reading(unchanged=True), reading()),
        (reading(unchanged=True, contradicted=True), reading(unchanged=True)),
        (reading(unchanged=True), reading(unchanged=True, contradicted=True)),
        (None, reading(unchanged=True)),
    ],
    ids=["earlier differs", "later differs", "earlier contradicted", "later contradicted", "one reading"],
)
def test_a_difference_on_either_reading_is_not_quiet(first: Reading | None, second: Reading) -> None:
    """Both readings must show that nothing differs; what was not read counts as a difference."""
    assert evaluate(first, second, host_had_its_time=True) is Verdict.UNCONFIRMED


def test_an_arrival_that_is_proven_outweighs_quiet() -> None:
    """If something did change as it should, the copy arrived, whatever did not differ."""
    assert evaluate(reading(1, 3, unchanged=True), reading(1, 3, unchanged=True)) is Verdict.CONFIRMED


def test_a_rung_counts_only_if_it_holds() -> None:
    """A rung seen on one of two readings only does not count."""
    assert evaluate(reading(1, 2), reading(1)) is Verdict.PROBABLE
    assert evaluate(reading(2, 3), reading(3)) is Verdict.UNCONFIRMED


@pytest.mark.parametrize(
    ("first", "second"), [pair for pair in itertools.product([True, False], repeat=2) if any(pair)]
)
def test_a_contradiction_outweighs_every_rung(first: bool, second: bool) -> None:
    """Something that must match and does not means that the copy landed half, or not yet."""
    assert evaluate(reading(1, 2, 3, contradicted=first), reading(1, 2, 3, contradicted=second)) is Verdict.UNCONFIRMED
