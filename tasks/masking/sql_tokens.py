"""Tokens of SQL and PL/pgSQL, and what they show: names, calls, statements, and what is not a condition.

This is not a parser: PostgreSQL checks expressions itself. The results here are shown to people, including what cannot be read.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)
    |(?P<string>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$(?P<tag>[A-Za-z_\w]*)\$.*?\$(?P=tag)\$)
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<number>\d+(?:\.(?!\.)\d*)?(?:[eE][+-]?\d+)?)
    |(?P<name>[^\W\d][\w$]*)
    |(?P<sign>:=|::|=>|<=|>=|<>|!=|<<|>>|\|\||\.\.|->>|->|\S)""",
    re.VERBOSE | re.DOTALL,
)
STRING = "''"
SYNTAX = {"substring", "trim", "extract", "overlay", "position", "btrim", "ltrim", "rtrim"}  # f(a FROM b)
WORDS = {  # keywords before a parenthesis that is not a call, or between names
    "and", "any", "array", "as", "at", "all", "between", "both", "by", "case", "cast", "collate", "distinct", "else", "end", "escape",
    "exists", "extract", "false", "from", "ilike", "in", "interval", "is", "isnull", "leading", "like", "not", "notnull", "null", "or",
    "over", "row", "similar", "some", "symmetric", "then", "time", "timestamp", "to", "trailing", "true", "unknown", "using", "when",
    "with", "without", "zone",
}  # fmt: skip
CONDITIONS = {"where", "on", "having", "group", "order", "limit", "offset", "window", "when"}
RESUMING = {"select", "union", "except", "intersect", "join", "left", "right", "inner", "cross", "full", "from", "returning",
            "set", "then", "values", "do"}  # fmt: skip
SQL_STATE_READERS = re.compile(
    r"current_setting|(table|query|schema|database|cursor)_to_xml.*|pg_.*|lo_.*|txid_.*|currval|lastval|col_description|obj_description"
)


class Token(NamedTuple):
    """A token: a name (in lower case if unquoted), or a sign. A string is two quotes, without its content."""

    text: str
    is_name: bool = False
    quoted: bool = False

    @property
    def word(self) -> str:
        """Return the name if it may be a keyword, else the empty text."""
        return self.text if self.is_name and not self.quoted else ""


def tokens(source: str) -> list[Token]:
    """Return the tokens of a text without its comments."""
    return [token for token in _tokens(source) if token.text]


def _tokens(source: str) -> Iterator[Token]:
    for found in TOKEN.finditer(source):
        kind, text = found.lastgroup, found.group()
        if found["comment"] is not None:
            yield Token("")
        elif found["string"] is not None:
            yield Token(STRING)
        elif kind == "quoted":
            yield Token(text[1:-1].replace('""', '"'), is_name=True, quoted=True)
        elif kind == "name":
            yield Token(text.lower(), is_name=True)
        else:
            yield Token(text)


def faults_of_expression(text: str) -> list[str]:
    """Return why a text is not one expression over one row. PostgreSQL checks types, volatility and names."""
    found = list(_tokens(text))
    if any(not token.text for token in found):
        return ["it has a comment"]
    depth = 0
    for before, token in zip([Token(""), *found], found, strict=False):
        depth += {"(": 1, ")": -1}.get(token.text, 0) if not token.is_name else 0
        if depth < 0:
            break
        if not token.is_name and token.text in (";", "'", '"', "$"):
            return [f"it has a stray {token.text}"]
        if token.word == "select" or (before.text == "(" and token.word in ("with", "values", "table")):
            return ["it has a sub-select"]
    if depth:
        return ["its parentheses do not match"]
    denied = sorted(name for name in called(found) if SQL_STATE_READERS.fullmatch(name))
    return [f"it calls {denied[0]}, which reads more than the row"] if denied else []


def called(found: Sequence[Token]) -> set[str]:
    """Return the names of called functions, without their schemas."""
    following = [*found[1:], Token("")]
    return {
        token.text
        for token, after in zip(found, following, strict=True)
        if token.is_name and after.text == "(" and token.word not in WORDS
    }


