"""The verdict drawn from two readings: what counts, what does not, and that a contradiction outweighs everything."""

import itertools
from datetime import UTC, datetime

import pytest

from tasks.estate.plans import Signal, Verdict
from tasks.surveys.evidence import Reading, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def reading(*ranks: int, contradicted: bool = False) -> Reading:
    """A reading that saw the rungs of these ranks."""
    signals = [Signal(rank=r, name=f"rank {r}", seen=r in ranks, detail="", observed_at=NOW) for r in (1, 2, 3, 4)]
    return Reading(tuple(signals), contradicted)


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
    assert judge(reading(*ranks), reading(*ranks)) is verdict


def test_one_reading_is_no_reading() -> None:
    """Whatever is seen once may be gone a minute later."""
    assert judge(None, reading(1, 2, 3)) is Verdict.UNCONFIRMED


def test_a_rung_counts_only_if_it_holds() -> None:
    """A rung seen on one of two readings only does not count."""
    assert judge(reading(1, 2), reading(1)) is Verdict.PROBABLE
    assert judge(reading(2, 3), reading(3)) is Verdict.UNCONFIRMED


@pytest.mark.parametrize(
    ("first", "second"), [pair for pair in itertools.product([True, False], repeat=2) if any(pair)]
)
def test_a_contradiction_outweighs_every_rung(first: bool, second: bool) -> None:
    """Something that must match and does not means that the copy landed half, or not yet."""
    assert judge(reading(1, 2, 3, contradicted=first), reading(1, 2, 3, contradicted=second)) is Verdict.UNCONFIRMED
