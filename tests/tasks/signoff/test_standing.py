"""Standing approvals: which plans a signed entry covers, and when."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tasks.estate.dumps import Missing
from tasks.estate.errors import NotApproved
from tasks.estate.plans import Backup, CopyOptions, Plan
from tasks.estate.recipes import PlannedSteps, Recipe
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Direction, Environment, Install, Pair
from tasks.signoff.leads import Lead, LeadKey, Leads
from tasks.signoff.proofs import NAMESPACE as FOR_APPROVALS
from tasks.signoff.proofs import new_key, sign
from tasks.signoff.standing import (
    NAMESPACE,
    StandingApproval,
    expiring,
    require_covered,
    require_load_covered,
    standing_statement,
)
from tasks.signoff.standing_entries import standing_use
from tests.tasks.safeguards.ledger_histories import load_plan
from tests.tasks.signoff.approval_desk import ENTRY

KEY, PUBLIC = new_key()
OTHER_KEY, OTHER_PUBLIC = new_key()
ANNA = Lead(name="Anna Lead", email="anna@school.example", keys=(LeadKey(key=PUBLIC),))
BEN = Lead(name="Ben Lead", email="ben@school.example", keys=(LeadKey(key=OTHER_PUBLIC),))
LEADS = Leads([ANNA, BEN])
FIELDS: dict[str, Any] = ENTRY | {"window": {"from": "23:00", "to": "05:00"}, "zone": "UTC"}
NIGHTLY: dict[str, Any] = {"window": {"from": "22:30", "to": "05:00"}, "zone": "Europe/Vienna"}
NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)
GREEN = Risk(grade=Grade.GREEN, reasons=())


def entry(*, signed: bool = True, **changes: Any) -> StandingApproval:
    """Return an entry for prod → stage, signed by Anna."""
    bare = StandingApproval.model_validate(FIELDS | changes)
    return signed_by(KEY, NAMESPACE, bare) if signed else bare


def signed_by(key: Any, namespace: str, bare: StandingApproval) -> StandingApproval:
    """Return the entry with a signature by this key for this purpose."""
    return bare.model_copy(update={"signature": sign(key, standing_statement(bare), namespace=namespace)})


def plan(verb: str = "refresh", environment: Environment = Environment.STAGING, **changes: Any) -> Plan:
    """Return a green plan from `prod` to `stage`."""
    install: dict[str, Any] = {"account_id": "a", "site_id": "s", "status": "active", "primary_domain": None}
    pair = Pair(
        source=Install(id="1", name=changes.pop("source", "prod"), environment=Environment.PRODUCTION, **install),
        destination=Install(id="2", name=changes.pop("destination", "stage"), environment=environment, **install),
        direction=Direction.UP if verb == "promote" else Direction.DOWN,
    )
    fields: dict[str, Any] = {
        "verb": verb, "direction": pair.direction, "pair": pair, "options": CopyOptions(), "generation": 0, "pinned": {},
        "backup": Backup(id="b", install_id="2", install_name="stage", requested_at=NOW), "run_id": "r", "risk": GREEN,
    }  # fmt: skip
    return Plan.model_validate(fields | changes)


def refused(
    *entries: StandingApproval, wanted: Plan | None = None, now: datetime = NOW, leads: Leads = LEADS
) -> NotApproved:
    """Return the error for a plan that these entries do not cover."""
    with pytest.raises(NotApproved) as error:
        require_covered(wanted or plan(), entries, now=now, leads=leads)
    assert type(error.value) is NotApproved
    return error.value


def test_a_signed_pair_is_covered_from_its_first_day_to_its_last() -> None:
    """The entry covers its pair on both of these days, but not on the day before or after."""
    mine = entry()
    for day in (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 31, 23, 59, tzinfo=UTC)):
        assert require_covered(plan(), [mine], now=day, leads=LEADS) == mine
    assert "it ended on 2026-12-31" in refused(mine, now=datetime(2027, 1, 1, tzinfo=UTC)).message
    assert "it begins on 2026-11-01" in refused(mine, now=datetime(2026, 10, 31, tzinfo=UTC)).message


def test_another_pair_is_not_covered() -> None:
    """A standing approval is for exactly its pair."""
    assert "No standing approval covers prod → other" in refused(entry(), wanted=plan(destination="other")).message


@pytest.mark.parametrize("environment", [Environment.PRODUCTION, Environment.UNKNOWN])
def test_what_may_be_production_is_never_covered(environment: Environment) -> None:
    """A listed pair is refused if its destination is production or has an unknown role."""
    assert "can never have" in refused(entry(), wanted=plan(environment=environment)).message


@pytest.mark.parametrize("verb", ["promote", "restore", "provision"])
def test_only_a_refresh_can_be_covered(verb: str) -> None:
    """Promotion, restore and provision always need a person."""
    assert "a person must answer" in refused(entry(), wanted=plan(verb)).message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overrides": ("hold:7",)}, "it overrides hold:7"),
        ({"overrides": ("freeze:holidays",)}, "it overrides freeze:holidays"),
        ({"risk": Risk(grade=Grade.YELLOW, reasons=("why",))}, "it is yellow, not green (why)"),
        ({"risk": Risk(grade=Grade.RED, reasons=())}, "it is red"),
    ],
)
def test_only_a_green_plan_without_overrides_is_covered(changes: dict[str, Any], message: str) -> None:
    """A plan that overrides a hold or a freeze, or is not green, needs a person."""
    assert message in refused(entry(), wanted=plan(**changes)).message


def test_the_database_is_covered_only_if_the_entry_includes_it() -> None:
    """An entry without the database covers a copy of files only."""
    files = entry(include_database=False)
    assert "does not include the database" in refused(files).message
    only_files = plan(options=CopyOptions(database=False))
    assert require_covered(only_files, [files], now=NOW, leads=LEADS) == files


def test_an_entry_for_longer_than_allowed_covers_nothing() -> None:
    """It may be valid for ninety days, or for as long as the rules allow."""
    assert require_covered(plan(), [entry(until="2027-01-30")], now=NOW, leads=LEADS)
    assert "91 days; at most 90" in refused(entry(until="2027-01-31")).message
    with pytest.raises(NotApproved, match="60 days; at most 30"):
        require_covered(plan(), [entry()], now=NOW, leads=LEADS, at_most=timedelta(days=30))


def test_an_unsigned_entry_covers_nothing() -> None:
    """The refusal contains the command with which the issuer signs."""
    error = refused(entry(signed=False))
    assert "it is not signed by Anna Lead" in error.message
    assert "understudy standing sign" in error.next_step


ALTERED: list[dict[str, Any]] = [
    {"source": "prod2"}, {"issuer": "Ben Lead"}, {"reason": "another reason"}, {"issued": date(2026, 11, 2)},
    {"until": date(2027, 1, 1)}, {"include_database": False}, NIGHTLY, {"zone": "UTC"},
]  # fmt: skip


@pytest.mark.parametrize("altered", ALTERED, ids=lambda change: "+".join(change))
def test_an_entry_that_was_changed_after_signing_covers_nothing(altered: dict[str, Any]) -> None:
    """Every field is signed, so nobody can use a signature for another entry."""
    good = entry(window={"from": "02:00", "to": "06:00"}, zone="Europe/Vienna")
    changed = StandingApproval.model_validate(good.model_dump(by_alias=True) | altered)
    assert changed.signature == good.signature
    night = datetime(2026, 11, 20, 3, tzinfo=UTC)
    assert require_covered(plan(), [good], now=night, leads=LEADS) == good
    files = CopyOptions(database=False)
    message = refused(changed, wanted=plan(options=files, source=changed.source), now=night).message
    assert "signature does not hold, or it was changed" in message


@pytest.mark.parametrize(
    ("mine", "leads"),
    [
        (signed_by(OTHER_KEY, NAMESPACE, entry(signed=False)), LEADS),
        (signed_by(KEY, FOR_APPROVALS, entry(signed=False)), LEADS),
        (entry(), Leads([BEN])),
        (entry(), Leads([ANNA.model_copy(update={"suspended": True})])),
        (entry(), Leads([ANNA.model_copy(update={"keys": ()})])),
        (entry(), Leads([ANNA.model_copy(update={"keys": (LeadKey(key=PUBLIC, valid_before=NOW.date()),)})])),
        (entry(signed=False).model_copy(update={"signature": "U1NIU0lHAAAA"}), LEADS),
    ],
    ids=["another lead", "another purpose", "not enrolled", "suspended", "key gone", "key too old", "garbage"],
)
def test_a_signature_counts_only_if_the_issuer_may_sign_now(mine: StandingApproval, leads: Leads) -> None:
    """The entry covers nothing after its issuer is suspended or removed, or the key is."""
    assert "understudy standing sign" in refused(mine, leads=leads).next_step


def test_a_window_has_local_hours() -> None:
    """A window over midnight is exact to the second; outside it, the refusal contains the next opening in its zone."""
    nightly = entry(**NIGHTLY)
    for time in ("21:30:00", "23:59:59", "00:00:00", "03:59:59"):  # UTC; Vienna is an hour ahead in winter
        assert require_covered(plan(), [nightly], now=datetime.fromisoformat(f"2026-11-20T{time}+00:00"), leads=LEADS)
    for time in ("04:00:00", "12:00:00", "21:29:59"):
        error = refused(nightly, now=datetime.fromisoformat(f"2026-11-20T{time}+00:00"))
        assert "opens next on 2026-11-20 at 22:30 Europe/Vienna" in error.message


def test_an_entry_of_version_0_1_without_a_window_covers_nothing() -> None:
    """It can be read and its signature verifies; the refusal contains what to add."""
    error = refused(entry(window=None, zone=""))
    assert "it has no window" in error.message
    assert "Add `window` and `zone`" in error.next_step
    assert "understudy standing sign" in error.next_step


def test_a_night_over_midnight_is_one_use() -> None:
    """Both sides of midnight are the same use; the next evening, and another entry, are others."""
    mine = entry()

    def use(moment: str, of: StandingApproval = mine) -> str:
        return standing_use(of, datetime.fromisoformat(f"2026-11-{moment}+00:00"))

    assert use("20T23:00") == use("21T00:00") == use("21T04:59")
    assert len({use("20T04:59"), use("20T23:00"), use("20T23:00", entry(reason="another night"))}) == 3
    morning = entry(window={"from": "02:00", "to": "06:00"})
    assert use("20T02:00", morning) == use("20T05:59", morning) != use("21T02:00", morning)


def test_entries_that_end_soon_are_listed() -> None:
    """They are listed from the first day of the notice to their last day, the first to end first."""
    late, soon = entry(signed=False), entry(signed=False, until="2026-12-25")
    notice = timedelta(days=14)
    assert expiring([late, soon], date(2026, 12, 10), notice) == []
    assert expiring([late, soon], date(2026, 12, 17), notice) == [soon, late]
    assert expiring([late, soon], date(2026, 12, 31), notice) == [late]
    assert expiring([late, soon], date(2027, 1, 1), notice) == []


def test_all_entries_of_a_pair_are_checked() -> None:
    """An entry that ended does not hide its renewal; if neither covers the plan, both reasons are reported."""
    old, new = entry(until="2026-11-10"), entry(issued="2026-11-11")
    assert require_covered(plan(), [old, new], now=NOW, leads=LEADS) == new
    message = refused(old, entry(signed=False)).message
    assert "it ended on 2026-11-10" in message
    assert "it is not signed" in message


LACKS = Missing(name="t", what="table", rows=0, statement="CREATE TABLE t ()")


def test_a_load_is_covered_by_application_and_hostname() -> None:
    """A first load, personal data, an unproven dump, missing objects, and what is not green need a person."""
    mine = entry(source="school", destination="staging.example")
    assert require_load_covered(load_plan(), [mine], now=NOW, leads=LEADS) == mine
    allowed = load_plan(missing=(LACKS.model_copy(update={"allowed": True}),))
    assert require_load_covered(allowed, [mine], now=NOW, leads=LEADS) == mine
    files = entry(source="school", destination="staging.example", include_database=False)
    for wanted, entries, message in (
        (load_plan(), [files], "does not include the database"),
        (load_plan(hostname="other.example"), [mine], "No standing approval covers school → other.example"),
        (load_plan(first_load=True), [mine], "a first load needs a person"),
        (load_plan(arrives_raw=("email",)), [mine], "anonymizers switched off"),
        (
            load_plan(header=load_plan().header.model_copy(update={"opted_out": ("email",)})),
            [mine],
            "anonymizers switched off",
        ),
        (load_plan(unproven="it carries no proof"), [mine], "is unproven, and can never .* it carries no proof"),
        (load_plan(missing=(LACKS,)), [mine], r"Staging lacks what the dump has \(table t\); a person must answer"),
        (load_plan(overrides=("hold:1",)), [mine], "it overrides hold:1"),
        (load_plan(risk=Risk(grade=Grade.RED, reasons=())), [mine], "it is red"),
    ):
        with pytest.raises(NotApproved, match=message):
            require_load_covered(wanted, entries, now=NOW, leads=LEADS)


def steps(recipe: Recipe, **changes: Any) -> PlannedSteps:
    """Return the steps of a recipe, as a plan contains them."""
    planned = PlannedSteps(recipe=recipe, digest=recipe.digest, origin="prod", steps=recipe.steps)
    return planned.model_copy(update=changes)


OTHER_RECIPE = Recipe(banner="Another one")


@pytest.mark.parametrize(
    ("named", "after", "reason"),
    [
        ("", None, ""),
        ("", steps(Recipe.safe()), ""),
        ("", steps(Recipe.safe(), digest="f" * 64), ""),  # that of a later version
        ("", steps(OTHER_RECIPE), "names no recipe"),
        (OTHER_RECIPE.digest, steps(OTHER_RECIPE), ""),
        (Recipe.safe().digest, steps(Recipe.safe()), ""),
        (Recipe.safe().digest, steps(Recipe.safe(), digest="f" * 64), "names another recipe"),
        (Recipe.safe().digest, steps(OTHER_RECIPE), "names another recipe"),
        (OTHER_RECIPE.digest, None, "has no WP-CLI access"),
    ],
)
def test_an_entry_covers_the_recipe_that_it_names(named: str, after: PlannedSteps | None, reason: str) -> None:
    """An entry without a recipe covers the safe one, and copies without steps; a named recipe is the only one that is covered."""
    mine = entry(**({"recipe": named} if named else {}))
    wanted = plan(after_copy=after)
    if not reason:
        assert require_covered(wanted, [mine], now=NOW, leads=LEADS) == mine
        return
    error = refused(mine, wanted=wanted)
    assert reason in error.message
    assert after is None or f"`recipe: {after.digest}`" in error.next_step


def test_an_entry_without_a_recipe_keeps_its_signature() -> None:
    """The statement of an entry that names no recipe is that of the version before; a named recipe is signed."""
    assert b"recipe" not in standing_statement(entry())
    signed = entry()
    moved = signed.model_copy(update={"recipe": OTHER_RECIPE.digest})
    assert "changed after signing" in refused(moved, wanted=plan(after_copy=steps(OTHER_RECIPE))).message
