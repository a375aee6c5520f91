"""The writes of triggers: assignments, copies into other tables, what is unknown, and which triggers can stay on."""

from typing import Any

import pytest

from tasks.estate.schema import Catalog, Column, DatabaseIdentity, Function, Name, Table, Trigger
from tasks.masking.derived_columns import derived_columns, left_on
from tasks.masking.trigger_writes import TriggerWrites


def table(name: str, *columns: str) -> Table:
    """Return a table with these text columns."""
    made = tuple(Column(name=each, type="text", base="text", category="S") for each in columns)
    return Table(name=Name(schema_name="public", name=name), columns=made)


def catalog(source: str, *functions: tuple[str, str], **options: Any) -> Catalog:
    """Return a database with users, posts, a history of users, and a trigger on users with this body."""
    trigger = Trigger(name="keep", table=Name(schema_name="public", name="users"), source=source, **options)
    identity = DatabaseIdentity(
        host="h", port=1, database="d", database_oid=1, system_identifier="1", server_version=180000
    )
    return Catalog(
        identity=identity,
        tables=(
            table("users", "id", "name", "email", "slug", "stamp", "Sort Key"),
            table("posts", "id", "user_id", "title", "author", "words"),
            table("history", "id", "name", "mail", "who"),
        ),
        triggers=(trigger,),
        functions=tuple(
            Function(name=Name(schema_name="public", name=name), language="plpgsql", volatility="v", source=body)
            for name, body in functions
        ),
    )


def written(source: str, *functions: tuple[str, str], **options: Any) -> dict[str, set[str]]:
    """Return the columns that the trigger writes, each with those that it reads."""
    found = catalog(source, *functions, **options)
    writes = TriggerWrites(found, found.triggers[0])
    return {f"{t}.{c}": {f"{a}.{b}" for a, b in reads} for (t, c), reads in writes.written.items()}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("BEGIN NEW.slug := lower(NEW.name); RETURN NEW; END", {"users.slug": {"users.name"}}),
        ("begin new.slug = lower(new.name); return new; end", {"users.slug": {"users.name"}}),
        ('BEGIN NEW."Sort Key" := NEW.name || NEW.id; END', {"users.Sort Key": {"users.name", "users.id"}}),
        ("BEGIN NEW.slug := coalesce(NEW.slug, NEW.name); END", {"users.slug": {"users.name"}}),
        (
            "BEGIN -- NEW.slug := NEW.email;\n /* NEW.slug := NEW.email; */ NEW.slug := 'NEW.email'; END",
            {"users.slug": set()},
        ),
        ("BEGIN NEW.stamp := now(); NEW.slug := NEW.name; END", {"users.stamp": set(), "users.slug": {"users.name"}}),
        ("DECLARE v text := NEW.name; BEGIN NEW.slug := v; END", {"users.slug": {"users.name"}}),
        ("DECLARE v text; BEGIN v := NEW.name; v := v || 'x'; NEW.slug := v; END", {"users.slug": {"users.name"}}),
        (
            "BEGIN SELECT lower(NEW.name), NEW.id INTO NEW.slug, NEW.stamp; END",
            {"users.slug": {"users.name"}, "users.stamp": {"users.id"}},
        ),
        (
            "BEGIN IF NEW.email IS NULL THEN NEW.slug := NEW.name; ELSE NEW.stamp := NEW.id; END IF; END",
            {"users.slug": {"users.name"}, "users.stamp": {"users.id"}},
        ),
        (
            "BEGIN NEW.slug := CASE WHEN NEW.email = 'x' THEN NEW.name ELSE NEW.id END; RETURN NEW; END",
            {"users.slug": {"users.name", "users.id"}},
        ),
        (
            "BEGIN SELECT p.title INTO NEW.slug FROM posts p WHERE p.author = NEW.email; END",
            {"users.slug": {"posts.title"}},
        ),
        (
            "BEGIN NEW.slug := (SELECT string_agg(title, ' ' ORDER BY words) FROM public.posts WHERE user_id = NEW.id); END",
            {"users.slug": {"posts.title"}},
        ),
        (
            "BEGIN UPDATE posts SET author = NEW.name, words = words || 'x' WHERE user_id = NEW.id; END",
            {"posts.author": {"users.name"}, "posts.words": set()},
        ),
        (
            "BEGIN UPDATE posts AS p SET (author, words) = (NEW.name, NEW.email) WHERE p.user_id = NEW.id; END",
            {"posts.author": {"users.name", "users.email"}, "posts.words": {"users.name", "users.email"}},
        ),
        (
            "BEGIN UPDATE posts SET words = to_tsvector(title) WHERE user_id = NEW.id; END",
            {"posts.words": {"posts.title"}},
        ),
        (
            "BEGIN INSERT INTO history (mail, who) VALUES (OLD.email, current_user), (NEW.email, 'x'); END",
            {"history.mail": {"users.email"}, "history.who": set()},
        ),
        (
            "BEGIN INSERT INTO history (who) SELECT row_to_json(OLD)::text; END",
            {"history.who": {"users.id", "users.name", "users.email", "users.slug", "users.stamp", "users.Sort Key"}},
        ),
        (
            "BEGIN INSERT INTO history SELECT NEW.id, NEW.name, NEW.email ON CONFLICT (id) DO UPDATE SET who = EXCLUDED.mail; END",
            {
                "history.id": {"users.id"},
                "history.name": {"users.name"},
                "history.mail": {"users.email"},
                "history.who": {"history.mail"},
            },
        ),
        (
            "BEGIN INSERT INTO history VALUES (NEW.*); END",
            {
                "history.id": {"users.id"},
                "history.name": {"users.name"},
                "history.mail": {"users.email"},
                "history.who": {"users.slug"},
            },
        ),
        (
            "BEGIN FOR r IN SELECT title FROM posts LOOP NEW.slug := NEW.slug || r.title; END LOOP; END",
            {"users.slug": {"posts.title"}},
        ),
        (
            "DECLARE r history; BEGIN r := ROW(NEW.id, NULL, 'x'); r.who = hstore(OLD.*) - 'id';"
            " INSERT INTO history VALUES (r.*); END",
            {
                "history.id": {"users.id"},
                "history.name": set(),
                "history.mail": set(),
                "history.who": {
                    "users.id",
                    "users.name",
                    "users.email",
                    "users.slug",
                    "users.stamp",
                    "users.Sort Key",
                },
            },
        ),
        ("BEGIN NEW.slug := extract(year FROM NEW.stamp); END", {"users.slug": {"users.stamp"}}),
    ],
)
def test_written_values_are_followed_to_the_columns_that_are_read(body: str, expected: dict[str, set[str]]) -> None:
    """Values are followed through assignments, variables, queries and copies, not through conditions and texts."""
    assert written(body) == expected


