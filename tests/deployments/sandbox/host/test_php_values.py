"""PHP's serialised values: read, written, and replaced with their lengths."""

import pytest
from hypothesis import given, settings, strategies

from deployments.sandbox.host.php_values import replaced, serialize, unserialize

TEXT = strategies.text(strategies.characters(blacklist_categories=["Cs"]))
VALUES = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | TEXT,
    lambda inner: strategies.dictionaries(TEXT | strategies.integers(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100)
@given(VALUES)
def test_a_value_is_what_it_was(value: object) -> None:
    """What is written is read, also with quotes, semicolons and characters of several bytes."""
    assert unserialize(serialize(value)) == value


def test_it_is_written_as_php_writes_it() -> None:
    """A length counts bytes, and a list has numbers as keys."""
    assert serialize({"ü": [True, None, 7]}) == 'a:1:{s:2:"ü";a:3:{i:0;b:1;i:1;N;i:2;i:7;}}'


@pytest.mark.parametrize("text", ["", "plain", 's:3:"toolong";', 'O:8:"stdClass":0:{}', "i:1;i:2;"])
def test_what_is_not_a_value_is_refused(text: str) -> None:
    """A plain text, a broken length, an object, and two values are no values."""
    with pytest.raises(ValueError, match=r"value|length|literal"):
        unserialize(text)


def test_a_replacement_corrects_the_length() -> None:
    """Also in a value inside of a text of a value."""
    nested = serialize({"inner": serialize({"url": "//a.example"})})
    found = replaced(nested, lambda text: text.replace("a.example", "longer.example"))
    assert unserialize(unserialize(found)["inner"]) == {"url": "//longer.example"}
