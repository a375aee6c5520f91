"""The forms of the leak search: the forms by which a value is searched for, and the forms that a text contains.

Both use the patterns of this file on folded text. `search_forms` has a twin in SQL, because production's values never
leave its server in clear: `search_forms_sql` finds their forms there. `forms_in` reads the dump, with all escapes undone.

A form is a token (`anna@firma.example`, `bwinter92`), the squeezed digits of a number (`#66412345`), a squeezed IBAN, or
the sorted words of a whole value (`= anna xylander`), so that `Xylander, Anna` is the same.
"""

import html
import re
from collections.abc import Iterable, Iterator
from itertools import compress
from typing import Literal
from urllib.parse import unquote

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted

from tasks.dumps.leak_search_prefilter import ANY, Traits
from tasks.dumps.unicode_folding import fold, folded

Kind = Literal["identifier", "text", "nested"]

SHORTEST = 6  # characters of a form; shorter values (postcodes, initials) occur by chance
LONGEST = 400  # characters of a value that is compared as a whole; of a longer one, only the parts that may identify
READ = 20_000  # characters of one value that the source reads
FEWEST_DIGITS = 7  # of a number
MOST_DIGITS = 24  # of a number
IN_TEXT = 9  # fewest digits of a number within a text, which also contains dates and order numbers

# Word characters of folded text: a-z, 0-9 and all that is not ASCII. The same pattern works in Python and PostgreSQL.
OTHER = r"\u0001-\u002f\u003a-\u0060\u007b-\u007f"
WORD = f"[^{OTHER}]"
TOKEN = rf"{WORD}+(?:[._+@-]{WORD}+)*"
SINGLE = rf"^[{OTHER}]*({TOKEN})[{OTHER}]*$"
NUMBER = r"[(]?[+]?[(]?[0-9](?:[ ()/.-]{0,3}[0-9])+"
IBAN = rf"(?<!{WORD})[a-z][a-z][0-9][0-9][ -]?(?:[a-z]{{4}}[ -]?)?[0-9]{{4}}(?:[ -]?[0-9]{{1,4}})+"
ABROAD = r"^[(]?(?:[+]|00)"
DIALLED = r"^[(]?[+0(]"
LETTER, MIXED = r"[^\u0001-\u0060\u007b-\u007f]", r"[0-9._+-]"
IPV4 = r"^[0-9]{1,3}(?:[.][0-9]{1,3}){3}$"
# The parts of a long value or a document that may identify, before it is folded.
PART = (
    r"[^\s\"<>,;:=(){}\[\]\\]*[@＠][^\s\"<>,;=(){}\[\]\\]*"
    r"|[(]?[+]?[(]?[0-9](?:[ ()/.-]{0,3}[0-9]){8,}"
    r"|[A-Za-z]{2}[0-9]{2}[ -]?(?:[A-Za-z]{4}[ -]?)?[0-9]{4}(?:[ -]?[0-9]{1,4})+"
)
WORDS = r"|[^\s\"<>,;:=(){}\[\]\\]{6,}"  # of documents: also words with a digit

_TOKEN, _WORDS, _SINGLE = re.compile(TOKEN), re.compile(f"{WORD}+"), re.compile(SINGLE)
_NUMBER, _IBAN, _ABROAD, _DIALLED = map(re.compile, (NUMBER, IBAN, ABROAD, DIALLED))
_LETTER, _MIXED, _IPV4 = map(re.compile, (LETTER, MIXED, IPV4))
_PART, _PART_OR_WORD, _WORD = re.compile(PART), re.compile(PART + WORDS), re.compile(WORDS.removeprefix("|"))
# A word of letters alone counts where the text marks it: `@word`, `login: word`, `"word"`, `/word`; not within a sentence.
# Patterns that run over the whole dump begin with a set of characters, which Python finds fast.
_MARKED = re.compile(rf"[@=:/\"<(`'](?:(?<=[=:]) (?={WORD}+(?! ?{WORD})))?({WORD}{{{SHORTEST},}})")
_MARK = re.compile(rf"[0-9@_+.-](?:(?<![.-])|(?={WORD}))[^ ]*")
_ROW = re.compile(rf"[0-9](?:[ ()/.-]{{0,3}}[0-9]){{{FEWEST_DIGITS - 1},}}")
_FIRST_GROUP, _LAST_GROUP = re.compile("^[0-9]+[^0-9]*"), re.compile("[^0-9]*[0-9]+$")
_DIAL_WORD = re.compile("(?:^|[^a-z0-9])(?:tel|fax|phone|telefon|mobile?|handy|nr|no|whatsapp)$")
_IBAN_BEHIND_LETTERS = re.compile(
    rf"[0-9][0-9](?<=[a-z][a-z]..)(?<!{WORD}[a-z][a-z]..)[ -]?(?:[a-z]{{4}}[ -]?)?[0-9]{{4}}(?:[ -]?[0-9]{{1,4}})+"
)
_PIECES = bytes.maketrans(b'"{}[]()<>,;|=', b"\n" * 13)
_NOT_DIGIT = re.compile("[^0-9]+")