def test_a_statement_trigger_reads_its_rows_by_the_name_of_the_transition_table() -> None:
    """In a trigger for each statement, the name of the transition table refers to the changed rows."""
    body = "BEGIN INSERT INTO history (name) SELECT n.name FROM fresh n; RETURN NULL; END"
    assert written(body, row=False, transitions=("fresh",)) == {"history.name": {"users.name"}}


def test_a_called_function_is_read() -> None:
    """A value that a function selects comes from the columns of its table."""
    body = "BEGIN NEW.slug := author_of(NEW.id); END"
    function = "BEGIN RETURN (SELECT author FROM posts WHERE id = $1); END"
    assert written(body, ("author_of", function)) == {"users.slug": {"users.id", "posts.author"}}


def test_the_arguments_of_tsvector_update_trigger_are_read() -> None:
    """PostgreSQL's own trigger for tsvectors names its columns in its arguments."""
    options = {
        "language": "internal",
        "function": "tsvector_update_trigger",
        "arguments": ("slug", "pg_catalog.english", "name", "email"),
    }
    assert written("", **options) == {"users.slug": {"users.name", "users.email"}}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("BEGIN EXECUTE format('UPDATE %I SET x = 1', 'a'); END", "built at run time"),
        ("BEGIN NEW := jsonb_populate_record(NEW, '{}'); END", "whole row"),
        ("BEGIN SELECT * INTO NEW FROM users; END", "whole row"),
        ("BEGIN MERGE INTO posts USING users ON true WHEN MATCHED THEN DO NOTHING; END", "MERGE"),
    ],
)
def test_what_cannot_be_followed_is_unknown(body: str, why: str) -> None:
    """A body that cannot be followed is reported with its reason."""
    found = catalog(body)
    assert why in " ".join(TriggerWrites(found, found.triggers[0]).unknown)


def test_another_language_is_not_known() -> None:
    """A function in another language is unknown, except for triggers of PostgreSQL's own modules."""
    found = catalog("", language="plpython3u", function="derive")
    assert TriggerWrites(found, found.triggers[0]).unknown == ["its function derive is written in plpython3u"]
    known = catalog("", language="c", function="moddatetime")
    assert TriggerWrites(known, known.triggers[0]).unknown == []


