"""The words about an approval request: who overwrites what, whose turn it is, and differences in human units."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.estate.plans import Comparison, CopyOptions, Difference, Plan, Severity, Signer
from tasks.estate.sites import Direction
from tasks.rendering.request_words import age, must_be_bound, sentence, shown_differences, size, span, turn
from tasks.signoff.gate import Waiting
from tests.deployments.cli.asking_flow import RED, YELLOW, sheet_of
from tests.tasks.safeguards.ledger_histories import load_plan

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLAN = sheet_of("run").plan
SHEET = sheet_of("run")


def waiting(*proofs: str) -> Waiting:
    """Return an open request that these proofs have approved, each by another person."""
    names = ("Anna Lead", "Ben Lead")
    yes = tuple(
        Signer(name=name, proof=proof, answered_at=NOW)  # type: ignore[arg-type]  # one of the three kinds
        for name, proof in zip(names, proofs, strict=False)
    )
    return Waiting(len(yes), NOW, NOW, yes, 5)


def test_a_sentence_names_what_is_overwritten_first() -> None:
    """For a copy, a restore and a load; names of tables are not escaped, because pages do that."""
    assert isinstance(PLAN, Plan)
    start = "schulprod (production, schulprod.example) is overwritten with "
    assert sentence(PLAN) == f"{start}schulstage (staging): files only, no database."
    tables = PLAN.model_copy(update={"options": CopyOptions(files=False, tables=("wp_posts",))})
    assert sentence(tables) == f"{start}schulstage (staging): database tables wp_posts only."
    back = PLAN.model_copy(update={"direction": Direction.BACK, "restore_backup_id": "b1"})
    assert sentence(back).startswith(f"{start}its backup b1:")
    assert "is replaced with the dump of" in sentence(load_plan())


@pytest.mark.parametrize(
    ("people", "proofs", "expected"),
    [
        (1, (), "One approval decides"), (2, (), "2 different people must approve: nobody has yet"),
        (2, ("code",), "You are the last of 2 people: Anna Lead approved"),
        (3, ("code", "code"), "You are the last of 3 people: Anna Lead and Ben Lead approved"),
        (3, ("code",), "3 different people must approve: Anna Lead approved"),
    ],
)  # fmt: skip
def test_people_read_whose_turn_it_is(people: int, proofs: tuple[str, ...], expected: str) -> None:
    """The last one reads that their approval decides."""
    plan = PLAN.model_copy(update={"risk": RED.model_copy(update={"people": people})})
    assert turn(plan, waiting(*proofs)).startswith(expected)


@pytest.mark.parametrize(
    ("risk", "proofs", "bound"),
    [
        (YELLOW, (), False), (RED, (), False), (RED, ("code",), True), (RED, ("signature",), False), (RED, ("passkey",), False),
        (YELLOW.model_copy(update={"signatures": 1}), (), True),
    ],
)  # fmt: skip
def test_a_bound_proof_is_demanded_when_no_later_answer_can_be_one(
    risk: object, proofs: tuple[str, ...], bound: bool
) -> None:
    """The last of two must sign if the first one used a code."""
    assert must_be_bound(PLAN.model_copy(update={"risk": risk}), waiting(*proofs)) is bound


def difference(
    aspect: str, source: str, destination: str, severity: Severity = Severity.INFO, note: str = ""
) -> Difference:
    """Return one line of a comparison."""
    return Difference(aspect=aspect, source=source, destination=destination, severity=severity, note=note)


def test_differences_are_in_human_units_and_what_needs_a_look_is_first() -> None:
    """Equal lines are left out; a source that is older or smaller is marked, and so are warnings, notes and what is not known."""
    rows = (
        difference("Title", "A", "A"),
        difference("Files (bytes)", "280000000", "270000000"),
        difference("Multisite", "True", "False", Severity.WARN, "mapped sub-sites may keep old URLs"),
        difference("WordPress", "6.9.1", "6.10", Severity.WARN),
        difference("Public posts", "1200", "12345"),
        difference("Status", "active", "pending", Severity.WARN),
        difference("PHP", "unknown", "8.2", Severity.UNKNOWN, "not known"),
    )
    comparison = SHEET.comparison
    assert isinstance(comparison, Comparison)
    shown = shown_differences(comparison.model_copy(update={"differences": rows}))
    assert [(each.aspect, each.source, each.destination, each.mark) for each in shown] == [
        ("Multisite", "yes", "no", "mapped sub-sites may keep old URLs"),
        ("WordPress", "6.9.1", "6.10", "the source is older"),
        ("Public posts", "1,200", "12,345", "the source is smaller"),
        ("Status", "active", "pending", "check this"),
        ("PHP", "unknown", "8.2", "not known"),
        ("Files", "280 MB", "270 MB", ""),
    ]


def test_sizes_and_times_have_the_unit_that_people_use() -> None:
    """Bytes to gigabytes; minutes to days, in the two largest units."""
    sizes = {
        0: "0 bytes",
        999: "999 bytes",
        1000: "1.0 kB",
        2_500_000: "2.5 MB",
        270_000_000: "270 MB",
        3 * 10**9: "3.0 GB",
    }
    assert {count: size(count) for count in sizes} == sizes
    spans = {
        0: "less than a minute",
        61: "1 min",
        26_400: "7 h 20 min",
        90_000: "1 d 1 h",
        86_400: "1 d",
        -5: "less than a minute",
    }
    assert {seconds: span(timedelta(seconds=seconds)) for seconds in spans} == spans
    assert age(NOW - timedelta(hours=2), NOW) == "2 h ago"
