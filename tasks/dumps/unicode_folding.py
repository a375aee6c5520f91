"""Unicode folding: one spelling for each character, the same in Python and in SQL, for every locale of a server.

Compatibility forms, case, accents and invisible characters are removed: `MÜLLER`, `Müller` and `ｍuller` become `muller`.
The map works on single characters, so that PostgreSQL can apply it from a setting, without a special collation.
Source: Unicode NFKD, case folding and combining classes, as Python's `unicodedata` has them.
"""

import json
import re
import sys
import unicodedata
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Literal

SETTING = "understudy.fold"
SPELLED_OUT = {
    "ı": "i",
    "。": ".",
    "｡": ".",
    "ø": "o",
    "đ": "d",
    "ł": "l",
    "ħ": "h",
    "æ": "ae",
    "œ": "oe",
    "þ": "th",
    "ð": "d",
}
FEW = 40  # different characters beyond ASCII in a text of one language; each takes a pass over the text
_SURROGATES = range(0xD800, 0xE000)
_ASCII = bytes(range(128))
_RUNS = re.compile("[^\0-\x7f]+")


def _folded_character(character: str) -> str:
    """Fold a character: lower case, without marks; punctuation becomes ASCII or a space."""
    before, text = "", character
    while text != before:  # a case folding may decompose again
        before = text
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(SPELLED_OUT.get(c, c) for c in decomposed if not _invisible(c)).casefold()
    return "".join(map(_plain, text))


def _invisible(character: str) -> bool:
    return (
        unicodedata.combining(character) != 0
        or unicodedata.category(character) == "Cf"
        or "\ufe00" <= character <= "\ufe0f"
    )


def _plain(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Pd":
        return "-"
    return " " if category[0] in "PSZC" else character


@cache
def folding_table() -> dict[int, str]:
    """Map each character that changes to its folded form. ASCII changes its case only."""
    codes = chain(range(ord("A"), ord("Z") + 1), range(0x80, sys.maxunicode + 1))
    assigned = (
        code for code in codes if code not in _SURROGATES and unicodedata.category(chr(code)) not in ("Cn", "Co")
    )
    return {code: made for code in assigned if (made := _folded_character(chr(code))) != chr(code)}


@lru_cache(maxsize=4096)
def _folded_run(run: str) -> str:
    return run.translate(folding_table())


def fold(text: str) -> str:
    """Return `text` with every character folded."""
    if text.isascii():
        return text.lower()
    characters = set(text.encode().translate(None, _ASCII).decode())
    if len(characters) > FEW:
        return _RUNS.sub(lambda found: _folded_run(found.group()), text).lower()
    for character in characters:  # a result is folded itself, so that the order does not matter
        if (made := folding_table().get(ord(character))) is not None:
            text = text.replace(character, made)
    return text.lower()


def set_folding_map(connection: psycopg.Connection[Any]) -> None:
    """Store the map that `folded` reads in a setting, without the characters that the encoding lacks."""
    (encoding,) = connection.execute("SELECT getdatabaseencoding()").fetchone() or ("UTF8",)
    connection.execute("SELECT set_config(%s, %s, false)", (SETTING, _as_json(str(encoding))))


@cache
def _as_json(encoding: str) -> str:
    known = folding_table().items()
    codec = encoding.lower().replace("win", "cp")
    if encoding != "UTF8":
        known = {code: made for code, made in known if _fits(chr(code) + made, codec)}.items()
    return json.dumps({chr(code): made for code, made in known}, ensure_ascii=False)


def _fits(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except (UnicodeEncodeError, LookupError):  # Python lacks the encoding: only ASCII is folded
        return text.isascii()
    return True


def folded(text: Composable) -> Composable:
    """Return the SQL twin of `fold` for a text expression. `text` is evaluated more than once.

    ASCII is folded in pieces between other characters: a look-up for each character would take four times as long.
    """
    return SQL(
        'CASE WHEN ({text} COLLATE "C") !~ \'[^\\u0001-\\u007f]\' THEN lower({text} COLLATE "C") ELSE '
        '(SELECT string_agg(lower(c[1] COLLATE "C")'
        " || coalesce((SELECT current_setting({setting})::jsonb) ->> c[2], c[2]), '' ORDER BY n)"
        " FROM regexp_matches({text}, '([\\u0001-\\u007f]*)([^\\u0001-\\u007f]?)', 'g')"
        " WITH ORDINALITY AS understudy_characters(c, n)) END"
    ).format(text=text, setting=Literal(SETTING))
