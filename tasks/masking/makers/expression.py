"""The way out: an SQL expression from the policy, for what no maker does."""

from typing import Annotated, Literal

from psycopg.sql import SQL, Composable
from pydantic import AfterValidator, Field

from tasks.estate.errors import Misconfigured
from tasks.masking.makers.maker import Maker, Place, Row, Uniqueness
from tasks.masking.session import Session

COLUMN = "{column}"


def _one_expression(text: str) -> str:
    """Not a sandbox (the policy is reviewed), only a guard against an expression that swallows what comes after it."""
    for forbidden in (";", "--", "/*"):
        if forbidden in text:
            raise ValueError(f"contains {forbidden!r}; expected one expression without comments")
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    if depth != 0:
        raise ValueError("parentheses do not match")
    return text


class Expression(Maker):
    """An SQL expression over the row; `{column}` stands for the column, quoted. It must not read other tables' rows.

    Has no Python form: a raw dump cannot be masked with it on its way in. Nothing is known of its uniqueness.
    """

    maker: Literal["sql"] = "sql"
    expression: Annotated[str, Field(min_length=1), AfterValidator(_one_expression)]

    @property
    def has_python_twin(self) -> bool:
        """Never."""
        return False

    def sql(self, place: Place, session: Session) -> Composable:
        """The expression in parentheses."""
        parts = [SQL(part) for part in self.expression.split(COLUMN)]
        return SQL("({})").format(_joined(parts, place.read))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """Raises `Misconfigured`: the plan should have refused before."""
        raise Misconfigured(
            f"{place.table.name}.{place.column.name} is masked by SQL, which a raw dump cannot be on its way in.",
            next_step="Nothing was loaded. Export with the anonymizers on, or give the column another maker.",
        )

    def uniqueness(self, place: Place) -> Uniqueness:
        """Unknown, so: collides, with no bits to count on."""
        return "collides"


def _joined(parts: list[SQL], column: Composable) -> Composable:
    whole: Composable = parts[0]
    for part in parts[1:]:
        whole = whole + column + part
    return whole
