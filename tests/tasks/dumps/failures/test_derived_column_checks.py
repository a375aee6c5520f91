"""Derived columns: a kept column that is computed from masked ones is named at the plan, and can be computed again."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.estate.dumps import Anonymizer, Choices
from tasks.estate.errors import DumpRefused, NotLoaded
from tests.tasks.dumps.failures.articles_table import ARTICLES, ROWS, policy_with, refusal

Make = Callable[..., Any]
SLUG = """CREATE FUNCTION slugged() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.slug := lower(replace(NEW.title, ' ', '-')); RETURN NEW; END $$;
  CREATE TRIGGER slugged BEFORE INSERT OR UPDATE ON articles FOR EACH ROW EXECUTE FUNCTION slugged();"""


def test_a_slug_that_a_trigger_derives_from_a_masked_title_is_refused(pair: Make) -> None:
    """Schema, table, column, what it reads, and the remedy are named."""
    made = pair(ARTICLES + SLUG, policy_with("keep"), ROWS)
    refusal(
        made,
        "articles.slug (text) is kept and derives from articles.title",
        "scrub",
        "the trigger slugged",
        "recompute",
    )


def test_a_derived_column_with_a_reviewed_reason_is_accepted(pair: Make) -> None:
    """`accept` names the pair, with a reason."""
    more = "accept:\n- {source: articles.title, found: articles.slug, reason: Titles are public}\n"
    assert pair(ARTICLES + SLUG, policy_with("keep"), ROWS, more=more).plan().tables


@pytest.mark.parametrize("slug", ["keep", "hash", "'null'"])
def test_a_slug_of_a_kept_title_is_fine(pair: Make, slug: str) -> None:
    """Nothing is derived from a masked column, or the derived column is masked itself."""
    title = "keep" if slug == "keep" else "scrub"
    made = pair(ARTICLES + SLUG, policy_with(slug).replace("scrub", title), ROWS)
    made.load(made.export())


def test_a_slug_is_recomputed_from_the_masked_title(pair: Make) -> None:
    """The expression sees the masked row; NULL stays NULL, and the leak search finds nothing."""
    made = pair(ARTICLES + SLUG, policy_with("""{recompute: "lower(replace(title, ' ', '-')) || '-' || id"}"""), ROWS)
    made.load(made.export())
    ((title, slug), (none, nothing)) = made.ask("SELECT title, slug FROM articles ORDER BY id")
    assert "Mustermann" not in title
    assert slug == title.lower().replace(" ", "-") + "-1"
    assert none is nothing is None
    assert not made.found


def test_the_trigger_of_staging_recomputes_it(pair: Make) -> None:
    """`recompute: trigger`: NULL travels, and the trigger, left on for this, sets it from the masked row."""
    made = pair(
        ARTICLES + SLUG, policy_with("{recompute: trigger}"), ROWS, old="INSERT INTO articles VALUES (7, 'a', 'b')"
    )
    facts = made.export()
    made.load(facts)
    ((title, slug), *_) = made.ask("SELECT title, slug FROM articles ORDER BY id")
    assert slug == title.lower().replace(" ", "-")
    assert made.ask("SELECT tgenabled::text FROM pg_trigger WHERE NOT tgisinternal") == [("O",)]


def test_a_trigger_that_staging_lacks_is_named_before_the_approval(pair: Make) -> None:
    """The plan of the load is refused: the column would stay NULL."""
    made = pair(ARTICLES + SLUG, policy_with("{recompute: trigger}"), ROWS)
    facts = made.export()
    made.change("DROP TRIGGER slugged ON articles")
    with pytest.raises(DumpRefused, match=r"articles\.slug is to be computed by a trigger of staging: no trigger"):
        made.load(facts)


def test_a_trigger_that_writes_elsewhere_is_not_left_on(pair: Make) -> None:
    """It would change rows that are no part of the load."""
    schema = ARTICLES + SLUG.replace("RETURN NEW", "DELETE FROM articles WHERE id < 0; RETURN NEW")
    refusal(pair(schema, policy_with("{recompute: trigger}"), ROWS), "articles.slug", "writes other rows")


def test_a_tsvector_trigger_is_recognised_by_its_arguments(pair: Make) -> None:
    """One of masked columns is refused, or recomputed by the trigger; one of kept columns stays."""
    schema = """CREATE TABLE articles (id int PRIMARY KEY, title text, tag text, words tsvector, tags tsvector);
        CREATE TRIGGER a BEFORE INSERT OR UPDATE ON articles FOR EACH ROW EXECUTE FUNCTION
          tsvector_update_trigger(words, 'pg_catalog.simple', title, tag);
        CREATE TRIGGER b BEFORE INSERT OR UPDATE ON articles FOR EACH ROW EXECUTE FUNCTION
          tsvector_update_trigger(tags, 'pg_catalog.simple', tag);"""
    rows = "INSERT INTO articles VALUES (1, 'Brief an Erika Mustermann', 'letter')"
    policy = "articles: {id: keep, title: scrub, tag: keep, words: WORDS, tags: keep}"
    message = refusal(
        pair(schema, policy.replace("WORDS", "keep"), rows), "articles.words (tsvector)", "articles.title"
    )
    assert "articles.tags" not in message
    made = pair(schema, policy.replace("WORDS", "{recompute: trigger}"), rows)
    made.load(made.export())
    ((words, tags),) = made.ask("SELECT words::text, tags::text FROM articles")
    assert "mustermann" not in words
    assert "letter" in words
    assert tags == "'letter':1"


def test_a_tsvector_is_recomputed_in_sql(pair: Make) -> None:
    """Not every tsvector has a trigger; the words of the kept column are no false alarm."""
    schema = "CREATE TABLE articles (id int PRIMARY KEY, title text, tag text, words tsvector)"
    rows = """INSERT INTO articles SELECT i, t, 'letter', to_tsvector('simple', t || ' letter')
        FROM generate_series(1, 9) i, (VALUES ('Brief an Erika Mustermann')) v (t)"""
    policy = "articles: {id: keep, title: scrub, tag: keep, words: WORDS}"
    refusal(
        pair(schema, policy.replace("WORDS", "keep"), rows),
        "articles.words (tsvector)",
        "contains words of articles.title",
    )
    made = pair(
        schema, policy.replace("WORDS", """{recompute: "to_tsvector('simple', concat_ws(' ', title, tag))"}"""), rows
    )
    made.load(made.export())
    assert made.ask("SELECT count(*) FROM articles WHERE words::text ~ 'mustermann' OR words::text !~ 'letter'") == [
        (0,)
    ]


@pytest.mark.parametrize(("column", "value"), [("slug", "replace(lower(name), ' ', '-')"), ("gravatar", "md5(lower(name))"),
                                               ("normalized_name", "upper(name)"), ("name_lower", "lower(name)")])  # fmt: skip
def test_a_column_that_the_application_derives_is_found_by_its_rows(pair: Make, column: str, value: str) -> None:
    """Its name suggests that it is derived. From what, only the rows show."""
    schema = f"CREATE TABLE people (id int PRIMARY KEY, name text, {column} text, search text)"
    names = "SELECT id, 'Erika Muster' || id AS name FROM generate_series(1, 5) id"
    rows = "INSERT INTO people SELECT id, name, VALUE, 'north' FROM (NAMES) n"
    rows = rows.replace("VALUE", value).replace("NAMES", names)
    policy = f"people: {{id: keep, name: full_name, {column}: keep, search: keep}}"
    message = refusal(
        pair(schema, policy, rows), f"people.{column} (text) is kept and contains words of people.name", "in 5 of 5"
    )
    assert "people.search" not in message
    accepted = f"accept:\n- {{source: people.name, found: people.{column}, reason: looked at it}}\n"
    assert pair(schema, policy, rows, more=accepted).plan().tables


def test_a_copy_in_another_table_is_refused(pair: Make) -> None:
    """A trigger copies the masked name into posts, and whole rows into a history."""
    schema = """CREATE TABLE people (id int PRIMARY KEY, name text, city text);
        CREATE TABLE posts (id int PRIMARY KEY, person int, author text, place text);
        CREATE TABLE history (id int PRIMARY KEY, old jsonb);
        CREATE FUNCTION copied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          UPDATE posts SET author = NEW.name, place = NEW.city WHERE person = NEW.id;
          INSERT INTO history (id, old) VALUES (NEW.id, to_jsonb(OLD)); RETURN NULL; END $$;
        CREATE TRIGGER copied AFTER UPDATE ON people FOR EACH ROW EXECUTE FUNCTION copied();"""
    policy = """people: {id: keep, name: {maker: full_name, group: p, by: id}, city: keep}
