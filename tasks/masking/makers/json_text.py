"""JSON as PostgreSQL's jsonb prints it: keys by length, then by bytes; the last of equal keys; numbers as numeric."""

import json
from decimal import Decimal
from typing import Any


class Digits(str):
    """A number, by the digits jsonb prints for it: a float of Python would lose some."""


def read(text: str) -> Any:
    """The document, numbers as `Digits`. Raises `ValueError` for what is no JSON."""
    return json.loads(text, parse_int=_digits, parse_float=_digits, parse_constant=_refused, strict=True)


def written(document: Any) -> str:
    """The document as jsonb prints it."""
    if isinstance(document, Digits):
        return str(document)
    if isinstance(document, dict):
        members = sorted(document.items(), key=lambda member: (len(member[0].encode()), member[0].encode()))
        return "{" + ", ".join(f"{_text(key)}: {written(value)}" for key, value in members) + "}"
    if isinstance(document, list):
        return "[" + ", ".join(map(written, document)) + "]"
    return _text(document)


def scalar_text(value: Any) -> str | None:
    """What `->>` gives: text without quotes, everything else as it prints; None for null."""
    if value is None:
        return None
    return str(value) if isinstance(value, str) else written(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # strings, true, false, null: escaped as PostgreSQL does


def _digits(number: str) -> Digits:
    value = Decimal(number)
    # numeric knows no negative zero; its scale is never negative, as with format "f"
    return Digits(f"{value:f}".removeprefix("-") if value.is_zero() else f"{value:f}")


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
