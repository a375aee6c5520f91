"""What a column holds by its name, in its table: the words of the vocabulary, and how a name is spelled for them."""

import re
from functools import lru_cache

from tasks.masking.words_personal import ABOUT, HASHED, NAME_RULES, PEOPLE, TEXT_RULE, WRITINGS, Kind
from tasks.masking.words_technical import CATALOGUE, TERM_TEXT, TERMS


@lru_cache(maxsize=32768)
def spelling(name: str) -> str:
    """A name as the vocabulary's rules read it: `geburtsDatum` and `Geburts-Datum` are both `_geburts_datum_`."""
    parted = re.sub(r"(?<=[a-zäöüß\d])(?=[A-ZÄÖÜ])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    plain = parted.lower().translate(UMLAUTS)
    return f"_{re.sub(r'[^a-z0-9]+', '_', plain).strip('_')}_"


UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e"})


def recognise_name(table: str, column: str, comment: str | None) -> Kind | None:
    """What a column holds by its name, in its table, or by its comment where the name says nothing; None: no idea.

    `name` is a person's in a table of people and nobody's in a table of rooms; `title` is free text among messages.
    The type is not looked at: `email_confirmed` as a boolean is for the caller to see.
    """
    name, home = spelling(column), spelling(table)
    kind, about = _kind_of_name(name)
    if about:
        return None
    terms = TERMS.search(home) is not None
    if kind is Kind.FULL_NAME and terms and "display_name" in name:
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
    if comment:
        told = spelling(comment)
        return next((kind for kind, words in NAME_RULES if kind in TELLING and words.search(told)), None)
    return None


# What a message, a ticket or an appointment is about. In a table of their kinds, `name` is a word of the application.
TITLE = re.compile(r"title|titel|subject|_topic|thema|^_name_$")
HEADLINE = re.compile(r"title|titel|subject|event_name")
# A text whose name ends so is a mark or a code, whatever it is of: `error_code`, `message_id`.
POINTING = re.compile(r"_(codes?|ids?|type|format|count|version|color|tag)_$")


@lru_cache(maxsize=16384)
def _kind_of_name(name: str) -> tuple[Kind | None, bool]:
    """What a spelling means wherever it stands, and whether it only says something about a thing."""
    if ABOUT.search(name):
        return None, True
    kind = next((kind for kind, words in NAME_RULES if words.search(name)), None)
    if kind is Kind.FULL_NAME and name.endswith(("_id_", "_ids_")):
        return None, True  # `author_id` points at a person; it names nobody
    if kind is Kind.SECRET and name.endswith("credential_id_"):
        return None, True
    hashed = kind is not None and HASHED.search(name)
    if hashed and kind not in (Kind.PASSWORD, Kind.CHECKSUM, Kind.ATTACHMENT, Kind.FILE_NAME):
        return Kind.SECRET, False
    return kind, False


# Kinds for which a word in a comment's prose is enough; `size` or `link` in a sentence mean anything.
TELLING = frozenset(Kind) - {
    Kind.SIZE, Kind.URL, Kind.ATTACHMENT, Kind.FILE_NAME, Kind.MIME_TYPE, Kind.CITY, Kind.COMPANY, Kind.CHECKSUM, Kind.TRAIT,
}  # fmt: skip