posts: {id: keep, person: keep, author: AUTHOR, place: keep}
history: {id: keep, old: OLD}"""
    message = refusal(
        pair(schema, policy.replace("AUTHOR", "keep").replace("OLD", "keep")),
        "posts.author (text) is kept and derives from people.name", "history.old (jsonb) is kept and derives from people.name",
    )  # fmt: skip
    assert "posts.place" not in message
    masked = policy.replace("AUTHOR", "{maker: full_name, group: p, by: person}").replace("OLD", "'null'")
    assert pair(schema, masked).plan().tables


def test_an_embedding_in_a_table_with_masked_texts_is_refused(pair: Make) -> None:
    """What it was computed from is not known. With kept texts only, or with a reviewed reason, it is allowed."""
    schema = "CREATE DOMAIN vector AS real[]; CREATE TABLE a (id int PRIMARY KEY, t text, embedding vector)"
    policy = "a: {id: keep, t: scrub, embedding: keep}"
    refusal(pair(schema, policy), "a.embedding (public.vector) is kept and holds an embedding", "a.t")
    assert pair(schema, policy.replace("scrub", "keep")).plan().tables
    assert pair(schema, policy.replace("embedding: keep", "embedding: 'null'")).plan().tables
    more = "accept:\n- {source: a.t, found: a.embedding, reason: computed from titles}\n"
    assert pair(schema, policy, more=more).plan().tables


def test_a_generated_column_is_named_and_computed_by_the_target(pair: Make) -> None:
    """It is not exported. The plan names the masked column from which the target computes it."""
    schema = "CREATE TABLE a (id int PRIMARY KEY, t text, u text GENERATED ALWAYS AS (upper(t)) STORED)"
    made = pair(schema, "a: {id: keep, t: scrub}", "INSERT INTO a VALUES (1, 'Erika Mustermann')")
    assert "a.u is generated: the target computes it from a.t, which is masked (scrub)" in made.plan().notes
    made.load(made.export())
    assert made.ask("SELECT u = upper(t), u ~ 'MUSTERMANN' FROM a") == [(True, False)]


def test_a_virtual_column_is_named_too(pair: Make) -> None:
    """PostgreSQL 18 computes generated columns when they are read."""
    schema = "CREATE TABLE a (id int PRIMARY KEY, t text, u text GENERATED ALWAYS AS (upper(t)) VIRTUAL)"
    made = pair("CREATE TABLE a (id int)", "a: {id: keep, t: scrub}")
    if made.ask("SHOW server_version_num") < [("180000",)]:
        pytest.skip("virtual columns came with PostgreSQL 18")
    made = pair(schema, "a: {id: keep, t: scrub}", "INSERT INTO a VALUES (1, 'Erika Mustermann')")
    assert any("a.u is generated" in note for note in made.plan().notes)
    made.load(made.export())
    assert made.ask("SELECT u = upper(t) FROM a") == [(True,)]


def test_what_is_recomputed_from_raw_values_is_not_left_behind(pair: Make) -> None:
    """A dump with names in clear is masked on its way in; the slug of the names cannot be, so that the load is refused."""
    schema = "CREATE TABLE people (id int PRIMARY KEY, name text, slug text)"
    policy = "people: {id: keep, name: full_name, slug: {recompute: 'lower(name)'}}"
    made = pair(schema, policy, "INSERT INTO people VALUES (1, 'Erika Mustermann', 'x')")
    facts = made.export(Choices(opted_out=(Anonymizer.NAMES,)))
    with pytest.raises(DumpRefused, match=r"people\.slug"):
        made.load(facts)
    made.load(facts, opted_out=(Anonymizer.NAMES,))
    assert made.ask("SELECT name FROM people") == [("Erika Mustermann",)]


def test_a_partitioned_table_is_recomputed_through_its_root(pair: Make) -> None:
    """Rows are read leaf by leaf, and the trigger of the root fires for each."""
    schema = (
        """CREATE TABLE articles (id int, title text, tag text, slug text, lower text) PARTITION BY RANGE (id);
        CREATE TABLE a1 PARTITION OF articles FOR VALUES FROM (0) TO (10);
        CREATE TABLE a2 PARTITION OF articles FOR VALUES FROM (10) TO (20);"""
        + SLUG
    )
    policy = "articles: {id: keep, title: scrub, tag: keep, slug: {recompute: trigger}, lower: {recompute: 'upper(articles.title)'}}"
    made = pair(
        schema, policy, "INSERT INTO articles SELECT i, 'Erika Mustermann ' || i, 'x' FROM generate_series(5, 14) i"
    )
    made.change("UPDATE articles SET lower = lower(title)", "source")
    made.load(made.export())
    good = "SELECT count(*) FROM articles WHERE slug = lower(replace(title, ' ', '-')) AND lower = upper(title)"
    assert made.ask(good) == [(10,)]


def test_a_trigger_that_is_not_understood_is_a_note(pair: Make) -> None:
    """SQL that is built at run time may copy anything, so that a note names the trigger."""
    schema = ARTICLES + SLUG.replace("RETURN NEW", "EXECUTE 'SELECT 1'; RETURN NEW")
    made = pair(schema, policy_with("hash"), ROWS)
    assert any("slugged on articles derives is not known" in note for note in made.plan().notes)


def test_a_unique_column_that_the_trigger_fills_twice_rolls_back(pair: Make) -> None:
    """Only the rows show it. Staging stays as it was."""
    schema = ARTICLES.replace("slug text", "slug text UNIQUE") + SLUG.replace("NEW.title", "NEW.tag")
    rows = "INSERT INTO articles VALUES (1, 'a', 'b'), (2, 'a', 'c')"
    made = pair(schema, policy_with("{recompute: trigger}"), rows)
    assert any("not unique shows then" in note for note in made.plan().notes)
    other = "CREATE OR REPLACE FUNCTION slugged() RETURNS trigger LANGUAGE plpgsql AS "
    made.change(other + "$$ BEGIN NEW.slug := left(NEW.title, 0); RETURN NEW; END $$")
    before = made.contents()
    with pytest.raises(NotLoaded, match="articles_slug_key"):
        made.load(made.export())
    assert made.contents() == before


def test_a_copy_by_a_rule_is_refused(pair: Make) -> None:
    """A rewrite rule copies the masked name; of kept columns it may."""
    schema = """CREATE TABLE people (id int PRIMARY KEY, name text); CREATE TABLE log (id int, was text);
        CREATE RULE logged AS ON UPDATE TO people WHERE old.name <> new.name DO ALSO INSERT INTO log VALUES (old.id, old.name);"""
    message = refusal(
        pair(schema, "people: {id: keep, name: full_name}\nlog: keep"), "the rule logged on people sets it"
    )
    assert "log.was (text) is kept and derives from people.name" in message
    assert "log.id" not in message
    assert pair(schema, "people: keep\nlog: keep").plan().tables


def test_a_copy_of_a_table_that_does_not_travel_is_a_note(pair: Make) -> None:
    """Whether it is personal is not known, so that a note names it."""
    schema = """CREATE TABLE people (id int PRIMARY KEY, name text); CREATE TABLE posts (id int PRIMARY KEY, author text);
        CREATE FUNCTION copied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          SELECT name INTO NEW.author FROM people WHERE people.id = NEW.id; RETURN NEW; END $$;
        CREATE TRIGGER copied BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION copied();"""
    notes = pair(schema, "people: drop\nposts: keep").plan().notes
    assert any("posts.author is kept and derives from people.name, which does not travel" in note for note in notes)


def test_a_conditional_trigger_may_leave_a_column_null(pair: Make) -> None:
    """If the column must not be NULL, the plan is refused; otherwise NULL is what the condition means."""
    trigger = SLUG.replace("FOR EACH ROW EXECUTE", "FOR EACH ROW WHEN (NEW.tag = 'x') EXECUTE")
    refusal(
        pair(ARTICLES.replace("slug text", "slug text NOT NULL") + trigger, policy_with("{recompute: trigger}")),
        "under a condition",
    )
    assert pair(ARTICLES + trigger, policy_with("{recompute: trigger}"), ROWS).plan().tables
