"""The rules of a form, checked on this machine: what Prefect would refuse is refused before anybody types a code."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import typer

from deployments.cli.output import prompt


def why_refused(value: object, rules: Mapping[str, Any]) -> str:
    """Return why a form with these rules (JSON schema of one field) refuses a value, as a sentence, or an empty string."""
    if isinstance(value, list):
        return next(filter(None, (why_refused(each, rules.get("items", {})) for each in value)), "")
    if isinstance(value, int) and not isinstance(value, bool):
        least, most = rules.get("minimum", value), rules.get("maximum", value)
        if least <= value <= most:
            return ""
        return (
            f"{value} is too small; expected {least} or more."
            if value < least
            else f"{value} is too large; expected {most} or less."
        )
    if not isinstance(value, str):
        return ""  # truth values have no rules
    shortest, longest = rules.get("minLength", 0), rules.get("maxLength")
    if len(value) < shortest:
        return f"{value!r} has {len(value)} characters; expected {shortest} or more."
    if longest is not None and len(value) > longest:
        return f"It has {len(value)} characters; expected {longest} at most."
    choices = rules.get("enum") or ([rules["const"]] if "const" in rules else [])
    if choices and value not in choices:
        return f"{value!r} is not one of: {', '.join(map(str, choices))}."
    if (pattern := rules.get("pattern")) and not re.search(pattern, value):
        exact = re.fullmatch(r"\^([^\\^$.|?*+()\[\]{}]+)\$", pattern)
        return f"{value!r} is not {exact[1]!r}." if exact else f"{value!r} is not what the field expects ({pattern})."
    return ""


def require_fits(values: Mapping[str, object], fields: Mapping[str, Any], options: Mapping[str, str]) -> None:
    """Raise typer's usage error for the first value that the form refuses. `options` names the option of a field."""
    for name, value in values.items():
        if why := why_refused(value, fields.get(name, {})):
            raise typer.BadParameter(f"{options.get(name, name)}: {why}")


def asked(label: str, given: str, rules: Mapping[str, Any]) -> str:
    """Return what was given, or what a person types until the form accepts it."""
    return given or prompt(label, refused=refusing(rules))


def refusing(rules: Mapping[str, Any]) -> Callable[[str], str]:
    """Return a function that explains why a typed text does not fit these rules; an empty text never does."""
    return lambda typed: why_refused(typed, {"minLength": 1, **rules})
