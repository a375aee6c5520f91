"""Columns that are computed from other columns of their row: computed again, from the masked values.

`{recompute: "lower(title)"}` is SQL over the masked row, `{recompute: trigger}` leaves it to the target's own trigger.
"""

from typing import Annotated, Any, Literal

from psycopg.sql import SQL, Composable
from pydantic import AfterValidator, Field

from tasks.estate.errors import Misconfigured
from tasks.masking.makers.maker import Maker, Place, Row, Uniqueness
from tasks.masking.session import Session
from tasks.masking.sql_tokens import Token, called, columns_in, faults_of_expression, tokens

BY_TRIGGER = "trigger"
WHOLE_COLUMN = "recompute works on a whole column, not on a member of it"


def spelled_out(given: Any) -> Any:
    """Return the mapping with its maker, if it is the short form `{recompute: …}`."""
    if not isinstance(given, dict) or "recompute" not in given or "maker" in given:
        return given
    if given["recompute"] == BY_TRIGGER:
        return {**{key: value for key, value in given.items() if key != "recompute"}, "maker": BY_TRIGGER}
    return {**given, "maker": "recompute"}


def _one_row_expression(text: str) -> str:
    faults = faults_of_expression(text)
    if faults:
        raise ValueError(f"{faults[0]}; expected one expression over the columns of the row")
    return text


class Recompute(Maker):
    """An SQL expression over the masked row: other columns of the table, as they arrive on the target.

    It exists in SQL only: a raw dump cannot be masked with it on its way in. The plan proves on all rows that its results
    keep unique keys.
    """

    maker: Literal["recompute"] = "recompute"
    recompute: Annotated[str, Field(min_length=1), AfterValidator(_one_row_expression)]

    @property
    def has_python_twin(self) -> bool:
        """Never."""
        return False

    @property
    def tokens(self) -> list[Token]:
        """Return the tokens of the expression."""
        return tokens(self.recompute)

    @property
    def reads(self) -> set[str]:
        """Return every name in the expression that may be a column."""
        return columns_in(self.tokens)

    @property
    def calls(self) -> set[str]:
        """Return the functions that the expression calls, without their schemas."""
        return called(self.tokens)

    def sql(self, place: Place, session: Session) -> Composable:
        """Return the expression. What its names stand for is for `tasks.dumps.masking_sql` to say: the masked columns."""
        return SQL("({})").format(SQL(self.recompute))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """Raise `Misconfigured`: the plan refuses this before."""
        raise Misconfigured(
            f"{place.table.name}.{place.column.name} is recomputed in SQL, which a raw dump cannot be on its way in.",
            next_step="Nothing was loaded. Export with the anonymizers on, or give the column another maker.",
        )

    def problems(self, place: Place) -> list[str]:
        """Return why the expression cannot be computed from the masked row, as far as names alone tell."""
        if place.expression is not None:
            return [WHOLE_COLUMN]
        generated = {column.name for column in place.table.columns if column.generated}
        told = [f"recompute reads {place.column.name} itself"] if place.column.name in self.reads else []
        told += [
            f"recompute reads the generated column {name}; name what it is computed from"
            for name in sorted(self.reads & generated)
        ]
        return told

    def uniqueness(self, place: Place) -> Uniqueness:
        """Return `collides`: the rows themselves are the proof."""
        return "collides"


class ByTrigger(Maker):
    """NULL in the dump; the target's own trigger computes the value from the masked row while rows are written."""

    maker: Literal["trigger"] = "trigger"

    def sql(self, place: Place, session: Session) -> Composable:
        """Return NULL."""
        return SQL("NULL")

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """Return None."""
        return None

    def problems(self, place: Place) -> list[str]:
        """Return a problem for a member of a column; whether there is such a trigger is for the plan to say."""
        return [WHOLE_COLUMN] if place.expression is not None else []

    def uniqueness(self, place: Place) -> Uniqueness:
        """Return `collides`: PostgreSQL tells when the rows are written."""
        return "collides"
