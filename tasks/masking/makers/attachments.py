"""Attachments: the content becomes a stub file of its MIME type; stored sizes and checksums fit that file."""

import base64
import hashlib
from typing import Literal

from psycopg.sql import SQL, Composable, Identifier
from psycopg.sql import Literal as Quoted

from tasks.estate.dumps import Anonymizer
from tasks.masking.makers.maker import Maker, Place, Row, Uniqueness, length_problems, text_of, text_problems
from tasks.masking.makers.numbers import INTEGERS
from tasks.masking.makers.stub_files import DEFAULT, stub_for, stubs
from tasks.masking.session_settings import Session


class OfStub(Maker):
    """A property of the stub file for the MIME type in the row's `mime_column`, or of the 1x1 PNG without that column.

    Size and checksum columns must name the same `mime_column` as the content, or they do not fit it.
    """

    anonymizer: Anonymizer | None = Anonymizer.ATTACHMENTS
    mime_column: str | None = None

    def _text(self, stub: bytes, place: Place) -> str:
        raise NotImplementedError

    def _typed(self, text: str, place: Place) -> Composable:
        return SQL("{}::{}").format(Quoted(text), SQL("bytea" if place.column.base == "bytea" else "text"))

    def sql(self, place: Place, session: Session) -> Composable:
        """Return a literal, or a choice between literals."""
        otherwise = self._typed(self._text(stubs()[DEFAULT], place), place)
        mime = place.table.column(self.mime_column) if self.mime_column is not None else None
        if mime is None:
            return otherwise
        text = SQL("coalesce({}, '')").format(text_of(mime, Identifier(mime.name)))
        plain = SQL("lower(btrim(split_part({}, ';', 1)) COLLATE \"C\")").format(text)
        cases = SQL(" ").join(
            SQL("WHEN {} THEN {}").format(Quoted(kind), self._typed(self._text(stub, place), place))
            for kind, stub in stubs().items()
            if kind != DEFAULT
        )
        return SQL("CASE {} {} ELSE {} END").format(plain, cases, otherwise)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        return self._text(stub_for((row.get(self.mime_column) or "") if self.mime_column else ""), place)

    def problems(self, place: Place) -> list[str]:
        """Require that the MIME column exists and that the result fits the column."""
        if self.mime_column is not None and place.table.column(self.mime_column) is None:
            return [*self._fits(place), f"{place.table.name} has no column {self.mime_column!r}"]
        return self._fits(place)

    def _fits(self, place: Place) -> list[str]:
        found = text_problems(place, also=("bytea",))
        return found if place.column.base == "bytea" else found + length_problems(place, self._longest(place))

    def _longest(self, place: Place) -> int:
        used = stubs().values() if self.mime_column is not None else [stubs()[DEFAULT]]
        return max(len(self._text(stub, place)) for stub in used)

    def uniqueness(self, place: Place) -> Uniqueness:
        """Return `constant` without a MIME column; with one, there are a dozen results."""
        return "constant" if self.mime_column is None else "collides"


class Placeholder(OfStub):
    """The stub file itself, in bytea; in text columns as base64."""

    maker: Literal["placeholder"] = "placeholder"

    def _text(self, stub: bytes, place: Place) -> str:
        return f"\\x{stub.hex()}" if place.column.base == "bytea" else base64.b64encode(stub).decode()


class PlaceholderSize(OfStub):
    """The size of the stub file in bytes, for columns that store the size of an attachment."""

    maker: Literal["placeholder_size"] = "placeholder_size"

    @property
    def is_numeric(self) -> bool:
        """The result is a bigint."""
        return True

    def _text(self, stub: bytes, place: Place) -> str:
        return str(len(stub))

    def _typed(self, text: str, place: Place) -> Composable:
        return SQL("{}::bigint").format(Quoted(int(text)))

    def _fits(self, place: Place) -> list[str]:
        return text_problems(place, self._longest(place), also=(*INTEGERS, "numeric"))


class PlaceholderChecksum(OfStub):
    """The checksum of the stub file, for columns that store one: hexadecimal, or its bytes in bytea."""

    maker: Literal["placeholder_checksum"] = "placeholder_checksum"
    algorithm: Literal["md5", "sha1", "sha256", "sha512"] = "sha256"

    def _text(self, stub: bytes, place: Place) -> str:
        digest = hashlib.new(self.algorithm, stub, usedforsecurity=False).hexdigest()
        return f"\\x{digest}" if place.column.base == "bytea" else digest
