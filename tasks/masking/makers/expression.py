"""An SQL expression from the policy, for columns that no other maker serves."""

from typing import Annotated, Literal

from psycopg.sql import SQL, Composable, Composed
from pydantic import AfterValidator, Field

from tasks.estate.errors import Misconfigured
from tasks.masking.makers.maker import Maker, Place, Row
from tasks.masking.session_settings import Session

COLUMN = "{column}"


def _one_expression(text: str) -> str:
    """Require that the expression cannot swallow what follows it. Not a sandbox: the policy is reviewed."""
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


class SqlOnly(Maker):
    """A maker without a Python form: it cannot mask a raw dump while it is loaded. Its results may collide."""

    @property
    def has_python_twin(self) -> bool:
        """Always false."""
        return False

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """Raise `Misconfigured`: the plan refuses such a load earlier."""
        raise Misconfigured(
            f"{place.table.name}.{place.column.name} is masked with SQL, which cannot run on a raw dump while it is loaded.",
            next_step="Nothing was loaded. Export with the anonymizers on, or use another maker for the column.",
        )


class Expression(SqlOnly):
    """An SQL expression over the row; `{column}` is replaced by the quoted column. It must not read rows of other tables."""

    maker: Literal["sql"] = "sql"
    expression: Annotated[str, Field(min_length=1), AfterValidator(_one_expression)]

    def sql(self, place: Place, session: Session) -> Composable:
        """Return the expression in parentheses."""
        first, *rest = map(SQL, self.expression.split(COLUMN))
        return SQL("({})").format(Composed([first, *(each for part in rest for each in (place.read, part))]))
