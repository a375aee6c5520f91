"""Fields of the forms that people fill in to start a run."""

from typing import Any

from pydantic import Field


def asked(title: str, description: str, **rules: Any) -> Any:
    """A form field with its label, its explanation and pydantic's rules (`min_length`, `pattern`, …).

    Prefect replaces a field's own title and description by the parameter's name and docstring; what is in the extra
    schema stays.
    """
    return Field(json_schema_extra={"title": title, "description": description}, **rules)
