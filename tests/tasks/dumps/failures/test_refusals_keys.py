"""Unique keys and masks: which columns a key really reads comes from the catalogue."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.estate.errors import PolicyRefused

Pairs = Callable[..., Any]
USERS = (
    'CREATE TABLE u (id bigint PRIMARY KEY, name text, username text, "Email" text, phone text, main boolean, n int);'
)
RULES = (
    "u: {id: keep, name: full_name, username: keep, Email: {maker: email, form: id}, phone: phone, main: keep, n: keep}"
)
ROWS = """INSERT INTO u SELECT n, 'Same Name', 'user' || n, 'A' || n || '@firma.example', '030 1234' || n, n % 2 = 0, n
    FROM generate_series(1, 20) n"""

HEALTHY = {
    "name inside username": "CREATE UNIQUE INDEX k ON u (lower(username))",
    "a column in capitals": 'CREATE UNIQUE INDEX k ON u (lower("Email"))',
    "upper case": 'CREATE UNIQUE INDEX k ON u (upper("Email"))',
    "named like the table": "CREATE UNIQUE INDEX phone ON u (n) WHERE main",
    "the condition reads the key": 'CREATE UNIQUE INDEX k ON u ("Email") WHERE "Email" <> \'\'',
    "one part is unique": 'CREATE UNIQUE INDEX k ON u (lower("Email"), name)',
    "included only": "CREATE UNIQUE INDEX k ON u (n) INCLUDE (name)",
    "a column's name as a literal": "CREATE UNIQUE INDEX k ON u ((username || 'name'))",
    "a function named like a column": "CREATE FUNCTION name(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
    "CREATE UNIQUE INDEX k ON u (public.name(username))",
    "kept and computed": "CREATE UNIQUE INDEX k ON u (lower(btrim(username)), n)",
}
SLUG = (
    "ALTER TABLE u ADD slug text GENERATED ALWAYS AS (lower(phone) || '-x') STORED; CREATE UNIQUE INDEX k ON u (slug)"
)
WHOLE = "CREATE FUNCTION hashed(u) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT hashtext($1.name)';"
BROKEN = {
    "a computation": (
        "CREATE UNIQUE INDEX k ON u (lower(btrim(name)))",
        r"u\.name: .* k computes lower\(btrim\(name\)\)",
    ),
    "the whole row": (
        WHOLE + "CREATE UNIQUE INDEX k ON u (hashed(u))",
        r"u\.name: the unique index k computes .*hashed",
    ),
    "a masked condition": (
        "CREATE UNIQUE INDEX k ON u (n) WHERE phone LIKE '030%'",
        r"u\.phone: .* k covers only rows that",
    ),
    "lower case that repeats": ("CREATE UNIQUE INDEX k ON u (lower(name), main)", r"u\.name: .*the unique k"),
    "an exclusion": (
        "ALTER TABLE u ADD CONSTRAINT k EXCLUDE (lower(phone) WITH =)",
        r"u\.phone: the exclusion constraint k",
    ),
    "a generated column": (SLUG, r"u\.phone: .* k computes"),
}
LEAVES = """CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (50) TO (100);"""


@pytest.mark.parametrize("case", HEALTHY)
def test_a_key_that_masks_cannot_break_is_loaded(pair: Pairs, case: str) -> None:
    """The names of columns in an index's text, in its name or in literals do not count; the load agrees."""
    made = pair(USERS + HEALTHY[case], RULES, ROWS)
    made.load(made.export())
    assert made.ask("SELECT count(*) FROM u") == [(20,)]


@pytest.mark.parametrize("case", BROKEN)
def test_a_key_that_masks_may_break_is_refused_with_its_reason(pair: Pairs, case: str) -> None:
    """The message names table, column, index and what the index computes."""
    index, why = BROKEN[case]
    made = pair(USERS + index, RULES)
    with pytest.raises(PolicyRefused, match=why):
        made.plan()


def test_a_key_of_one_partition_counts_there_and_proves_nothing_elsewhere(pair: Pairs) -> None:
    """A unique index of a leaf is named with its leaf, and the root's rows are not unique because of it."""
    made = pair(LEAVES + "CREATE UNIQUE INDEX k ON p1 (v)", "p: {id: keep, v: city}")
    with pytest.raises(PolicyRefused, match=r"p\.v on the partition p1: .*the unique k"):
        made.plan()
