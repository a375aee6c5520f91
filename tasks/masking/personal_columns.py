"""What a column contains, as far as its name and its table show: see the words in `words_personal` and `words_technical`."""

import re
from dataclasses import dataclass
from functools import lru_cache

from tasks.estate.schema import Column, Table
from tasks.masking.words_personal import (
    ABOUT,
    ADDRESS_PARTS,
    CARDS,
    HASHED,
    HEADERS,
    HISTORY,
    IN_PEOPLE,
    NAME_RULES,
    ORGANISATIONS,
    OTHER_ADDRESS_PARTS,
    PEOPLE,
    SECRETS,
    SPLIT_CARD,
    STORED_SECRET,
    TEXT_RULE,
    THEIR_NAME,
    UNIT_OF_PEOPLE,
    VALUES,
    WRITINGS,
    Kind,
)
from tasks.masking.words_technical import CATALOGUE, SENSITIVE, SENSITIVE_ROW, STAFF, TERM_TEXT, TERMS

UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e"})
# The subject of a message, a ticket or an appointment. In a table of their types, `name` is a term of the application.
TITLE = re.compile(r"title|titel|subject|_topic|thema|^_name_$")
HEADLINE = re.compile(r"title|titel|subject|event_name")
# A text with such an ending is a mark or a code: `error_code`, `message_id`.
POINTING = re.compile(r"_(codes?|ids?|type|format|count|version|color|tag)_$")
# Kinds for which a word in a comment is enough; `size` or `link` in a sentence can mean anything.
IN_COMMENTS = frozenset(Kind) - {
    Kind.SIZE, Kind.URL, Kind.ATTACHMENT, Kind.FILE_NAME, Kind.MIME_TYPE, Kind.CITY, Kind.COMPANY, Kind.CHECKSUM, Kind.TRAIT,
}  # fmt: skip
# Kind, names of tables, and names of columns that have this kind in such tables.
IN_TABLES = (
    (Kind.EMAIL, WRITINGS, HEADERS),
    (Kind.FREE_TEXT, HISTORY, VALUES),
    (Kind.SECRET, SECRETS, STORED_SECRET),
    (Kind.CARD, CARDS, SPLIT_CARD),
    (Kind.COMPANY, ORGANISATIONS, THEIR_NAME),
)


@lru_cache(maxsize=32768)
def spelling(name: str) -> str:
    """Return a name as the rules read it: `geburtsDatum` and `Geburts-Datum` are both `_geburts_datum_`."""
    parted = re.sub(r"(?<=[a-zäöüß\d])(?=[A-ZÄÖÜ])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    plain = parted.lower().translate(UMLAUTS)
    return f"_{re.sub(r'[^a-z0-9]+', '_', plain).strip('_')}_"


def recognise_name(table: str, column: str, comment: str | None) -> Kind | None:
    """Return the kind of a column by its name and its table, or by its comment if the name shows nothing; else None.

    `name` is a person's in a table of people and not in a table of rooms; `title` is free text in a table of messages. The
    type is not considered: the caller handles a boolean `email_confirmed`.
    """
    name, home = spelling(column), spelling(table)
    kind, about = _kind_of_name(name)
    terms = TERMS.search(home) is not None
    if about or (kind is Kind.FULL_NAME and terms and "display_name" in name):
        return None
    if kind is not None:
        return kind
    if CATALOGUE.search(home) and TERM_TEXT.search(name):
        return None
    if TEXT_RULE.search(name) and not POINTING.search(name):
        return Kind.FREE_TEXT
    if WRITINGS.search(home) and (HEADLINE if terms else TITLE).search(name):
        return Kind.FREE_TEXT
    if PEOPLE.search(home) and not terms and name in ("_name_", "_names_", "_label_", "_bezeichnung_"):
        return Kind.FULL_NAME
    if not comment:
        return None
    text = spelling(comment)
    return next((kind for kind, words in NAME_RULES if kind in IN_COMMENTS and words.search(text)), None)


@lru_cache(maxsize=16384)
def _kind_of_name(name: str) -> tuple[Kind | None, bool]:
    """Return the kind of a spelling in any table, and whether it names only a property of a thing."""
    if ABOUT.search(name):
        return None, True
    kind = next((kind for kind, words in NAME_RULES if words.search(name)), None)
    if kind is Kind.FULL_NAME and name.endswith(("_id_", "_ids_")):
        return None, True  # `author_id` refers to a person and contains no name
    if kind is Kind.SECRET and name.endswith("credential_id_"):
        return None, True
    hashed = kind is not None and HASHED.search(name)
    if hashed and kind not in (Kind.PASSWORD, Kind.CHECKSUM, Kind.ATTACHMENT, Kind.FILE_NAME):
        return Kind.SECRET, False
    return kind, False


@dataclass(frozen=True)
class TableTraits:
    """A table as its name and its columns' names describe it."""

    spelled: str
    people: bool  # its rows are people, or each belongs to one
    staff: bool
    terms: bool  # its rows are terms of the application: roles, types, countries
    catalogue: bool  # terms whose descriptions are public: products, zones
    sensitive: bool  # its numbers and dates reveal something about a person: absences, treatments
    addressed: bool  # it has parts of a postal address
    bounded: bool  # it has texts with a declared length, so that one without is prose or a document


def traits_of(table: Table) -> TableTraits:
    """Return what the names of a table and of its columns show. The result is cached."""
    columns = tuple(column.name for column in table.columns)
    return _traits(table.name.name, columns, any(column.base == "varchar" for column in table.columns))


@lru_cache(maxsize=4096)
def _traits(name: str, columns: tuple[str, ...], bounded: bool) -> TableTraits:
    spelled = spelling(name)
    row = "".join(map(spelling, columns))
    terms = TERMS.search(spelled) is not None
    return TableTraits(
        spelled=spelled,
        people=PEOPLE.search(spelled) is not None and not terms,
        staff=STAFF.search(spelled) is not None,
        terms=terms,
        catalogue=CATALOGUE.search(spelled) is not None,
        sensitive=bool(SENSITIVE.search(spelled) or SENSITIVE_ROW.search(row)),
        addressed=len({found[0] for found in ADDRESS_PARTS.finditer(row)}) >= 2,
        bounded=bounded,
    )


def kind_by_table(traits: TableTraits, column: Column) -> Kind | None:
    """Return the kind that a column has only in such a table: `state` next to `city`, `from` in a message."""
    if column.category != "S" and not column.array:
        return None
    name = spelling(column.name)
    if traits.addressed and OTHER_ADDRESS_PARTS.search(name):
        return Kind.ADDRESS
    if traits.people and IN_PEOPLE.search(name):
        return Kind.TRAIT
    if traits.people and UNIT_OF_PEOPLE.search(name) and not name.endswith("_id_"):
        return Kind.COMPANY
    return next((kind for kind, home, words in IN_TABLES if words.search(name) and home.search(traits.spelled)), None)
