"""Plans: identified by their content."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.estate.plans import Backup, CopyOptions, Plan, fingerprint
from tasks.estate.recipes import CopyStep, PlannedSteps, Recipe, StepCount
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Direction, Environment, Install, Pair

TABLES = st.lists(st.from_regex(r"wp_[a-z]{1,6}", fullmatch=True), max_size=5)


def plan(tables: list[str], **instead: object) -> Plan:
    """A promotion of these tables."""
    stage, prod = (
        Install(id=name, name=name, account_id="a", site_id="s", environment=role, status="active", primary_domain=None)
        for name, role in (("stage", Environment.STAGING), ("prod", Environment.PRODUCTION))
    )
    seen = {
        "verb": "promote", "direction": Direction.UP, "pair": Pair(source=stage, destination=prod, direction=Direction.UP),
        "options": CopyOptions.chosen(files=True, database=True, tables=tables), "generation": 0,
        "backup": Backup(id="b", install_id="prod", install_name="prod", requested_at=datetime(2026, 1, 1, tzinfo=UTC)),
        "pinned": {"destination.php": "8.3", "source.wordpress": "6.9"}, "run_id": "r", "requested_by": "Dora",
    }  # fmt: skip
    return Plan.model_validate(seen | instead)


@given(tables=TABLES, data=st.data())
def test_09_the_order_of_tables_changes_nothing(tables: list[str], data: st.DataObject) -> None:
    """The same tables in another order, or repeated, are the same plan."""
    shuffled = data.draw(st.permutations(tables + tables[:1]))
    assert plan(tables).fingerprint == plan(shuffled).fingerprint


CHANGES: dict[str, object] = {
    "tables": CopyOptions.chosen(files=True, database=True, tables=["wp_posts", "wp_users"]),
    "files": CopyOptions.chosen(files=False, database=True, tables=["wp_posts"]),
    "php": {"destination.php": "8.4", "source.wordpress": "6.9"},
    "wordpress": {"destination.php": "8.3", "source.wordpress": "7.0"},
    "backup": Backup(id="c", install_id="prod", install_name="prod", requested_at=datetime(2026, 1, 1, tzinfo=UTC)),
    "requester": "Emil",
    "risk": Risk(grade=Grade.RED, reasons=("newer",), people=2, rules="x"),
    "rules": Risk(grade=Grade.YELLOW, reasons=(), rules="other rules"),
    "overrides": ("hold:3",),
    "code": "another version",
    "comparison": "another comparison",
    "run": "another run",
}
FIELDS = {
    "tables": "options", "files": "options", "php": "pinned", "wordpress": "pinned", "requester": "requested_by",
    "rules": "risk", "code": "code_version", "comparison": "shown", "run": "run_id",
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_09_any_change_of_content_is_another_plan(what: str) -> None:
    """A change of tables, platform, backup, requester, risk, rules, code or comparison makes another plan."""
    changed = plan(["wp_posts"], **{FIELDS.get(what, what): CHANGES[what]})
    assert changed.fingerprint != plan(["wp_posts"]).fingerprint


@given(run=st.text(min_size=1, max_size=8))
def test_a_code_is_easy_to_read_aloud(run: str) -> None:
    """A plan code has eight characters in two groups, without letters that look like digits; equal plans have equal codes."""
    one = plan(["wp_posts"], run_id=run)
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", one.code)
    assert one.code == plan(["wp_posts"], run_id=run).code


def test_a_plan_without_steps_after_the_copy_has_the_fingerprint_that_it_had_before_there_were_any() -> None:
    """Requests and signatures of an older version stay valid: the new field is no part of such a plan."""
    content = plan([]).model_dump(mode="json")
    assert content.pop("after_copy") is None
    assert plan([]).fingerprint == fingerprint(content)


def test_each_part_of_the_steps_after_the_copy_is_part_of_the_plan() -> None:
    """Another recipe, other counts, other steps or another origin need another approval."""
    recipe = Recipe.safe()
    steps = PlannedSteps(recipe=recipe, digest=recipe.digest, origin="prod", steps=recipe.steps)
    others: list[dict[str, object]] = [
        {"digest": "of a later version"}, {"origin": "other"}, {"steps": ()}, {"recipe": Recipe(banner="x")},
        {"counts": (StepCount(step=CopyStep.MASK_PEOPLE, places=12),)},
        {"counts": (StepCount(step=CopyStep.MASK_PEOPLE, places=13),)},
    ]  # fmt: skip
    plans = [
        plan([]),
        plan([], after_copy=steps),
        *(plan([], after_copy=steps.model_copy(update=each)) for each in others),
    ]
    assert len({each.fingerprint for each in plans}) == len(plans)
