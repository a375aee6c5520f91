"""The risk file: what it may set, and what it may not."""

from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from tasks.estate.errors import Misconfigured
from tasks.estate.risks import Grade
from tasks.safeguards.risk_rules import Demand, RiskRules, load_rules
from tasks.safeguards.scheduled_run_conditions import require_met

SHIPPED = Path("deployments/risks.yaml")
RED = {"people": 2, "signatures": 1, "requester_may_approve": True, "cool_down": "PT0S"}
YELLOW = RED | {"people": 1, "signatures": 0, "requester_may_approve": False}
ALONE = RED | {"people": 1, "cool_down": "PT30M"}


def rules(tmp_path: Path, **told: Any) -> RiskRules:
    """The rules of a file that tells this."""
    file = tmp_path / "risks.yaml"
    file.write_text(yaml.safe_dump(told))
    return load_rules(file)


def test_the_shipped_file_states_every_rule_with_its_default() -> None:
    """Whoever reads the file reads what holds: it equals the built-in defaults, and none is left out."""
    assert load_rules(SHIPPED) == RiskRules()
    assert yaml.safe_load(SHIPPED.read_text()).keys() == RiskRules.model_fields.keys()


@pytest.mark.parametrize(
    "kind", [RiskRules, *dict.fromkeys(type(rule) for _, rule in RiskRules() if isinstance(rule, BaseModel))]
)
def test_every_rule_says_what_it_is_for(kind: type[BaseModel]) -> None:
    """Each field of the file has a description."""
    assert all(field.description for field in kind.model_fields.values())


def test_without_a_file_and_with_an_empty_one_the_defaults_hold(tmp_path: Path) -> None:
    """An absent or empty file changes nothing."""
    assert load_rules(tmp_path / "absent.yaml") == rules(tmp_path) == RiskRules()
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_rules(tmp_path / "empty.yaml") == RiskRules()


def test_a_rule_that_is_told_holds_and_the_others_stay(tmp_path: Path) -> None:
    """A file may state what it changes only."""
    changed = rules(tmp_path, backup_fresh="PT20M", shops_with_hpos=["b", "a", "b"])
    assert changed == RiskRules(backup_fresh=timedelta(minutes=20), shops_with_hpos=("a", "b"))


def test_the_fingerprint_follows_the_rules_and_not_the_order_of_a_list(tmp_path: Path) -> None:
    """Any change of a rule is another fingerprint; the same rules have the same one."""
    assert rules(tmp_path).fingerprint == load_rules(SHIPPED).fingerprint
    assert rules(tmp_path, failures_in_a_row=3).fingerprint != RiskRules().fingerprint
    one, other = (rules(tmp_path, shops_with_hpos=names).fingerprint for names in (["a", "b"], ["b", "a"]))
    assert one == other


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"yellow": YELLOW | {"people": 0}}, "yellow.people"),
        ({"red": RED | {"people": 0}}, "red.people"),
        ({"red": RED | {"people": 1}}, r"red\.people is 1; expected 2 or more, or lone_lead"),
        ({"red": RED | {"people": True}}, "red.people"),
        ({"red": ALONE | {"cool_down": "PT0S"}, "lone_lead": True}, "red.cool_down is zero"),
        ({"lone_lead": True}, r"lone_lead is true, but red\.people is 2"),
        ({"red": ALONE | {"cool_down": "-PT30M"}, "lone_lead": True}, "red.cool_down"),
        ({"red": RED | {"signatures": 3}}, "signatures is 3, but people is 2"),
        ({"red": {"people": 3}}, r"red\.signatures: Field required"),
        ({"yellow": YELLOW | {"people": 3}}, r"red\.people is less than yellow\.people"),
        ({"yellow": YELLOW | {"people": 2, "signatures": 2}}, r"red\.signatures is less than yellow\.signatures"),
        ({"yellow": YELLOW | {"cool_down": "PT1H"}}, r"red\.cool_down is less than yellow\.cool_down"),
        ({"black": RED}, "black: there is no such rule"),
        ({"answer": {"attempts": 0}}, "answer.attempts"),
        ({"answer": {"attempts": 11}}, "answer.attempts"),
        ({"answer": {"codes_an_hour": 0}}, "answer.codes_an_hour"),
        ({"restore_within": "PT61M"}, "restore_within"),
        ({"restore_within": 15}, "restore_within: expected a duration with its unit"),
        ({"backup_fresh": "PT0S"}, "backup_fresh"),
        ({"stop_the_line": {"share": 0}}, "stop_the_line.share"),
        ({"newer_destination": "never"}, "newer_destination"),
        ({"live_data": "never"}, "live_data"),
        ({"shops_with_hpos": "schulprod"}, "shops_with_hpos"),
    ],
)
def test_a_file_that_weakens_what_is_sacred_is_refused(told: dict[str, Any], named: str, tmp_path: Path) -> None:
    """Each rule beyond its limits is refused with the file and the field, and nothing of the file holds."""
    with pytest.raises(Misconfigured, match=rf"risks\.yaml .*{named}"):
        rules(tmp_path, **told)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("- red", "rules: "),
        ("red: [", "is not valid YAML"),
        ("lone_lead: false\nlone_lead: true", "a key occurs twice"),
    ],
)
def test_a_file_that_is_no_rules_is_refused(text: str, named: str, tmp_path: Path) -> None:
    """A list, broken YAML, and a rule that stands twice are named, never read as no rules."""
    file = tmp_path / "risks.yaml"
    file.write_text(text)
    with pytest.raises(Misconfigured, match=named):
        load_rules(file)


def test_a_file_that_cannot_be_read_is_not_an_absent_one(tmp_path: Path) -> None:
    """A directory in the file's place is a mistake of the setting."""
    with pytest.raises(Misconfigured, match="cannot be read: IsADirectoryError"):
        load_rules(tmp_path)


def test_a_team_of_one_has_to_wait(tmp_path: Path) -> None:
    """With lone_lead one person may answer a red plan, after the cool-down."""
    alone = rules(tmp_path, red=ALONE, lone_lead=True)
    assert alone.demand(Grade.RED) == Demand.model_validate(ALONE)


@pytest.mark.parametrize(
    "told", [{"red": RED | {"signatures": 0}}, {"red": ALONE | {"signatures": 0}, "lone_lead": True}]
)
def test_a_file_of_version_0_1_is_read_and_demands_a_signature(told: dict[str, Any], tmp_path: Path) -> None:
    """`signatures: 0` for red stays readable; a code alone opens no red plan all the same."""
    older = rules(tmp_path, **told)
    assert older.demand(Grade.RED).signatures == 1
    assert older == rules(tmp_path, **told | {"red": told["red"] | {"signatures": 1}})  # one fingerprint, one meaning


def test_nothing_is_demanded_of_black() -> None:
    """There is no answer that would do."""
    with pytest.raises(KeyError):
        RiskRules().demand(Grade.BLACK)


def test_the_conditions_are_those_that_a_standing_approval_has(tmp_path: Path) -> None:
    """Every condition of the file reaches the function that holds a refresh to it, under its own keyword."""
    stop = {"runs": 4, "share": 0.25, "within": "PT6H"}
    told = rules(tmp_path, failures_in_a_row=5, stop_the_line=stop).conditions
    assert told == {"failures_in_a_row": 5, "stop_runs": 4, "stop_share": 0.25, "stop_within": timedelta(hours=6)}
    assert told.keys() <= signature(require_met).parameters.keys()
