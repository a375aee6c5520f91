"""Standing approvals: exactly one pair, never production, never past its day."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.estate.errors import Misconfigured, NotApproved
from tasks.estate.plans import Backup, CopyOptions, Plan
from tasks.estate.sites import Direction, Environment, Install, Pair
from tasks.signoff.standing import StandingApproval, load_standing, require_covered

ENTRY = "- {source: prod, destination: stage, issuer: Anna Lead, reason: nightly refresh, until: 2026-12-31}\n"
TODAY = date(2026, 11, 20)


def plan(verb: str = "refresh", environment: Environment = Environment.STAGING, destination: str = "stage") -> Plan:
    """A plan from `prod` onto a destination of that environment."""
    common: dict[str, Any] = {"account_id": "a", "site_id": "s", "status": "active", "primary_domain": None}
    pair = Pair(
        source=Install(id="1", name="prod", environment=Environment.PRODUCTION, **common),
        destination=Install(id="2", name=destination, environment=environment, **common),
        direction=Direction.UP if verb == "promote" else Direction.DOWN,
    )
    return Plan.model_validate(
        {
            "verb": verb, "direction": pair.direction, "pair": pair, "options": CopyOptions(), "generation": 0, "pinned": {},
            "backup": Backup(id="b", install_id="2", install_name=destination, requested_at=datetime(2026, 1, 1, tzinfo=UTC)),
            "run_id": "r",
        }
    )  # fmt: skip


def standing(tmp_path: Path, text: str) -> list[StandingApproval]:
    """The entries of a file with this text."""
    file = tmp_path / "standing.yaml"
    file.write_text(text)
    return load_standing(file)


def test_a_listed_pair_is_covered_until_its_last_day(tmp_path: Path) -> None:
    """The entry covers its pair on its last day and not on the day after."""
    entries = standing(tmp_path, ENTRY)
    assert require_covered(plan(), entries, date(2026, 12, 31)).issuer == "Anna Lead"
    with pytest.raises(NotApproved, match="ended on 2026-12-31"):
        require_covered(plan(), entries, date(2027, 1, 1))


def test_another_pair_is_not_covered(tmp_path: Path) -> None:
    """A standing approval is for exactly its pair."""
    with pytest.raises(NotApproved, match="No standing approval covers prod → other"):
        require_covered(plan(destination="other"), standing(tmp_path, ENTRY), TODAY)


@pytest.mark.parametrize("environment", [Environment.PRODUCTION, Environment.UNKNOWN])
def test_what_may_be_production_is_never_covered(tmp_path: Path, environment: Environment) -> None:
    """A listed pair is refused when the host calls the destination production, or nothing."""
    with pytest.raises(NotApproved, match="can never have a standing approval"):
        require_covered(plan(environment=environment), standing(tmp_path, ENTRY), TODAY)


@pytest.mark.parametrize("verb", ["promote", "restore", "provision"])
def test_only_a_refresh_can_be_covered(tmp_path: Path, verb: str) -> None:
    """Promotion, restore and provision always ask a person."""
    with pytest.raises(NotApproved, match="a person must answer"):
        require_covered(plan(verb), standing(tmp_path, ENTRY), TODAY)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("source: prod", "expected a list"),
        ("- {source: prod}", "destination"),
        (ENTRY.replace("nightly refresh", "ok"), "reason"),
        (ENTRY.replace("2026-12-31", "soon"), "until"),
        (ENTRY.replace("issuer", "boss"), "boss"),
        ("- {", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_naming_the_fault(tmp_path: Path, text: str, named: str) -> None:
    """Each fault of the file is named, with the number of the entry."""
    with pytest.raises(Misconfigured, match=named):
        standing(tmp_path, text)


def test_a_missing_file_is_a_configuration_fault(tmp_path: Path) -> None:
    """No file is not the same as no entries: the setting is wrong."""
    with pytest.raises(Misconfigured, match="cannot be read"):
        load_standing(tmp_path / "absent.yaml")
