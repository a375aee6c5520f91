"""Markdown from values that come from outside: escaped text, times, and nothing that a title could break out of."""

from datetime import datetime

HOSTILE = str.maketrans({c: "\\" + c for c in "\\`*_[]<>#|!~"} | {"\n": " ", "\r": " ", "{": "(", "}": ")"})


def plain(value: object, limit: int = 200) -> str:
    """Text from outside as inert Markdown on one line: no markup, no template syntax, no control characters."""
    text = "".join(c for c in str(value)[:limit] if c.isprintable() or c in "\n\r")
    return text.translate(HOSTILE)


def _when(moment: datetime | None) -> str:
    return "unknown" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")
