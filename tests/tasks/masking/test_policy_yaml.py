"""A policy's YAML: keys are texts with their lines, and what YAML hides is a fault."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.estate.errors import PolicyRefused
from tasks.masking.policy import parse_policy
from tasks.masking.policy_yaml import read_yaml

HEAD = "app: shop\nschema_version: 3\ntables:\n"
WORDS = (
    "no", "on", "yes", "off", "null", "~", "true", "N", "7", "007", "1e3", "0x1F", "1_000", "2026-01-01", "12:30", "=",
)  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_a_column_may_be_called_like_a_word_of_yaml(word: str) -> None:
    """YAML 1.1 reads `no` as false and `12:30` as 750; a policy reads the name as written, with its line."""
    rule = parse_policy(f"{HEAD}  seats:\n    id: keep\n    {word}: scrub\n").tables["seats"].columns[word]
    assert (rule.word, rule.line) == ("scrub", 6)
    with pytest.raises(PolicyRefused, match=f"line 5: seats.{word}: "):
        parse_policy(f"{HEAD}  seats:\n    {word}: nothing\n".replace("12:30", '"12:30"'))


@pytest.mark.parametrize("word", WORDS)
def test_a_table_may_be_called_like_a_word_of_yaml(word: str) -> None:
    """A table's name is read as written, too."""
    assert parse_policy(f"{HEAD}  {word}: drop\n").tables[word].whole == "drop"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("  a: keep\n  'a': drop\n", "line 5: 'a' is given twice (first in line 4)"),
        ("  a:\n    no: keep\n    'no': keep\n", "line 6: 'no' is given twice"),
        ("  [a, b]: keep\n", "line 4: a key is a sequence"),
        ("  ? {a: b}\n  : keep\n", "line 4: a key is a mapping"),
        ("  a: &a {id: keep}\n  b: {<<: *a}\n", "line 5: `<<` merges are not read"),
        ("  a: &a [*a]\n", "nested too deeply"),
        ("  a: {b: 2026-13-45}\n", "quote it"),
    ],
)
def test_what_yaml_would_hide_is_one_clear_error(body: str, expected: str) -> None:
    """A lost rule would leave a column unmasked, so that the refusal names the key and its line."""
    with pytest.raises(PolicyRefused) as caught:
        parse_policy(HEAD + body)
    assert expected in caught.value.message


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.dictionaries(st.text(max_size=8), st.integers(), max_size=3))
)
def test_written_yaml_is_read_back(content: dict[str, dict[str, int]]) -> None:
    """The output of a YAML library is read unchanged, and every key has a line."""
    found, lines = read_yaml(yaml.safe_dump(content))
    assert found == content
    assert {path[0] for path in lines} == content.keys()
    assert all(line > 0 for line in lines.values())
