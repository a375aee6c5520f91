"""Fields of the forms that start a run."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.estate.flow_parameters import RequestedBy, Requester


@pytest.mark.parametrize("field", [RequestedBy, Requester])
@pytest.mark.parametrize("sign", ["\n", "\r", "\t", "\x00", "\x1b[31m", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066"])
def test_a_name_has_no_control_characters(field: Any, sign: str) -> None:
    """Wherever they stand: a run is named after the person, and the name is on a line of its own."""
    for name in (f"{sign}Anna", f"An{sign}na", f"Anna{sign}"):
        with pytest.raises(ValidationError):
            TypeAdapter(field).validate_python(name)


@pytest.mark.parametrize(
    "name", ["Ada Admin", "Jürgen Müller-Lüdenscheidt", "O'Neill, Zoë", "李小龍", "the promotion's approval"]
)
def test_names_of_people_are_accepted(name: str) -> None:
    """Letters of any script and the usual marks."""
    assert TypeAdapter(Requester).validate_python(name) == TypeAdapter(RequestedBy).validate_python(name) == name


def test_a_name_may_be_missing_where_the_form_allows_it() -> None:
    """A scheduled run has no requester."""
    assert TypeAdapter(RequestedBy).validate_python("") == ""
