"""E-mail addresses that cannot receive mail and that stay as unique as the rows are."""

import re
from typing import Annotated, Literal

from psycopg.sql import SQL, Composable, Identifier
from psycopg.sql import Literal as Quoted
from pydantic import Field

from tasks.estate.dumps import Anonymizer
from tasks.estate.schema import Column
from tasks.masking.makers.maker import (
    DIGITS,
    Maker,
    Place,
    Row,
    Uniqueness,
    canonical,
    is_unique,
    text_of,
    text_problems,
)
from tasks.masking.session_settings import Session

DOMAIN = "staging.local"
SAFE_IN_AN_ADDRESS = re.compile(r"int[248]|uuid")  # key types whose text is a valid local part as it stands


class Email(Maker):
    """`user-<id>@staging.local` of the row's own single-column primary key (or of `by`), or `u<hash>@staging.local`.

    Form `id` is unique if the key is; form `hash` (of the value: equal addresses stay equal) serves tables without
    a single-column key, and columns that refer to an address elsewhere. `chars` is the hash's length: 16 are 64 bits.
    """

    maker: Literal["email"] = "email"
    anonymizer: Anonymizer | None = Anonymizer.EMAIL
    form: Literal["id", "hash"] = "id"
    domain: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")] = DOMAIN
    chars: Annotated[int, Field(ge=8, le=64)] = 16

    def _owner(self, place: Place) -> Column | None:
        return place.by or place.primary

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        domain = Quoted(f"@{self.domain}")
        owner = self._owner(place)
        if self.form == "hash" or owner is None:
            return SQL("'u' || {} || {}").format(session.hex(place.group, place.message, self.chars), domain)
        message = place.message if place.by else text_of(owner, Identifier(owner.name))
        return SQL("'user-' || {} || {}").format(message, domain)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        owner = self._owner(place)
        if self.form == "hash" or owner is None:
            return f"u{session.hex_of(place.group, place.message_of(original, row), self.chars)}@{self.domain}"
        key = place.message_of(original, row) if place.by else canonical(owner, row[owner.name] or "")
        return f"user-{key}@{self.domain}"

    def problems(self, place: Place) -> list[str]:
        """Require room for the longest result and, for form `id`, a key whose text is valid in an address."""
        owner = self._owner(place)
        if self.form == "hash":
            return text_problems(place, 1 + self.chars + 1 + len(self.domain))
        if owner is None:
            return [*text_problems(place), f"{place.table.name} needs a single-column primary key, `by`, or form: hash"]
        found = text_problems(place, len("user-@") + DIGITS.get(owner.base, 0) + len(self.domain))
        if not SAFE_IN_AN_ADDRESS.fullmatch(owner.base) or owner.array:
            found.append(f"{owner.name} is {owner.type}; form: id needs an integer or uuid, or use form: hash")
        if place.by is not None and not place.by.not_null:
            found.append(f"{owner.name} can be NULL; form: id needs a column that cannot, or use form: hash")
        return found

    def uniqueness(self, place: Place) -> Uniqueness:
        """Return `unique` if made of a key, except inside arrays and documents: one row may have many addresses there."""
        owner = self._owner(place)
        if self.form == "id" and owner is not None and is_unique(place.table, owner) and place.expression is None:
            return "unique"
        return "collides"

    def space(self, place: Place) -> float:
        """Return four bits for each digit of a hash, and 0 for an owner that repeats."""
        return 4.0 * self.chars if self.form == "hash" else 0.0