# How a value is searched for ------------------------------------------------------------------------------------------------


def search_forms(value: str, kind: Kind) -> set[str]:
    """Return the forms by which a value of a masked column is searched for. The Python twin of `search_forms_sql`."""
    if kind == "nested":
        parts = _longest_parts(re.sub(r"\\+[nrtbf]", " ", value[:READ]))
        return {form for part in parts for form in _needles(fold(part), kind, whole=False)}
    if len(value) <= LONGEST:
        return set(_needles(fold(value), kind, whole=True))
    parts = (found.group() for found in _PART.finditer(value[:READ]))
    return {form for part in parts for form in _needles(fold(part), kind, whole=False)}


def _longest_parts(document: str) -> Iterator[str]:
    """Yield the parts of a document. Of several that begin at one place PostgreSQL takes the longest, Python the first."""
    place = 0
    while found := _PART_OR_WORD.search(document, place):
        word = _WORD.match(document, found.start())
        place = max(found.end(), word.end() if word else 0)
        yield document[found.start() : place]


def _needles(text: str, kind: Kind, *, whole: bool) -> Iterator[str]:
    for token in _TOKEN.findall(text):
        if "@" in token or (kind == "nested" and _LETTER.search(token) and re.search("[0-9]", token)):
            yield from _long_enough(token)
    for number in _NUMBER.findall(text):
        digits = len(_NOT_DIGIT.sub("", number))
        alone = whole and number == text.strip()
        if alone or (digits >= IN_TEXT and (kind != "text" or _DIALLED.search(number))):
            yield from _number_forms(number)
    for iban in _IBAN.findall(text):
        yield from _long_enough(re.sub("[ -]", "", iban))
    if whole:
        yield from _whole_needles(text, kind)


def _whole_needles(text: str, kind: Kind) -> Iterator[str]:
    single = _SINGLE.match(text)
    words = sorted(_WORDS.findall(text))
    token = single[1] if single is not None else ""
    # The words of an address, too: `anna-firma-example` is a slug of it.
    if (single is None or "@" in token) and _LETTER.search(text) and sum(map(len, words)) >= SHORTEST:
        yield "= " + " ".join(words)
    if len(token) >= SHORTEST and "@" not in token:
        mixed = _MIXED.search(token)
        if mixed and (_LETTER.search(token) or _IPV4.match(token)):
            yield token
        elif not mixed:
            yield f"= {token}"
            if kind == "identifier":
                yield token


def _long_enough(form: str) -> Iterator[str]:
    if SHORTEST <= len(form) <= LONGEST:
        yield form


def _number_forms(number: str) -> Iterator[str]:
    """Yield the digits without zeros at the front, and also without up to three digits of a country code."""
    digits = _NOT_DIGIT.sub("", number.replace("(0)", "")).lstrip("0")
    for cut in range(4 if _ABROAD.search(number) else 1):
        rest = digits[cut:].lstrip("0")
        if FEWEST_DIGITS <= len(rest) <= MOST_DIGITS:
            yield f"#{rest}"


