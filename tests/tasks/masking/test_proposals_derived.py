"""Drafts of derived columns: recomputed if possible, kept if all that they read is kept."""

from typing import Any

import pytest

from tasks.estate.schema import Catalog, Column, DatabaseIdentity, Key, KeyKind, Name, Table, Trigger
from tasks.masking.classify import draft

SERVER = DatabaseIdentity(host="h", port=1, database="d", database_oid=1, system_identifier="1", server_version=180000)
NAMES = ["Erika Mustermann", "Max Huber"] * 20
PEOPLE = Name(schema_name="public", name="people")


def column(name: str, base: str = "text", **more: Any) -> Column:
    """Return a column of a type."""
    category = {"text": "S", "varchar": "S", "int4": "N", "float4": "N"}.get(base, "U")
    return Column(name=name, type=base, base=base, category=category, **more)


def rules(
    *columns: Column, body: str = "", known: dict[str, Any] | None = None, unique: str = "", **samples: Any
) -> dict[str, Any]:
    """Return the rules drafted for a table of people with these columns, an id, a full name and a status."""
    keys = [Key(name="pk", kind=KeyKind.PRIMARY, columns=("id",))]
    keys += [Key(name="u", kind=KeyKind.UNIQUE, columns=(unique,))] if unique else []
    table = Table(
        name=PEOPLE,
        columns=(column("id", "int4", not_null=True), column("full_name"), column("status"), *columns),
        unique_keys=tuple(keys),
    )
    triggers = (Trigger(name="keep", table=PEOPLE, source=body),) if body else ()
    values = {("people", "full_name"): NAMES, ("people", "status"): ["open", "done"] * 20}
    values |= {("people", name): given for name, given in samples.items()}
    result = draft(Catalog(identity=SERVER, tables=(table,), triggers=triggers), values, known)
    return {each.name: each.rule for each in result.tables[0].columns}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("slug", {}, "lower(regexp_replace(full_name, '[^[:alnum:]]+', '-', 'g'))"),
        ("permalink", {"not_null": True}, "lower(regexp_replace(coalesce(full_name, ''), '[^[:alnum:]]+', '-', 'g'))"),
        ("slug", {"max_length": 40}, "left(lower(regexp_replace(full_name, '[^[:alnum:]]+', '-', 'g')), 40)"),
        ("normalized_full_name", {}, "lower(full_name)"),
        ("full_name_lower", {}, "lower(full_name)"),
    ],
)
def test_a_derived_name_is_recomputed(name: str, options: dict[str, Any], expected: str) -> None:
    """The expression reads the masked column that the name refers to."""
    assert rules(column(name, **options))[name] == {"recompute": expected}


def test_upper_case_values_are_recomputed_in_upper_case() -> None:
    """A normalised column with values in upper case is recomputed in upper case."""
    made = rules(column("normalized_full_name"), normalized_full_name=[each.upper() for each in NAMES])
    assert made["normalized_full_name"] == {"recompute": "upper(full_name)"}


def test_a_unique_slug_gets_the_key() -> None:
    """A unique slug ends with the row's key, because two people may get one name."""
    made = rules(column("slug", max_length=60), unique="slug")["slug"]["recompute"]
    assert made == "left(lower(regexp_replace(full_name, '[^[:alnum:]]+', '-', 'g')), 39) || '-' || id"


def test_a_slug_of_kept_columns_is_kept() -> None:
    """A slug is kept if no mask replaces its source."""
    known = {"tables": {"people": {"full_name": "keep"}}}
    assert rules(column("slug"), known=known, slug=["a", "b"])["slug"] == "keep"


def test_a_tsvector_is_recomputed_from_the_masked_columns() -> None:
    """A tsvector without a trigger is recomputed from the masked texts of its row."""
    expected = {"recompute": "to_tsvector('simple', concat_ws(' ', full_name))"}
    assert rules(column("words", "tsvector"))["words"] == expected


def test_a_tsvector_of_kept_columns_is_kept() -> None:
    """A tsvector is kept if its trigger reads kept columns only."""
    body = "BEGIN NEW.words := to_tsvector(NEW.status); RETURN NEW; END"
    assert rules(column("words", "tsvector"), body=body)["words"] == "keep"


def test_a_trigger_that_may_be_left_on_recomputes() -> None:
    """A trigger that reads the masked name and sets nothing else recomputes the column."""
    body = "BEGIN NEW.slug := lower(NEW.full_name); RETURN NEW; END"
    assert rules(column("slug"), body=body)["slug"] == {"recompute": "trigger"}


def test_a_trigger_that_does_more_leaves_the_column_undecided() -> None:
    """A column whose trigger also sets others is undecided: a person has to write the expression."""
    body = "BEGIN NEW.code := lower(NEW.full_name); NEW.status := 'x'; RETURN NEW; END"
    assert rules(column("code"), body=body, code=["a1", "b2"] * 20)["code"] is None


@pytest.mark.parametrize(("not_null", "expected"), [(False, "null"), (True, None)])
def test_an_embedding_of_masked_texts_is_not_kept(not_null: bool, expected: Any) -> None:
    """An embedding next to masked texts becomes NULL or is undecided, because the text can be guessed from it."""
    assert rules(column("embedding", "float4", array=True, not_null=not_null))["embedding"] == expected


def test_a_kept_column_that_derives_is_doubted() -> None:
    """A derived column that the existing policy keeps stays so and is reported as doubtful."""
    table = Table(name=PEOPLE, columns=(column("full_name"), column("slug")))
    trigger = Trigger(name="keep", table=PEOPLE, source="BEGIN NEW.slug := lower(NEW.full_name); RETURN NEW; END")
    known = {"tables": {"people": {"full_name": "full_name", "slug": "keep"}}}
    result = draft(Catalog(identity=SERVER, tables=(table,), triggers=(trigger,)), {}, known)
    assert result.doubts == ("people.slug: derives from people.full_name: the trigger keep on people sets it",)