def test_the_trigger_of_temporal_tables_copies_columns_by_name() -> None:
    """The trigger `versioning` copies into the history table in its arguments."""
    options = {"language": "c", "function": "versioning", "arguments": ("period", "public.history", "true")}
    assert written("", **options) == {"history.id": {"users.id"}, "history.name": {"users.name"}}


def test_a_column_derived_from_a_derived_column_reads_its_sources() -> None:
    """A slug made of a sort key reads the sources of the sort key, too."""
    found = derived_columns(catalog('BEGIN NEW."Sort Key" := NEW.email; NEW.slug := NEW."Sort Key"; END'))
    assert found["users", "slug"].reads == (("users", "Sort Key"), ("users", "email"))


SLUG = "NEW.slug := lower(NEW.name);"
LEFT_ON = f"BEGIN {SLUG} RETURN NEW; END"


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (LEFT_ON, {}),
        ("BEGIN IF NEW.slug IS NULL THEN NEW.slug := substring(NEW.name FROM 1 FOR 9); END IF; RETURN NEW; END", {}),
        ("BEGIN IF NEW.name IS DISTINCT FROM OLD.name THEN NEW.slug := slugify(NEW.name); END IF; RETURN NEW; END", {}),
        ("", {"language": "internal", "function": "tsvector_update_trigger", "arguments": ("slug", "simple", "name")}),
        (LEFT_ON, {"state": "A"}),
        ("BEGIN SELECT lower(p.n) INTO NEW.slug FROM (SELECT NEW.name AS n) p; RETURN NEW; END", {}),
        ("BEGIN NEW.slug := (SELECT string_agg(w, '-') FROM unnest(ARRAY[NEW.name]) AS u (w)); RETURN NEW; END", {}),
    ],
)
def test_a_trigger_of_its_own_row_can_stay_on(body: str, options: dict[str, Any]) -> None:
    """A trigger that sets the column and nothing else, and reads only its row, can stay on."""
    found = catalog(body, ("slugify", "BEGIN RETURN lower($1); END"), **options)
    assert left_on(found, found.tables[0], ["slug"]).triggers == ("keep",)


@pytest.mark.parametrize(
    ("body", "options", "why"),
    [
        (SLUG, {"state": "D"}, "disabled"),
        (SLUG, {"state": "R"}, "replicas"),
        (SLUG, {"before": False}, "before each row"),
        (SLUG, {"insert": False}, "not run on INSERT"),
        (SLUG, {"partition": True}, "partition alone"),
        ("NEW.slug := NEW.name; NEW.stamp := now();", {}, "also sets stamp"),
        ("NEW.slug := NEW.name; UPDATE posts SET author = author;", {}, "also sets author"),
        ("NEW.slug := NEW.name; DELETE FROM posts;", {}, "writes other rows"),
        ("NEW.slug := (SELECT title FROM posts LIMIT 1);", {}, "reads other rows"),
        ("NEW.slug := (SELECT w FROM unnest(ARRAY['a']) u (w), posts LIMIT 1);", {}, "reads other rows"),
        ("NEW.slug := (SELECT w FROM unnest(ARRAY['a']) u (w) JOIN a.view v ON true);", {}, "reads other rows"),
        ("SELECT t.title INTO NEW.slug FROM (posts p CROSS JOIN posts) t;", {}, "reads other rows"),
        ("SELECT b INTO NEW.slug FROM posts AS p (a, b);", {}, "reads other rows"),
        ("NEW.slug := nextval('s');", {}, "calls nextval"),
        ("NEW.slug := far(NEW.name);", {}, "calls far, which reads other rows"),
        ("PERFORM pg_notify('x', 'y'); NEW.slug := NEW.name;", {}, "for its side effects"),
        ("NEW.slug := NEW.name; IF NEW.email = '' THEN RETURN NULL; END IF;", {}, "leave rows out"),
        ("EXECUTE 'x'; NEW.slug := NEW.name;", {}, "built at run time"),
        ("NEW.stamp := NEW.name;", {}, "no trigger of users is known to set it"),
    ],
)
def test_a_trigger_that_does_more_cannot_stay_on(body: str, options: dict[str, Any], why: str) -> None:
    """A trigger that sets or reads more, or that would not run, is refused with the reason."""
    found = catalog(
        f"BEGIN {body} RETURN NEW; END", ("far", "BEGIN RETURN (SELECT max(title) FROM posts); END"), **options
    )
    ((column, reason),) = left_on(found, found.tables[0], ["slug"]).faults
    assert column == "slug"
    assert why in reason