def columns_in(found: Sequence[Token]) -> set[str]:
    """Return the names that may be columns of the row: no calls, no keywords, no types after `::`, no qualifiers."""
    before, following = [Token(""), *found[:-1]], [*found[1:], Token("")]
    return {
        token.text
        for prior, token, after in zip(before, found, following, strict=True)
        if token.is_name and after.text not in ("(", ".") and token.word not in WORDS and prior.text != "::"
    }


def statements(found: Iterable[Token]) -> Iterator[list[Token]]:
    """Yield the statements of a PL/pgSQL or SQL body, without the words of blocks. `CASE` expressions stay whole."""
    statement: list[Token] = []
    cases = 0
    for token in found:
        word = token.word
        if word == "case" and statement:
            cases += 1
        elif word == "end" and cases:
            cases -= 1
        elif not cases and (token.text == ";" or word in ("then", "else", "loop", "begin", "declare")):
            if statement:
                yield statement
            statement = []
            continue
        statement.append(token)
    if statement:
        yield statement


def is_query(found: Sequence[Token], place: int) -> bool:
    """Return whether the FROM at `place` names tables: not that of `IS DISTINCT FROM` or of `extract(year FROM …)`."""
    if place and found[place - 1].word == "distinct":
        return False
    depth = 0
    for at in range(place - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(found[at].text, 0)
        if not depth and found[at].word == "select":
            return True
        if depth < 0:
            return not (at and found[at - 1].word in SYNTAX)
    return True


def without_conditions(found: Sequence[Token]) -> list[Token]:
    """Return the tokens from which values come: without WHERE, ON, WHEN and the clauses that order or limit rows."""
    kept, depth, skipping = list[Token](), 0, -1
    for token, after in zip(found, [*found[1:], Token("")], strict=True):
        word = token.word if after.text != "(" or token.word in ("values", "where", "on", "when") else ""
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if skipping >= 0 and (depth < skipping or (depth == skipping and word in RESUMING)):
            skipping = -1
        if skipping < 0 and word in CONDITIONS:
            skipping = depth
        if skipping < 0:
            kept.append(token)
    return kept


def parts_of(found: Sequence[Token], separator: str = ",") -> list[list[Token]]:
    """Return the tokens between separators outside parentheses."""
    parts, depth = [list[Token]()], 0
    for token in found:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
        if not depth and token.text == separator and not token.quoted:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def reads_table(found: Sequence[Token], place: int) -> bool:
    """Return whether the FROM at `place` names a table or view: not only sub-selects and calls."""
    if not is_query(found, place):
        return False
    items, depth = [list[Token]()], 0
    for token in found[place + 1 :]:
        if not depth and (token.text in (")", ";", ",") or token.word in FROM_ENDS or token.word == "join"):
            if token.text != "," and token.word != "join" and token.word not in JOINING:
                break
            items.append([])
        elif token.word not in ("only", "lateral"):
            items[-1].append(token)
        depth += {"(": 1, ")": -1}.get(token.text, 0)
    return any(_names_table(item) for item in items if item)


def _names_table(item: Sequence[Token]) -> bool:
    if item[0].text == "(":
        return item[1].word not in ("select", "values", "with") if len(item) > 1 else False
    after = next((token for token in item if token.text != "." and token is not item[0] and not token.is_name), None)
    return item[0].is_name and (after is None or after.text != "(" or _aliased(item))


def _aliased(item: Sequence[Token]) -> bool:
    """Return whether the parenthesis belongs to an alias (`t AS a (b)`) instead of a call: two names precede it."""
    names = 0
    for before, token in zip([Token("."), *item], item, strict=False):
        if token.text == "(":
            break
        names += token.is_name and before.text != "."
    return names > 1


JOINING = {"left", "right", "inner", "cross", "full", "natural", "outer"}
FROM_ENDS = JOINING | CONDITIONS | {"union", "except", "intersect", "returning", "into", "for", "loop", "using"}
