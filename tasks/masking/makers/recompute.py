"""Columns that are computed from other columns of their row: computed again, from the masked values.

`{recompute: "lower(title)"}` is SQL over the masked row, `{recompute: trigger}` leaves it to the target's own trigger.
"""

from typing import Annotated, Any, Literal

from psycopg.sql import SQL, Composable
from pydantic import AfterValidator, Field

from tasks.masking.makers.expression import SqlOnly
from tasks.masking.makers.maker import Nothing, Place
from tasks.masking.session_settings import Session
from tasks.masking.sql_tokens import Token, called, columns_in, faults_of_expression, tokens

BY_TRIGGER = "trigger"
WHOLE_COLUMN = "recompute works on a whole column, not on a member of it"


def with_maker(given: Any) -> Any:
    """Return a rule with its maker named: a bare word, or the short form `{recompute: …}`, names it implicitly."""
    if isinstance(given, str):
        return {"maker": given}
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


class Recompute(SqlOnly):
    """An SQL expression over the masked row: other columns of the table, as they arrive on the target.

    The plan proves on all rows that the results keep unique keys.
    """

    maker: Literal["recompute"] = "recompute"
    recompute: Annotated[str, Field(min_length=1), AfterValidator(_one_row_expression)]

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
        """Return the expression. `tasks.dumps.masking_sql` binds its names to the masked columns."""
        return SQL("({})").format(SQL(self.recompute))

    def problems(self, place: Place) -> list[str]:
        """Return why the expression cannot be computed from the masked row, as far as its names show."""
        if place.expression is not None:
            return [WHOLE_COLUMN]
        generated = {column.name for column in place.table.columns if column.generated}
        found = [f"recompute reads {place.column.name} itself"] if place.column.name in self.reads else []
        found += [
            f"recompute reads the generated column {name}; name what it is computed from"
            for name in sorted(self.reads & generated)
        ]
        return found


class ByTrigger(Nothing):
    """NULL in the dump; the target's own trigger computes the value from the masked row while rows are written."""

    maker: Literal["trigger"] = "trigger"

    def problems(self, place: Place) -> list[str]:
        """Refuse a member of a column. The plan checks that the table has such a trigger."""
        return [WHOLE_COLUMN] if place.expression is not None else []