def search_forms_sql(value: Composable, kind: Kind) -> Composable:
    """Return the SQL twin of `search_forms`: a query of one column `form`, over a text expression that may be expensive.

    `OFFSET 0` keeps the planner from copying an expression into each place that uses it. Needs
    `unicode_folding.set_folding_map` on its connection.
    """
    short = SQL("SELECT x AS part, true AS whole WHERE char_length(x) <= {}").format(Quoted(LONGEST))
    parts = SQL(
        "SELECT m[1] AS part, false AS whole FROM regexp_matches(left(x, {read}), {pattern}, 'g') AS m"
        " WHERE char_length(x) > {longest}"
    ).format(
        read=Quoted(READ),
        longest=Quoted(-1 if kind == "nested" else LONGEST),
        pattern=Quoted(f"({PART + WORDS if kind == 'nested' else PART})"),
    )
    source = parts if kind == "nested" else SQL("{} UNION ALL {}").format(short, parts)
    if kind == "nested":
        value = SQL("regexp_replace({}, {}, ' ', 'g')").format(value, Quoted(r"\\+[nrtbf]"))
    return SQL(
        "SELECT DISTINCT form FROM (SELECT {value} AS x OFFSET 0) AS v, LATERAL ({source}) AS p,"
        " LATERAL (SELECT {folded} AS f OFFSET 0) AS folded, LATERAL ({forms}) AS forms (form)"
    ).format(value=value, source=source, folded=folded(SQL("part")), forms=_forms(kind))


def _forms(kind: Kind) -> Composable:
    nested = SQL("(t[1] ~ {} AND t[1] ~ '[0-9]')").format(Quoted(LETTER)) if kind == "nested" else SQL("false")
    addressed = SQL("f" if kind == "nested" else "CASE WHEN strpos(f, '@') > 0 THEN f END")
    queries = [
        SQL("SELECT t[1] FROM regexp_matches({}, {}, 'g') AS t WHERE strpos(t[1], '@') > 0 OR {}").format(
            addressed, Quoted(f"({TOKEN})"), nested
        ),
        _numbers(kind),
        SQL("SELECT regexp_replace(t[1], '[ -]', '', 'g') FROM regexp_matches(f, {}, 'g') AS t").format(
            Quoted(f"({IBAN})")
        ),
    ]
    if kind != "nested":
        queries += [_single(kind), _several()]
    return SQL("SELECT form FROM ({}) AS all_forms (form) WHERE char_length(form) BETWEEN {} AND {}").format(
        SQL(" UNION ALL ").join(queries), Quoted(SHORTEST), Quoted(LONGEST + 2)
    )


def _numbers(kind: Kind) -> Composable:
    dialled = SQL("r ~ {}").format(Quoted(DIALLED)) if kind == "text" else SQL("true")
    return SQL(
        "SELECT '#' || rest FROM regexp_matches(CASE WHEN f ~ {enough} THEN f END, {number}, 'g') AS t,"
        " LATERAL (SELECT t[1] AS r, length(regexp_replace(t[1], '[^0-9]+', '', 'g')) AS many,"
        " ltrim(regexp_replace(replace(t[1], '(0)', ''), '[^0-9]+', '', 'g'), '0') AS digits OFFSET 0) AS d,"
        " LATERAL generate_series(1, CASE WHEN r ~ {abroad} THEN 4 ELSE 1 END) AS cut,"
        " LATERAL (SELECT ltrim(substr(digits, cut), '0') AS rest) AS c"
        " WHERE ((whole AND r = btrim(f)) OR (many >= {in_text} AND {dialled})) AND length(rest) BETWEEN {fewest} AND {most}"
    ).format(
        enough=Quoted(f"[0-9](?:[ ()/.-]{{0,3}}[0-9]){{{FEWEST_DIGITS - 1}}}"),
        number=Quoted(f"({NUMBER})"),
        abroad=Quoted(ABROAD),
        in_text=Quoted(IN_TEXT),
        dialled=dialled,
        fewest=Quoted(FEWEST_DIGITS),
        most=Quoted(MOST_DIGITS),
    )


def _single(kind: Kind) -> Composable:
    """Return the forms of a value that is a single token: the token, and the whole value if it is a single word."""
    return SQL(
        "SELECT unnest(CASE WHEN t !~ {mixed} THEN {plain} WHEN t ~ {letter} OR t ~ {ipv4} THEN ARRAY[t] END)"
        " FROM (SELECT CASE WHEN whole THEN (regexp_match(f, {single}))[1] END AS t OFFSET 0) AS s"
        " WHERE char_length(t) >= {shortest} AND strpos(t, '@') = 0"
    ).format(
        mixed=Quoted(MIXED),
        letter=Quoted(LETTER),
        ipv4=Quoted(IPV4),
        single=Quoted(SINGLE),
        shortest=Quoted(SHORTEST),
        plain=SQL("ARRAY['= ' || t, t]" if kind == "identifier" else "ARRAY['= ' || t]"),
    )


