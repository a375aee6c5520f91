"""The rules of a form: what it would refuse is named in a sentence, and everything else is left to the server."""

from typing import Any

import pytest
import typer

from deployments.cli.form_rules import require_fits, why_refused


@pytest.mark.parametrize(
    ("value", "rules", "why"),
    [
        ("ok", {"minLength": 5}, "'ok' has 2 characters; expected 5 or more."),
        ("release day", {"minLength": 5, "maxLength": 11}, ""),
        ("release days", {"maxLength": 11}, "It has 12 characters; expected 11 at most."),
        ("aprove", {"enum": ["reject", "approve"]}, "'aprove' is not one of: reject, approve."),
        ("approve", {"enum": ["reject", "approve"]}, ""),
        ("b", {"const": "a"}, "'b' is not one of: a."),
        ("schulstage", {"pattern": "^schulprod$"}, "'schulstage' is not 'schulprod'."),
        ("a\nb", {"pattern": r"^[^\x00-\x1f]*$"}, r"'a\nb' is not what the field expects (^[^\x00-\x1f]*$)."),
        (7, {"minLength": 5}, ""),
        ("x", {}, ""),
    ],
)
def test_a_value_is_refused_with_a_sentence(value: object, rules: dict[str, Any], why: str) -> None:
    """Length, choices and patterns are checked; what is no text is not."""
    assert why_refused(value, rules) == why


def test_the_option_is_named() -> None:
    """The usage error begins with the option, or else the field."""
    with pytest.raises(typer.BadParameter, match=r"^--reason: 'x' has 1 characters"):
        require_fits({"reason": "x"}, {"reason": {"minLength": 5}}, {"reason": "--reason"})
    with pytest.raises(typer.BadParameter, match=r"^reason: "):
        require_fits({"reason": "x"}, {"reason": {"minLength": 5}}, {})


@pytest.mark.parametrize(
    ("value", "rules", "why"),
    [
        (3, {"minimum": 1, "maximum": 20}, ""),
        (21, {"minimum": 1, "maximum": 20}, "21 is too large; expected 20 or less."),
        (0, {"minimum": 1}, "0 is too small; expected 1 or more."),
        (True, {"minimum": 5}, ""),
        (["email", "names"], {"items": {"enum": ["email", "names"]}}, ""),
        (["email", "mail"], {"items": {"enum": ["email", "names"]}}, "'mail' is not one of: email, names."),
    ],
)
def test_numbers_and_lists_have_rules_too(value: object, rules: dict[str, Any], why: str) -> None:
    """A number has its bounds, and each entry of a list its choices; a truth value is no number."""
    assert why_refused(value, rules) == why
