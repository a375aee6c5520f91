"""PHP's serialised values, as WordPress keeps them in options and metadata: numbers, texts, lists and dictionaries.

A text carries its length in bytes, so that a replacement in the raw text would break it.
"""

from collections.abc import Callable
from typing import Any


def serialize(value: Any) -> str:
    """Return a value as PHP's `serialize` writes it. A list is an array with the keys 0, 1, …"""
    if value is None:
        return "N;"
    if isinstance(value, bool):
        return f"b:{int(value)};"
    if isinstance(value, int):
        return f"i:{value};"
    if isinstance(value, str):
        return f's:{len(value.encode())}:"{value}";'
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    inner = "".join(serialize(key) + serialize(each) for key, each in pairs)
    return f"a:{len(value)}:{{{inner}}}"


def unserialize(text: str) -> Any:
    """Return the value of a serialised text. Raise `ValueError` if it is not one, as an object is not."""
    value, rest = _read(text.encode())
    if rest:
        raise ValueError("more than one value")
    return value


def _read(data: bytes) -> tuple[Any, bytes]:
    kind, rest = data[:2], data[2:]
    if kind == b"N;":
        return None, rest
    if kind in (b"i:", b"b:"):
        number, _, rest = rest.partition(b";")
        return (bool(int(number)) if kind == b"b:" else int(number)), rest
    if kind not in (b"s:", b"a:"):
        raise ValueError("not a serialised value")
    length, _, rest = rest.partition(b":")
    size = int(length)
    if kind == b"s:":
        if rest[:1] != b'"' or rest[size + 1 : size + 3] != b'";':
            raise ValueError("a text of another length")
        return rest[1 : size + 1].decode(), rest[size + 3 :]
    rest, found = rest[1:], {}
    for _ in range(size):
        key, rest = _read(rest)
        found[key], rest = _read(rest)
    return found, rest[1:]


def replaced(text: str, replace: Callable[[str], str]) -> str:
    """Return a text with a replacement made in it; in a serialised one, in each of its texts."""
    try:
        value = unserialize(text)
    except (ValueError, UnicodeDecodeError):
        return replace(text)
    return serialize(_deep(value, replace))


def _deep(value: Any, replace: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return replaced(value, replace)
    if isinstance(value, dict):
        return {key: _deep(each, replace) for key, each in value.items()}
    return value