def _several() -> Composable:
    return SQL(
        "SELECT '= ' || string_agg(w, ' ' ORDER BY w COLLATE \"C\") FROM regexp_split_to_table(CASE WHEN whole"
        " AND f ~ {letter} AND (f !~ {single} OR strpos((regexp_match(f, {single}))[1], '@') > 0) THEN f END,"
        " {other}) AS w WHERE w <> '' HAVING sum(char_length(w)) >= {shortest}"
    ).format(other=Quoted(f"[{OTHER}]+"), single=Quoted(SINGLE), letter=Quoted(LETTER), shortest=Quoted(SHORTEST))


# What a text contains -------------------------------------------------------------------------------------------------

_OF_COPY = re.compile(r"\\[\\nrtbfv]")
_BREAK = re.compile(rf"\\+([nrtbfv])({WORD}*)", re.IGNORECASE)
_CODE = re.compile(
    r"\\+u(d[89ab][0-9a-f]{2})\\+u(d[c-f][0-9a-f]{2})|\\+(?:u([0-9a-f]{4})|u\{([0-9a-f]{1,6})\}|x([0-9a-f]{2}))",
    re.IGNORECASE,
)
_SLASH = re.compile(r"\\+/")
_PERCENT = re.compile(r"(?:%[0-9a-f]{2})+", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});", re.IGNORECASE)
_HIDDEN_AT, _HIDDEN, _HIDDEN_DOT = (
    re.compile(rf"[\[({{] ?(?:{word}) ?[\])}}]") for word in ("at?", "at?|dot|punkt", "dot|punkt")
)
_ROUNDS = 8  # of escapes within escapes


def plain(text: str) -> str:
    """Return `text` with the escapes of COPY, JSON, URLs and HTML undone at any depth, and folded. Lines stay lines."""
    if "\\" in text:
        text = _OF_COPY.sub(lambda found: "\\" if found.group() == "\\\\" else " ", text)
    for _ in range(_ROUNDS):
        before = text
        if "\\" in text:
            text = _BREAK.sub(_break_or_letter, _SLASH.sub("/", _CODE.sub(_character, text)))
        if "%" in text:
            text = _PERCENT.sub(lambda found: _on_one_line(unquote(found.group(), errors="replace")), text)
        if "&" in text:
            text = _ENTITY.sub(lambda found: _on_one_line(html.unescape(found.group())), text)
        if "=40" in text:  # quoted-printable
            text = text.replace("=40", "@")
        if text == before:
            break
    text = fold(text)
    if any(bracket in text for bracket in "([{") and _HIDDEN.search(text):
        text = _closed_up(_closed_up(text, _HIDDEN_AT, "@"), _HIDDEN_DOT, ".")
    return text.replace(" @ ", "@")


def _closed_up(text: str, hidden: re.Pattern[str], shown: str) -> str:
    """Return `text` with a hidden character shown, without spaces around it. PostgreSQL's texts contain no NUL."""
    return hidden.sub("\0", text).replace(" \0", "\0").replace("\0 ", "\0").replace("\0", shown)


def _break_or_letter(found: re.Match[str]) -> str:
    """Return both readings of a line break in JSON and a word after a backslash (`DOMAIN\\nadler`)."""
    letter, word = found.groups()
    return f" {letter}{word} {word}" if word else " "


def _character(found: re.Match[str]) -> str:
    high, low, *codes = found.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    code = int(next(code for code in codes if code), 16)
    return " " if code > 0x10FFFF or 0xD800 <= code < 0xE000 else _on_one_line(chr(code))


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").replace("\0", " ")


def forms_in(cells: Iterable[str], *, nested: bool, traits: Traits = ANY) -> set[str]:
    """Return all forms that occur in these values. `nested`: they contain values, each compared as a whole.

    Forms that have none of the `traits` are left out.
    """
    text = plain("\n".join(cells))
    found = {form for token in _tokens(text) for form in _token_forms(token, traits)}
    found.update(_MARKED.findall(text))
    digits = _with_digits(text)
    for number in _long_numbers(digits):
        if _may_hold(number, traits):
            for run in _runs(number):
                found.update(_number_forms(run))
    found.update(
        digits[place.start() - 2 : place.end()].replace(" ", "").replace("-", "")
        for place in _IBAN_BEHIND_LETTERS.finditer(digits)
    )
    for whole in traits.words_among(_wholes(text.encode(), nested=nested)):
        found.update(_words_form(whole.decode()))
    return found


