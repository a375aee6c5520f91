"""Recognise personal data in a value or a text. Results are kinds, never the value itself.

Check digits are verified (python-stdnum), so that an order number is not taken for an IBAN. Most kinds are hints: ten per
cent of random digits pass a Luhn check. Callers must look at many values.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from ipaddress import ip_address, ip_interface
from itertools import pairwise

from stdnum import iban, luhn
from stdnum.at import tin, vnr
from stdnum.ch import ssn
from stdnum.de import idnr

from tasks.masking.words_personal import Kind as Kind

LONGEST = 20_000  # characters of a value that are read: it limits the time of a pattern

# Kinds of which one occurrence is proof: no other column contains one by chance.
CERTAIN = frozenset({Kind.EMAIL, Kind.IBAN, Kind.PASSWORD})

_EMAIL = r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_][\w-]{1,62}"
_IBAN = r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}"
_STREET = (
    r"[A-ZÄÖÜ][\w.äöüß-]{0,40}(?: [A-ZÄÖÜ]?[\w.äöüß-]{1,30}){0,3}?[ -]?"
    r"(?:[Ss]tra(?:ß|ss)e|[Ss]tr\.|[Gg]asse|[Ww]eg|[Pp]latz|[Aa]llee|[Rr]ing|[Dd]amm|[Uu]fer|[Zz]eile|[Ss]teig|[Kk]ai|[Hh]of)"
    r" {1,2}\d{1,4} ?[a-zA-Z]?(?:[/-]\d{1,4}){0,3}"
)
_INTERNATIONAL = r"(?:\+|00)[1-9]\d{0,2}[\d ()/.-]{6,20}\d"
_DOMESTIC = r"\(?0[1-9]\d{1,4}\)?[ /.-]{1,3}\d[\d /.-]{3,14}\d"
_CRYPT = (
    r"\$(?:2[abxy]?|argon2(?:id|i|d)|scrypt|[156]|y|pbkdf2[\w-]*)\$[\w./$=,+-]{20,}|"
    r"(?:pbkdf2|bcrypt|argon2)_?\w*\$[\w./$=,+-]{20,}"
)
_ISSUED = (
    r"eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]*|(?:sk|pk|rk)_(?:live|test)_\w{10,}|gh[pousr]_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[A-Z0-9]{16}|"
    r"AIza[\w-]{30,}|glpat-[\w-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----|\w{2,12}://[^\s:/@]{1,64}:[^\s:/@]{1,64}@"
)
_INSURANCE = r"\d{4} ?\d{6}"
_SOCIAL = r"756[.\d]{10,13}"

EMAIL, IBAN, STREET, CRYPT, ISSUED = map(re.compile, (_EMAIL, _IBAN, _STREET, _CRYPT, _ISSUED))
PHONE = re.compile(rf"{_INTERNATIONAL}|{_DOMESTIC}|0[1-9]\d{{7,12}}")
URL = re.compile(r"(?:https?|ftp)://[^\s/]+\S*|www\.[\w-]+\.\S+")
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
HEX = re.compile(r"(?:[0-9a-f]{2}){16,64}", re.IGNORECASE)
POSTCODE = re.compile(r"(?:(?:D|A|CH|DE|AT)[- ])?[1-9]\d{3}|(?:(?:D|DE)[- ])?\d{5}")
PLACE = re.compile(r"(?:(?:D|A|CH)-)?\d{4,5} [A-ZÄÖÜ][\w.äöüß /-]{1,40}")
DATE = re.compile(r"(?:19\d\d|20[0-2]\d)-(?:0[1-9]|1[0-2])-[0-3]\d|[0-3]?\d\.[01]?\d\.(?:19\d\d|20[0-2]\d)")
OPAQUE = re.compile(r"[\w+/=.~-]{20,512}")
PROSE = re.compile(r"\b(?!(?:von|van|de|der|den|zu|zur|und|di|da|del|la|al|el|ter|bin)\b)[a-zäöüß]{2,}")
DIGITS = re.compile(r"[\d .,/-]{9,24}")
LETTER = re.compile(r"[A-Za-z]")
PARTED = re.compile(r"[ ,.]")
MACHINE = re.compile(r"[0-9a-fA-F:./]+")
WORD = re.compile(r"[A-ZÄÖÜ][\w'äöüßéèáóçčšžćđ]{1,30}(?:-[A-ZÄÖÜ][\wäöüßéèáóç]{1,30})?")
TITLED = re.compile(
    r"\b(?:Frau|Herrn?|Fr\.|Hr\.|Mrs?\.|Ms\.|Dr\.|Mag\.|Prof\.|DI|Dipl\.-Ing\.)\s+(?:(?:Dr|Mag|Prof)\.\s+)*[A-ZÄÖÜ][a-zäöüß]{2,}"
)


def recognise_value(text: str) -> set[Kind]:
    """Return every kind that the whole value looks like; free text if it only contains something personal."""
    value = text.strip()[:LONGEST]
    if not value:
        return set()
    found = {kind for kind, pattern in _candidates(value) if pattern.fullmatch(value)}
    if Kind.IBAN in found and not iban.is_valid(value):
        found.discard(Kind.IBAN)
    found |= _numbers(value) | _ip_address(value)
    if value.lower() != value:
        found |= _person(value)
    if found.isdisjoint(NAMED) and _is_opaque(value):
        found.add(Kind.SECRET)
    if not found and ((value.count(" ") >= 5 and len(value) > 30) or recognise_in_text(value)):
        found.add(Kind.FREE_TEXT)
    return found


def _candidates(value: str) -> Iterator[tuple[Kind, re.Pattern[str]]]:
    """Yield the patterns that a value with this length and these characters may match: for most values none."""
    first, size = value[0], len(value)
    if "@" in value:
        yield Kind.EMAIL, EMAIL
    if "$" in value:
        yield Kind.PASSWORD, CRYPT
    if size >= SHORTEST_ISSUED:
        if first in "-Aegprsx" or "://" in value:
            yield Kind.SECRET, ISSUED
        if size == 36:
            yield Kind.UUID, UUID
        if 32 <= size <= 128:
            yield Kind.CHECKSUM, HEX
    if first in "hfw":
        yield Kind.URL, URL
    if DIGIT.search(value) is None:
        return
    if size <= 8:
        yield Kind.POSTCODE, POSTCODE
    if 8 <= size <= 10:
        yield Kind.BIRTH_DATE, DATE
    if first in "+(0":
        yield Kind.PHONE, PHONE
    if " " in value and (first.isdigit() or first in "DAC"):
        yield Kind.ADDRESS, PLACE
    if first.isupper():
        yield Kind.STREET, STREET
        yield Kind.IBAN, IBAN


DIGIT = re.compile(r"\d")
SHORTEST_ISSUED = 5  # characters of `ab://` and more
NAMED = frozenset(Kind) - {Kind.SECRET}


def recognise_in_text(text: str) -> set[Kind]:
    """Return every kind of personal data that occurs in a text, such as a comment or the body of a function."""
    found = {Kind.EMAIL} if "@" in text and EMAIL.search(text) else set()
    if "$" in text and CRYPT.search(text):
        found.add(Kind.PASSWORD)
    if ISSUED_INSIDE.search(text) and ISSUED.search(text):
        found.add(Kind.SECRET)
    if DIGIT.search(text):
        found |= _with_digits(text)
    if text.lower() != text and (TITLED.search(text) or any(_is_pair(*pair) for pair in _neighbours(text))):
        found.add(Kind.FULL_NAME)
    return found


# `ISSUED` matches only text with one of these.
ISSUED_INSIDE = re.compile(r"eyJ|_live_|_test_|gh[pousr]_|xox|AKIA|AIza|glpat-|-----BEGIN|://")


def _with_digits(text: str) -> set[Kind]:
    """Return the kinds in a text that consist of digits, at least in part."""
    rest = _without_ibans(text)
    found = {Kind.IBAN} if rest != text else set()
    if STREET.search(rest):
        found.add(Kind.STREET)
    if PHONE_INSIDE.search(rest):
        found.add(Kind.PHONE)
    for match in NUMBER_INSIDE.finditer(rest):
        found |= _numbers(match[0])
    return found


PHONE_INSIDE = re.compile(rf"(?<![\w.+-])(?:\+[1-9]\d{{0,2}}[\d ()/-]{{6,20}}\d|{_DOMESTIC})(?![\w.-])")
IBAN_INSIDE = re.compile(rf"\b{_IBAN}")
NUMBER_INSIDE = re.compile(rf"(?<![\w.-])(?:{_INSURANCE}|{_SOCIAL}|\d{{11}}|(?:\d{{4}}[ -]?){{3}}\d{{4}})(?![\w.-])")


def _without_ibans(text: str) -> str:
    """Return the text without valid IBANs, whose groups of digits look like phone numbers."""
    return IBAN_INSIDE.sub(lambda match: _after_iban(match[0]), text)


def _after_iban(found: str) -> str:
    """Return the rest of a match after its IBAN: in a sentence a match may include the next word."""
    parts = found.split(" ")
    ends = (end for end in range(len(parts), 0, -1) if iban.is_valid(" ".join(parts[:end])))
    return " ".join(parts[next(ends, 0) :])


def _numbers(value: str) -> set[Kind]:
    """Return the kinds whose check digits are right. Payment cards: ISO/IEC 7812; national numbers: as their offices define."""
    if not 9 <= len(value) <= 24 or not DIGITS.fullmatch(value):
        return set()
    digits = re.sub(r"\D", "", value)
    found = set()
    if 13 <= len(digits) <= 19 and digits[0] in "23456" and len(set(digits)) > 1 and luhn.is_valid(digits):
        found.add(Kind.CARD)
    insured = re.fullmatch(_INSURANCE, value) and vnr.is_valid(digits) and "01" <= digits[6:8] <= "12"
    taxed = (len(digits) == 11 and idnr.is_valid(digits)) or ("/" in value and tin.is_valid(value))
    if insured or taxed or (digits.startswith("756") and ssn.is_valid(value)):
        found.add(Kind.NATIONAL_ID)
    return found


def _ip_address(value: str) -> set[Kind]:
    dotted = value.count(".") >= 3 or value.count(":") >= 2
    if not dotted or len(value) > 49 or not MACHINE.fullmatch(value):
        return set()
    try:
        ip_interface(value) if "/" in value else ip_address(value)
    except ValueError:
        return set()
    return {Kind.IP}


def _is_opaque(value: str) -> bool:
    """Return whether a value is long, mixes letters and digits and is not language: Shannon entropy of 3.5 bits or more."""
    if len(value) < 20 or not OPAQUE.fullmatch(value) or not (DIGIT.search(value) and LETTER.search(value)):
        return False
    if not any(len(run) >= 16 for run in re.split(r"[./=_-]", value)):
        return False  # words joined by dots or dashes: a slug, a path, a version
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values()) >= 3.5


@lru_cache
def _names() -> tuple[frozenset[str], frozenset[str]]:
    """Return Faker's first and last names for the languages of the people in our databases."""
    first: set[str] = set()
    last: set[str] = set()
    for locale in ("de_DE", "de_AT", "de_CH", "en_US", "tr_TR", "hr_HR", "pl_PL", "it_IT", "fr_FR"):
        provider = import_module(f"faker.providers.person.{locale}").Provider
        first |= {name for name in provider.first_names if len(name) > 2}
        last |= {name for name in provider.last_names if len(name) > 2}
    return frozenset(first), frozenset(last)


def _is_pair(before: str, after: str) -> bool:
    """Return whether the two words are a first name and a last name, in either order."""
    first, last = _names()
    return (before in first and after in last) or (before in last and after in first)


def _neighbours(text: str) -> Iterator[tuple[str, str]]:
    if not PARTED.search(text):
        return
    words = list(WORD.finditer(text))
    for before, after in pairwise(words):
        if text[before.end() : after.start()] in (" ", ", ", "."):
            yield before[0], after[0]


def _person(value: str) -> set[Kind]:
    """Return kinds by dictionary: a single word is a weak hint (`Rose`), a first name with a last name a good one."""
    if len(value) > 80 or value.count(" ") > 4:
        return set()
    first, last = _names()
    found = {kind for kind, names in ((Kind.FIRST_NAME, first), (Kind.LAST_NAME, last)) if value in names}
    titled = TITLED.match(value) is not None and value.count(" ") <= 3
    named = not PROSE.search(value) and any(_is_pair(*pair) for pair in _neighbours(value))
    return found | ({Kind.FULL_NAME} if titled or named else set())
