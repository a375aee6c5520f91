"""Classify: a draft of the policy with what is new and doubtful, made from samples that are not shown."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.sandbox.school.database import CANARIES
from flows.classify import classify
from tasks.configuration.settings import forget_settings
from tasks.masking.policy import Policy, load_policy, parse_policy

POLICIES = Path(__file__).parents[2] / "deployments" / "policies"


def drafted(report: str) -> str:
    """Return the YAML of a report: the content of its one block of code."""
    blocks = re.findall(r"^(`{3,})yaml\n(.*?)\n\1$", report, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0][1])


def rules(policy: Policy) -> Any:
    """Return what a policy specifies, in any order."""
    places = {
        "tables": {"__all__": {"line": True, "columns": {"__all__": {"line"}}}},
        "references": {"__all__": {"line"}},
    }
    return policy.model_dump(exclude=places)


def section(report: str, title: str) -> str:
    """The part of a report under one heading."""
    return report.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture
def policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, school: Any) -> Path:
    """A folder of policies of this test's own, with the school's."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "schulportal.yaml").write_text((POLICIES / "schulportal.yaml").read_text())
    monkeypatch.setenv("UNDERSTUDY_POLICIES", str(folder))
    forget_settings()
    return folder


def test_a_complete_policy_is_taken_over_unchanged(start: Callable[..., Any], school: Any) -> None:
    """Nothing is new, undecided or gone, the drafted YAML equals the policy, and no planted value is in it."""
    run = start(classify, sample=5000)
    assert run.state == "Classified", run.message
    assert run.message.startswith("0 new, 0 undecided, 0 doubts, 0 gone.")
    assert rules(parse_policy(drafted(run.report))) == rules(load_policy(POLICIES, "schulportal"))
    assert [kind for kind, value in CANARIES.items() if value in run.report.replace("\\", "")] == []


def test_a_first_draft_needs_no_policy(start: Callable[..., Any], school: Any) -> None:
    """A name without a file drafts everything, under that name; addresses are found, and no sampled value is shown."""
    run = start(classify, policy="other-school", sample=5000)
    assert run.state == "Classified", run.message
    assert "all of it is a first draft" in run.report
    assert "New since" not in run.report
    specified = yaml.safe_load(drafted(run.report))
    assert (specified["app"], specified["schema_version"]) == ("other-school", 1)
    assert specified["tables"]["users"]["email"] == "email"
    assert specified["tables"]["users"]["first_name"]["maker"] == "first_name"
    assert [kind for kind, value in CANARIES.items() if value in run.report.replace("\\", "")] == []


def test_what_is_new_doubtful_or_gone_is_shown(start: Callable[..., Any], school: Any, policies: Path) -> None:
    """A new column, a new table, a kept column of addresses and a column that is gone each have their place."""
    school.change("ALTER TABLE users ADD COLUMN blood_type text, DROP COLUMN api_key CASCADE", production=True)
    school.change("CREATE TABLE visitors (id int PRIMARY KEY, mail text, shape text)", production=True)
    school.change("GRANT SELECT ON visitors TO schulportal_reader", production=True)
    school.change("INSERT INTO visitors SELECT 1, email, NULL FROM users WHERE email LIKE 'canary%'", production=True)
    file = policies / "schulportal.yaml"
    file.write_text(file.read_text().replace("    email: email\n", "    email: keep\n", 1))
    run = start(classify)
    assert run.state == "Classified", run.message
    new, undecided = section(run.report, "New since the policy was written"), section(run.report, "Undecided")
    assert "* table visitors" in new
    assert "* visitors.mail: " in new
    assert "* users.blood\\_type: null, " in new
    assert "* visitors.shape: **undecided** (the name shows nothing, and there are no values)" in undecided
    assert "* users.email: name looks like an e-mail" in section(run.report, "Doubts: kept, but they look personal")
    assert "* users.api\\_key" in section(run.report, "Gone from the database")
    assert "# UNDECIDED visitors: {shape: }" in drafted(run.report)
    assert CANARIES["email"] not in run.report


def test_a_file_is_written_only_where_there_is_none(start: Callable[..., Any], school: Any, policies: Path) -> None:
    """The draft is written as a policy to the new name, once; a second run refuses, and the file stays as it was."""
    run = start(classify, write_to="draft.yaml")
    assert run.state == "Classified", run.message
    assert rules(load_policy(policies, "draft")) == rules(load_policy(policies, "schulportal"))
    (policies / "draft.yaml").write_text("mine: 1\n")
    again = start(classify, write_to="draft.yaml")
    assert (again.state, "exists" in again.message) == ("Misconfigured", True)
    assert (policies / "draft.yaml").read_text() == "mine: 1\n"


@pytest.mark.parametrize("place", ["draft.txt", ".yaml", "absent/draft.yaml", "../policies"])
def test_a_file_goes_nowhere_else(start: Callable[..., Any], school: Any, policies: Path, place: str) -> None:
    """Only a .yaml file in a folder that exists; without a place, nothing is written at all."""
    assert start(classify, write_to=place).state == "Misconfigured"
    assert [path.name for path in policies.iterdir()] == ["schulportal.yaml"]


def test_planted_values_of_the_policy_stay_out_of_the_report(
    start: Callable[..., Any], school: Any, policies: Path
) -> None:
    """The policy's own canaries are not in the report, and are in the file that is written."""
    file = policies / "schulportal.yaml"
    file.write_text(file.read_text() + "canaries: [planted-by-us]\n")
    run = start(classify, write_to="draft.yaml")
    assert run.state == "Classified", run.message
    assert "planted-by-us" not in run.report
    assert "# canaries: not shown here" in drafted(run.report)
    assert load_policy(policies, "draft").canaries == ("planted-by-us",)


def test_names_from_the_database_are_inert(start: Callable[..., Any], school: Any) -> None:
    """Markup in the name of a column, and a run of backticks that would end the block of code, have no effect."""
    school.change(
        'ALTER TABLE users ADD COLUMN "<script>|**x**" text, ADD COLUMN "````\n# title {{ flow }}" text',
        production=True,
    )
    run = start(classify)
    assert run.state == "Classified", run.message
    outside = run.report.replace(drafted(run.report), "")
    assert "users.\\<script\\>\\|\\*\\*x\\*\\*" in outside
    assert not [word for word in ("<script>", "{{", "\n# title") if word in outside]
    assert run.report.rstrip().endswith("\n`````")


def test_a_table_that_may_not_be_read_is_named(start: Callable[..., Any], school: Any) -> None:
    """Without the privilege the run fails, and the message names table and column."""
    school.change("CREATE TABLE secrets (id int, word text)", production=True)
    run = start(classify)
    assert run.state == "Misconfigured"
    assert "secrets.id cannot be sampled" in run.message
    assert "GRANT SELECT" in run.message


@pytest.mark.parametrize("name", ["../schulportal", "Other", "schöne-schule"])
def test_a_bad_name_is_refused(start: Callable[..., Any], school: Any, name: str) -> None:
    """A policy's name becomes part of file names: no folders, no other letters."""
    assert start(classify, policy=name).state == "Misconfigured"
