"""Unique keys after masking are proven before the first byte, or the plan is refused."""

from typing import Any

import pytest

from tasks.dumps.unique_keys import key_faults
from tasks.estate.schema import Column, Key, KeyKind, Name, Table
from tasks.masking.makers import parse
from tasks.masking.makers.maker import Place

ID = Column(name="id", type="bigint", base="int8", category="N", not_null=True)
EMAIL = Column(name="email", type="text", base="text", category="S", not_null=True)
PRIMARY = Key(name="pk", kind=KeyKind.PRIMARY, columns=("id",))


def faults(maker: Any, *keys: Key, rows: int = 1000, columns: tuple[str, ...] = ("email",)) -> list[str]:
    """Why masking these columns could break these keys."""
    table = Table(
        name=Name(schema_name="public", name="users"),
        columns=(ID, EMAIL),
        unique_keys=(PRIMARY, *keys),
        estimated_rows=rows,
    )
    found = {name: table.column(name) for name in columns}
    masked = {
        name: (parse(maker), Place(table=table, column=column, group="g")) for name, column in found.items() if column
    }
    return list(map(str, key_faults(table, masked)))


def unique(*columns: str, **more: Any) -> Key:
    """A unique index."""
    return Key(name="users_key", kind=more.pop("kind", KeyKind.UNIQUE), columns=columns, **more)


@pytest.mark.parametrize(
    "maker", ["email", {"maker": "email", "form": "hash"}, {"maker": "hash", "chars": 32}, "uuid", {"maker": "token"}]
)
def test_makers_with_a_value_for_each_row_keep_a_unique_column(maker: Any) -> None:
    """Values made from the row's key, or from enough bits of the keyed hash, are unique."""
    assert faults(maker, unique("email")) == []


@pytest.mark.parametrize("maker", ["last_name", "blank", "scrub", "first_name", {"maker": "hash", "chars": 8}, "city"])
def test_makers_that_repeat_are_refused_on_a_unique_column(maker: Any) -> None:
    """Pools, constants and short hashes collide, and the message names column, maker and key."""
    (fault,) = faults(maker, unique("email"))
    assert "users.email" in fault
    assert "users_key" in fault


def test_the_birthday_bound_counts_the_rows() -> None:
    """Sixteen hexadecimal digits serve thousands of rows and not hundreds of millions."""
    maker = {"maker": "email", "form": "hash"}
    assert faults(maker, unique("email"), rows=1000) == []
    assert faults(maker, unique("email"), rows=300_000_000)


def test_a_key_that_holds_without_the_masked_column_allows_anything() -> None:
    """If the other columns are unique by themselves, the masked one may repeat."""
    assert faults("blank", unique("id", "email")) == []


def test_an_index_over_lower_case_accepts_results_in_one_case() -> None:
    """lower(email) stays unique under the makers of addresses; other computations are not trusted."""
    lower = unique(expressions=True, computed=("email",), folded=("email",), formulas=("lower(email)",))
    cut = unique(expressions=True, computed=("email",), formulas=('"left"(email, 5)',))
    assert faults("email", lower) == []
    assert 'computes "left"(email, 5) with it' in faults("email", cut)[0]


def test_no_maker_is_proven_for_an_exclusion_constraint() -> None:
    """An exclusion constraint does not compare for equality alone."""
    key = unique("email", kind=KeyKind.EXCLUSION)
    assert "exclusion constraint" in faults({"maker": "hash", "chars": 64}, key)[0]


def test_a_partial_index_counts_like_a_whole_one() -> None:
    """Rows outside the predicate do not make the others unique."""
    key = unique("email", predicate=True, conditions=("deleted_at",))
    assert faults("blank", key)
