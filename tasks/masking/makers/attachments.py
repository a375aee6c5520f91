"""Attachments: the content becomes a stub of its own MIME type; stored sizes and checksums are made to fit."""

import base64
import hashlib
from typing import Literal

from psycopg.sql import SQL, Composable, Identifier
from psycopg.sql import Literal as Quoted

from tasks.estate.dumps import Anonymizer
from tasks.masking.makers.maker import Maker, Place, Row, Uniqueness, length_problems, text_of, text_problems
from tasks.masking.makers.numbers import INTEGERS
from tasks.masking.makers.stub_files import DEFAULT, stub_for, stubs
from tasks.masking.session import Session


class OfStub(Maker):
    """Something told of the stub for the MIME type in the row's `mime_column`, or of the 1x1 PNG where there is none.

    Size and checksum columns must name the same `mime_column` as the content, or they do not fit it.
    """

    anonymizer: Anonymizer | None = Anonymizer.ATTACHMENTS
    mime_column: str | None = None

    def _told(self, stub: bytes, place: Place) -> str:
        raise NotImplementedError

    def _typed(self, told: str, place: Place) -> Composable:
        return SQL("{}::text").format(Quoted(told))

    def sql(self, place: Place, session: Session) -> Composable:
        """A literal, or a choice between some."""
        otherwise = self._typed(self._told(stubs()[DEFAULT], place), place)
        mime = place.table.column(self.mime_column) if self.mime_column is not None else None
        if mime is None:
            return otherwise
        text = SQL("coalesce({}, '')").format(text_of(mime, Identifier(mime.name)))
        plain = SQL("lower(btrim(split_part({}, ';', 1)) COLLATE \"C\")").format(text)
        cases = SQL(" ").join(
            SQL("WHEN {} THEN {}").format(Quoted(kind), self._typed(self._told(stub, place), place))
            for kind, stub in stubs().items()
            if kind != DEFAULT
        )
        return SQL("CASE {} {} ELSE {} END").format(plain, cases, otherwise)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        return self._told(stub_for((row.get(self.mime_column) or "") if self.mime_column else ""), place)

    def problems(self, place: Place) -> list[str]:
        """The MIME column must exist, and the result must fit the column."""
        if self.mime_column is not None and place.table.column(self.mime_column) is None:
            return [*self._fits(place), f"{place.table.name} has no column {self.mime_column!r}"]
        return self._fits(place)

    def _fits(self, place: Place) -> list[str]:
        raise NotImplementedError

    def _longest(self, place: Place) -> int:
        used = stubs().values() if self.mime_column is not None else [stubs()[DEFAULT]]
        return max(len(self._told(stub, place)) for stub in used)

    def uniqueness(self, place: Place) -> Uniqueness:
        """Constant, or one of a dozen."""
        return "constant" if self.mime_column is None else "collides"


class Placeholder(OfStub):
    """The stub itself, in bytea; in text columns as base64."""

    maker: Literal["placeholder"] = "placeholder"

    def _told(self, stub: bytes, place: Place) -> str:
        return f"\\x{stub.hex()}" if place.column.base == "bytea" else base64.b64encode(stub).decode()

    def _typed(self, told: str, place: Place) -> Composable:
        """Of type bytea for bytea columns."""
        return SQL("{}::{}").format(Quoted(told), SQL("bytea" if place.column.base == "bytea" else "text"))

    def _fits(self, place: Place) -> list[str]:
        found = text_problems(place, also=("bytea",))
        return found if place.column.base == "bytea" else found + length_problems(place, self._longest(place))


class PlaceholderSize(OfStub):
    """How many bytes the stub has, for columns that store the size of an attachment."""

    maker: Literal["placeholder_size"] = "placeholder_size"

    @property
    def gives_number(self) -> bool:
        """A bigint."""
        return True

    def _told(self, stub: bytes, place: Place) -> str:
        return str(len(stub))

    def _typed(self, told: str, place: Place) -> Composable:
        """Of type bigint."""
        return SQL("{}::bigint").format(Quoted(int(told)))

    def _fits(self, place: Place) -> list[str]:
        return text_problems(place, self._longest(place), also=(*INTEGERS, "numeric"))


class PlaceholderChecksum(OfStub):
    """The stub's checksum, for columns that store one: hexadecimal, or its bytes in bytea."""

    maker: Literal["placeholder_checksum"] = "placeholder_checksum"
    algorithm: Literal["md5", "sha1", "sha256", "sha512"] = "sha256"

    def _told(self, stub: bytes, place: Place) -> str:
        digest = hashlib.new(self.algorithm, stub, usedforsecurity=False).hexdigest()
        return f"\\x{digest}" if place.column.base == "bytea" else digest

    def _typed(self, told: str, place: Place) -> Composable:
        """Of type bytea for bytea columns."""
        return SQL("{}::{}").format(Quoted(told), SQL("bytea" if place.column.base == "bytea" else "text"))

    def _fits(self, place: Place) -> list[str]:
        found = text_problems(place, also=("bytea",))
        return found if place.column.base == "bytea" else found + length_problems(place, self._longest(place))
