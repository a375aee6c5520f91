"""`recompute` in a policy: how it is written, how it is read back, and what is refused before a database is asked."""

from typing import Any

import pytest

from tasks.estate.errors import PolicyRefused
from tasks.masking.policy import as_given, parse_policy, rule_from


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ('{recompute: "lower(title)"}', {"recompute": "lower(title)"}),
        ("{maker: recompute, recompute: lower(title), nulls: mask}", {"recompute": "lower(title)", "nulls": "mask"}),
        ("{recompute: trigger}", "trigger"),
        ("trigger", "trigger"),
    ],
)
def test_a_recomputed_column_reads_as_it_is_written(rule: str, given: Any) -> None:
    """The short form has no maker; the rule comes back in a form that reads the same, also as a pattern."""
    policy = parse_policy(f'app: a\nschema_version: 1\ntables:\n  t: {{slug: {rule}}}\n  "*.slug": {rule}\n')
    made = policy.tables["t"].columns["slug"]
    assert as_given(made) == given
    assert rule_from(given).maker == made.maker
    assert policy.patterns[0].rule is not None
    assert policy.patterns[0].rule.maker == made.maker


def test_a_table_pattern_with_a_column_called_recompute_still_holds_columns() -> None:
    """`keep` and makers are no expressions."""
    policy = parse_policy(
        'app: a\nschema_version: 1\ntables:\n  "shop.*": {recompute: keep}\n  "a.*": {recompute: hash}\n'
    )
    assert [set(each.columns or {}) for each in policy.patterns] == [{"recompute"}, {"recompute"}]


@pytest.mark.parametrize(
    "expression", ["1; 2", "a -- b", "a /* b */", "(a", "a)", "(SELECT 1)", "current_setting('a')", "'a"]
)
def test_what_is_no_expression_over_a_row_is_refused_with_its_line(expression: str) -> None:
    """The policy says so before any database is asked."""
    with pytest.raises(PolicyRefused, match=r"line 4: t\.slug: .*expected one expression over the columns of the row"):
        parse_policy(f'app: a\nschema_version: 1\ntables:\n  t: {{slug: {{recompute: "{expression}"}}}}\n')
