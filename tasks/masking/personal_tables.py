"""What the table tells of a column: whose it is, and what stands beside it."""

from dataclasses import dataclass
from functools import lru_cache

from tasks.estate.tables import Column, Table
from tasks.masking.personal_columns import spelling
from tasks.masking.personal_values import Kind
from tasks.masking.words_personal import (
    ADDRESS_PARTS,
    CARDS,
    HEADERS,
    HISTORY,
    IN_PEOPLE,
    ORGANISATIONS,
    OTHER_ADDRESS_PARTS,
    PEOPLE,
    SECRETS,
    SPLIT_CARD,
    STORED_SECRET,
    THEIR_NAME,
    UNIT_OF_PEOPLE,
    VALUES,
    WRITINGS,
)
from tasks.masking.words_technical import CATALOGUE, SENSITIVE, SENSITIVE_ROW, STAFF, TERMS


@dataclass(frozen=True)
class Home:
    """A table as its name and its columns' names describe it."""

    spelled: str
    people: bool  # its rows are people, or belong to one each
    staff: bool
    terms: bool  # its rows are words of the application: roles, types, countries
    catalogue: bool  # terms whose descriptions are for the public: products, zones
    sensitive: bool  # numbers and dates in it tell of somebody: absences, treatments
    addressed: bool  # it has parts of a postal address
    bounded: bool  # it has texts of a declared length, so that one without is prose or a document


def home_of(table: Table) -> Home:
    """Return what the table's name and columns tell. Tables of equal names and columns are looked at once."""
    return _home(
        table.name.name, tuple(column.name for column in table.columns), any(c.base == "varchar" for c in table.columns)
    )


@lru_cache(maxsize=4096)
def _home(name: str, columns: tuple[str, ...], bounded: bool) -> Home:
    spelled = spelling(name)
    row = "".join(spelling(column) for column in columns)
    terms = TERMS.search(spelled) is not None
    return Home(
        spelled=spelled,
        people=PEOPLE.search(spelled) is not None and not terms,
        staff=STAFF.search(spelled) is not None,
        terms=terms,
        catalogue=CATALOGUE.search(spelled) is not None,
        sensitive=bool(SENSITIVE.search(spelled) or SENSITIVE_ROW.search(row)),
        addressed=len({found[0] for found in ADDRESS_PARTS.finditer(row)}) >= 2,
        bounded=bounded,
    )


def kind_by_home(home: Home, column: Column) -> Kind | None:
    """Return what a column holds of which only the table tells: `state` beside `city`, `from` in a message."""
    if column.category != "S" and not column.array:
        return None
    name = spelling(column.name)
    if home.addressed and OTHER_ADDRESS_PARTS.search(name):
        return Kind.ADDRESS
    if home.people and IN_PEOPLE.search(name):
        return Kind.TRAIT
    if home.people and UNIT_OF_PEOPLE.search(name) and not name.endswith("_id_"):
        return Kind.COMPANY
    return next((kind for kind, where, words in BY_TABLE if words.search(name) and where.search(home.spelled)), None)


# What a column is called in which tables, and what it then holds.
BY_TABLE = (
    (Kind.EMAIL, WRITINGS, HEADERS),
    (Kind.FREE_TEXT, HISTORY, VALUES),
    (Kind.SECRET, SECRETS, STORED_SECRET),
    (Kind.CARD, CARDS, SPLIT_CARD),
    (Kind.COMPANY, ORGANISATIONS, THEIR_NAME),
)
