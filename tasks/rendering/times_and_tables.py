"""Markdown for people: escaped text, times, lists and tables. Every form, report, notice and sheet is built from these."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

HOSTILE = str.maketrans({c: "\\" + c for c in "\\`*_[]<>#|!~"} | {"\n": " ", "\r": " ", "{": "(", "}": ")"})


def plain(value: object, limit: int = 200) -> str:
    """Return text from outside as inert Markdown on one line: no markup, no template syntax, no control characters."""
    text = "".join(c for c in str(value)[:limit] if c.isprintable() or c in "\n\r")
    return text.translate(HOSTILE)


def utc_time(moment: datetime | None) -> str:
    """Return a moment (UTC) to the second; "unknown" for None."""
    return "unknown" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def head_words(head: str) -> str:
    """Return the ledger's head in groups, which a phone can wrap. `understudy ledger verify --anchor` takes it with its blanks."""
    number, colon, digest = head.partition(":")
    return f"{number}{colon}{' '.join(re.findall('.{1,16}', digest))}"


def local_time(moment: datetime | None, zone: str) -> str:
    """Return a moment in this time zone (IANA) and in UTC; in UTC alone without a zone."""
    if moment is None or zone in ("", "UTC"):
        return utc_time(moment)
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone} ({utc_time(moment)})"


def code(text: str) -> str:
    """Return text from outside as inline code that fits into a table's cell; "" for no text."""
    return f"`{text.replace('`', '').replace('|', ' ')}`" if text else ""


def code_block(text: str, language: str) -> list[str]:
    """Return a block of code that no run of backticks in the text can end."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return [f"{fence}{language}", text.rstrip("\n"), fence]


def bullets(items: Iterable[str], *, most: int | None = None) -> list[str]:
    """Return a list of at most `most` items; the rest is counted."""
    lines = [f"* {item}" for item in items]
    return lines if most is None or len(lines) <= most else [*lines[:most], f"* and {len(lines) - most} more"]


def listed(label: str, names: Sequence[object], most: int = 30) -> list[str]:
    """Return one item that lists names from outside after a label, at most `most` of them; no item for no names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return [f"* {label}: {', '.join(map(plain, names[:most]))}{more}"] if names else []


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, right: Collection[str] = ()) -> Iterator[str]:
    """Yield the lines of a table; the columns in `right` are right-aligned. Cells must be escaped already."""
    yield f"| {' | '.join(head)} |"
    yield f"|{''.join('---:|' if column in right else '---|' for column in head)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def section(title: str, lines: Iterable[str]) -> list[str]:
    """Return a heading and its lines, or "None." if there is no line."""
    return ["", f"## {title}", "", *(list(lines) or ["None."])]
