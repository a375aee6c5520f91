"""The risk file: what it may set, and what it may not."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from tasks.estate.errors import Misconfigured
from tasks.estate.risks import Grade
from tasks.safeguards.risk_rules import Demand, RiskRules, load_rules

SHIPPED = Path("deployments/risks.yaml")
RED = {"people": 2, "signatures": 1, "requester_may_approve": True, "cool_down": "PT0S"}
YELLOW = RED | {"people": 1, "signatures": 0, "requester_may_approve": False}
ALONE = RED | {"people": 1, "cool_down": "PT30M"}


def rules(tmp_path: Path, **given: Any) -> RiskRules:
    """Return the rules of a file with this content."""
    file = tmp_path / "risks.yaml"
    file.write_text(yaml.safe_dump(given))
    return load_rules(file)


def test_the_shipped_file_states_every_rule_with_its_default() -> None:
    """The shipped file equals the built-in defaults and lists all of them."""
    assert load_rules(SHIPPED) == RiskRules()
    assert yaml.safe_load(SHIPPED.read_text()).keys() == RiskRules.model_fields.keys()


@pytest.mark.parametrize(
    "kind", [RiskRules, *dict.fromkeys(type(rule) for _, rule in RiskRules() if isinstance(rule, BaseModel))]
)
def test_every_rule_has_a_description(kind: type[BaseModel]) -> None:
    """Each field of the file has a description."""
    assert all(field.description for field in kind.model_fields.values())


def test_without_a_file_and_with_an_empty_one_the_defaults_apply(tmp_path: Path) -> None:
    """An absent or empty file changes nothing."""
    assert load_rules(tmp_path / "absent.yaml") == rules(tmp_path) == RiskRules()
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_rules(tmp_path / "empty.yaml") == RiskRules()


def test_a_file_may_list_only_the_rules_that_it_changes(tmp_path: Path) -> None:
    """A listed rule applies, and the others keep their defaults."""
    changed = rules(tmp_path, backup_fresh="PT20M", shops_with_hpos=["b", "a", "b"])
    assert changed == RiskRules(backup_fresh=timedelta(minutes=20), shops_with_hpos=("a", "b"))


def test_the_fingerprint_follows_the_rules_and_not_the_order_of_a_list(tmp_path: Path) -> None:
    """Another rule makes another fingerprint; the order of a list does not."""
    assert rules(tmp_path).fingerprint == load_rules(SHIPPED).fingerprint
    assert rules(tmp_path, failures_in_a_row=3).fingerprint != RiskRules().fingerprint
    one, other = (rules(tmp_path, shops_with_hpos=names).fingerprint for names in (["a", "b"], ["b", "a"]))
    assert one == other


@pytest.mark.parametrize(
    ("given", "named"),
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
def test_a_file_beyond_the_limits_is_refused(given: dict[str, Any], named: str, tmp_path: Path) -> None:
    """The error names the file and the field, and no rule of the file applies."""
    with pytest.raises(Misconfigured, match=rf"risks\.yaml .*{named}"):
        rules(tmp_path, **given)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("- red", "rules: "),
        ("red: [", "is not valid YAML"),
        ("lone_lead: false\nlone_lead: true", "a key occurs twice"),
    ],
)
def test_a_malformed_file_is_refused(text: str, named: str, tmp_path: Path) -> None:
    """A list, broken YAML and a repeated key are errors, and never read as an empty file."""
    file = tmp_path / "risks.yaml"
    file.write_text(text)
    with pytest.raises(Misconfigured, match=named):
        load_rules(file)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A directory in place of the file does not count as an absent file."""
    with pytest.raises(Misconfigured, match="cannot be read: IsADirectoryError"):
        load_rules(tmp_path)


def test_a_lone_lead_has_a_cool_down(tmp_path: Path) -> None:
    """With lone_lead one person may approve a red plan, after the cool-down."""
    alone = rules(tmp_path, red=ALONE, lone_lead=True)
    assert alone.demand(Grade.RED) == Demand.model_validate(ALONE)


@pytest.mark.parametrize(
    "given", [{"red": RED | {"signatures": 0}}, {"red": ALONE | {"signatures": 0}, "lone_lead": True}]
)
def test_a_file_of_version_0_1_is_read_and_requires_a_signature(given: dict[str, Any], tmp_path: Path) -> None:
    """`signatures: 0` for red stays readable, and is read as 1."""
    older = rules(tmp_path, **given)
    assert older.demand(Grade.RED).signatures == 1
    assert older == rules(tmp_path, **given | {"red": given["red"] | {"signatures": 1}})  # one fingerprint, one meaning


def test_black_has_no_requirements() -> None:
    """No answer can approve a black plan."""
    with pytest.raises(KeyError):
        RiskRules().demand(Grade.BLACK)