def _tokens(text: str) -> set[str]:
    """Return the tokens that contain more than letters. Each word is read once, however often it occurs."""
    text = text.replace("\n", " ")
    behind = text.rfind
    words = {text[behind(" ", 0, place.start()) + 1 : place.end()] for place in _MARK.finditer(text)}
    long = " ".join(word for word in words if len(word) >= SHORTEST)
    return {token for token in _TOKEN.findall(long) if len(token) >= SHORTEST}


def _token_forms(token: str, traits: Traits) -> Iterable[str]:
    at = token.find("@")
    if at >= 0:
        return {token, *_within(token)} if traits.may_be_at(token[at:]) else ()
    return (token,) if traits.may_be_token(token) and _MIXED.search(token) else ()


def _with_digits(text: str) -> str:
    """Return the lines with at least as many digits as the shortest number or account."""
    lines = text.encode().split(b"\n")
    digits = text.encode().translate(None, _NO_DIGITS).split(b"\n")
    return b"\n".join(compress(lines, (len(each) >= FEWEST_DIGITS for each in digits))).decode()


def _long_numbers(text: str) -> set[str]:
    """Return the rows of digits that are long enough, with a `+` in front if they have one.

    Digits that touch letters belong to a hash or an identifier, unless the letters mark a number, as in `tel0664…`.
    """
    found = set()
    for place in _ROW.finditer(text):
        start, row = place.start(), place.group()
        if text[place.end() : place.end() + 1].isalpha():
            row = _LAST_GROUP.sub("", row)
        if text[start - 1 : start].isalpha() and not _DIAL_WORD.search(text[max(0, start - 10) : start]):
            row = _FIRST_GROUP.sub("", row)
        before = text[max(0, start - 2) : start]
        found.add("+" + row if before[-1:] == "+" or before == "+(" else row)
    return found


def _may_hold(number: str, traits: Traits) -> bool:
    """Return whether a searched number may end with a group of these digits."""
    digits = ""
    for group in number.lstrip("+").replace("(0)", "").translate(_CLOSED).split():
        digits += group
        if len(digits) >= FEWEST_DIGITS and traits.may_end(digits):
            return True
    return False


def _wholes(text: bytes, *, nested: bool) -> list[bytes]:
    """Return what is compared as a whole value: cells, and the pieces of documents."""
    cells = text.split(b"\n")
    found = {cell for cell in cells if len(cell) <= 8 * LONGEST}
    if not nested:
        text = (
            b"\n".join(cell for cell in cells if b'"' in cell or b"<" in cell) if b'"' in text or b"<" in text else b""
        )
    found.update(text.translate(_PIECES).split(b"\n"))
    return [whole for whole in found if len(whole) >= SHORTEST and (whole.islower() or not whole.isascii())]


def _within(token: str) -> Iterator[str]:
    """Yield addresses that touch other text: `text+` of a query string before, `.Next sentence` or `_` after."""
    for start in (0, *(place.end() for place in re.finditer("[+]", token.partition("@")[0]))):
        yield token[start:]
        ends = (place.start() for place in re.finditer("[._+-]", token) if place.start() > token.index("@"))
        yield from (token[start:end] for end in list(ends)[1:])


_GAPS = re.compile(r"[ /]+")
_CLOSED = str.maketrans("/", " ", "().-")
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789\n"))
_MOST_GROUPS = 8  # adjacent groups of digits that may be one number


def _runs(number: str) -> Iterator[str]:
    """Yield the row of digits and every series of its groups, because several numbers may be adjacent."""
    yield number
    groups = _GAPS.split(number)
    for start in range(len(groups)):
        for end in range(start + 1, min(len(groups), start + _MOST_GROUPS) + 1):
            yield " ".join(groups[start:end])


def _words_form(text: str) -> Iterator[str]:
    if len(text) >= SHORTEST and _LETTER.search(text):
        words = _WORDS.findall(text)
        if len(words) == 1:
            if not _MIXED.search(words[0]):
                yield words[0]
                yield f"= {words[0]}"
        elif words and not ("@" in text and (single := _SINGLE.match(text)) and "@" in single[1]):  # found as itself
            yield "= " + " ".join(sorted(words))
