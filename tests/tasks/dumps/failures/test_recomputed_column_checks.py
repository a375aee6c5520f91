"""Expressions over the masked row: what they may read, and that their results fit the column and its keys."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.estate.errors import PolicyRefused
from tests.tasks.dumps.failures.articles_table import ARTICLES, ROWS, policy_with, refusal

Make = Callable[..., Any]
FUNCTIONS = """CREATE FUNCTION peek(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT max(title) FROM public.articles';
    CREATE FUNCTION fine(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';"""


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("nothing || 'x'", 'column "nothing" does not exist'),
        ("articles.title", ""),
        ("slug || 'x'", "reads slug itself"),
        ("ctid::text", 'column "ctid" does not exist'),
        ("lower(title", "parentheses do not match"),
        ("title; DROP TABLE x", "stray ;"),
        ("title -- x", "comment"),
        ("(SELECT max(title) FROM articles)", "sub-select"),
        ("(TABLE articles)", "sub-select"),
        ("title || random()", "volatile"),
        ("max(title)", "aggregate"),
        ("lag(title) OVER ()", "window function"),
        ("regexp_split_to_table(title, ' ')", "several rows"),
        ("current_setting('search_path')", "reads more than the row"),
        ("public.peek(title)", "not IMMUTABLE"),
        ("public.fine(title)", ""),
        ("articles::text", ""),
        ("1 / (id - 1)", "division by zero"),
        ("title ~ 'a;b'", ""),
        ("U&'x'", ""),
    ],
)
def test_an_expression_reads_one_masked_row_and_nothing_else(pair: Make, expression: str, why: str) -> None:
    """What reads more, or differs between two tries, is refused at the plan by name."""
    schema = f"{ARTICLES}{FUNCTIONS}"
    policy = policy_with(f'{{recompute: "{expression}"}}')
    if not why:
        made = pair(schema, policy, ROWS)
        made.load(made.export())
        assert made.ask("SELECT count(*) FROM articles WHERE slug ~* 'mustermann'") == [(0,)]
    else:
        with pytest.raises(PolicyRefused) as caught:
            pair(schema, policy, ROWS + ", (3, 'a', 'b', 'c')").plan()
        assert why in caught.value.message
        assert "slug" in caught.value.message


def test_recomputed_values_must_keep_unique_keys(pair: Make) -> None:
    """All rows are read, and the message explains what to add. A partial key is checked on its own rows."""
    schema = ARTICLES + "CREATE UNIQUE INDEX one ON articles (lower(slug)) WHERE tag <> 'x';"
    rows = "INSERT INTO articles SELECT i, 'Title ' || i, CASE WHEN i < 3 THEN 'y' ELSE 'x' END, 's' || i FROM generate_series(1, 9) i"
    refusal(
        pair(schema, policy_with("""{recompute: "tag || ''"}"""), rows), "articles.slug", "one must be unique", "|| id"
    )
    made = pair(schema, policy_with("""{recompute: "tag || least(id, 3)"}"""), rows)
    made.load(made.export())
    assert made.ask("SELECT count(DISTINCT slug) FROM articles") == [(3,)]


def test_a_recomputed_column_must_fit(pair: Make) -> None:
    """NOT NULL, lengths and CHECKs hold for recomputed values, too."""
    schema = "CREATE TABLE articles (id int PRIMARY KEY, title text, tag text, slug varchar(5) NOT NULL CHECK (slug <> 'no'))"
    rows = "INSERT INTO articles VALUES (1, 'Erika', 'abcdefgh', 'x')"
    for expression, why in (("nullif(tag, tag)", "NULL, but the column is NOT NULL"), ("tag", "more than 5 characters"),
                            ("left('no' || tag, 2)", "CHECK")):  # fmt: skip
        refusal(pair(schema, policy_with(f'{{recompute: "{expression}"}}'), rows), "articles.slug", why)


def test_names_of_the_schema_never_reach_the_real_row(pair: Make) -> None:
    """Quoted names, names like the table's own and keywords as columns stand for the masked row."""
    schema = """CREATE TABLE "Order" (id int PRIMARY KEY, "Order" text, "select" text, slug text)"""
    rows = """INSERT INTO "Order" VALUES (1, 'Erika Mustermann', 'Max Mustermann', 'x')"""
    policy = """Order: {id: keep, Order: scrub, select: scrub, slug: {recompute: '"Order"."Order" || "select"'}}"""
    made = pair(schema, policy, rows)
    made.load(made.export())
    assert made.ask("""SELECT slug = "Order" || "select", slug ~ 'Mustermann' FROM "Order" """) == [(True, False)]
