"""Drafts of a policy: the rule for each column, what stays undecided, and that no sampled value is in the draft."""

from typing import Any

import pytest

from tasks.estate.errors import Misconfigured
from tasks.estate.schema import Catalog, Check, Column, DatabaseIdentity, ForeignKey, Key, KeyKind, Name, Stray, Table
from tasks.masking.classify import ColumnDraft, Draft, draft, scan_strays

SERVER = DatabaseIdentity(
    host="db", port=5432, database="Shop_DB", database_oid=5, system_identifier="1", server_version=180000
)
CATEGORIES = {
    "bool": "B", "date": "D", "timestamptz": "D", "int4": "N", "int8": "N", "numeric": "N", "inet": "I", "interval": "T",
    "bytea": "U", "uuid": "U", "jsonb": "U", "tsvector": "U", "mood": "E",
}  # fmt: skip
MAILS = [f"person{n}@example.org" for n in range(50)]
FIRST = ["Anna", "Lukas", "Maria", "Stefan", "Julia"] * 10
PEOPLE = [f"{first} Huber" for first in FIRST]
TEXT = "Liebe Eltern, der Ausflug am Montag findet bei jedem Wetter statt."


def column(name: str, base: str = "text", **more: Any) -> Column:
    """Return a column of a type."""
    return Column(name=name, type=base, base=base, category=CATEGORIES.get(base, "S"), **more)


def primary(*columns: str) -> Key:
    """Return a primary key."""
    return Key(name="pk", kind=KeyKind.PRIMARY, columns=columns)


def unique(*columns: str, **more: Any) -> Key:
    """Return a unique key."""
    return Key(name="u", kind=KeyKind.UNIQUE, columns=columns, **more)


def table(name: str, *columns: Column, **more: Any) -> Table:
    """Return a table with an identity `id` before the given columns."""
    given = {"unique_keys": (primary("id"),)} | more
    return Table(
        name=Name(schema_name="public", name=name), columns=(column("id", "int8", not_null=True), *columns), **given
    )


def refers(source: str, columns: str, target: str, to: str = "id") -> ForeignKey:
    """Return a foreign key of one column."""
    names = [Name(schema_name="public", name=each) for each in (source, target)]
    return ForeignKey(
        name="fk", table=names[0], columns=(columns,), references=names[1], referenced_columns=(to,), definition=""
    )


def catalog(*tables: Table, keys: tuple[ForeignKey, ...] = ()) -> Catalog:
    """Return a catalogue of tables."""
    return Catalog(identity=SERVER, tables=tables, foreign_keys=keys)


def drafted(result: Draft, name: str) -> ColumnDraft:
    """Return the draft of `table.column`."""
    where, _, which = name.rpartition(".")
    return next(c for t in result.tables if str(t.name) == where for c in t.columns if c.name == which)


def rule(one: Column, values: list[str] | None = None, *, home: str = "things", **more: Any) -> Any:
    """Return the rule drafted for one column with these sampled values, in a table without other columns."""
    result = draft(catalog(table(home, one, **more)), {(home, one.name): values or []})
    return drafted(result, f"{home}.{one.name}").rule


BLANK = {"maker": "blank", "anonymizer": "contact"}
SINGLE = [
    (column("email"), MAILS, {"maker": "email", "form": "hash", "group": "person.email"}),
    (column("c17"), MAILS, {"maker": "email", "form": "hash", "group": "person.email"}),
    (column("vorname"), FIRST, {"maker": "first_name", "group": "person"}),
    (column("c17"), PEOPLE, {"maker": "full_name", "group": "person"}),
    (column("phone"), [], BLANK),
    (column("plz", not_null=True), [], BLANK),
    (column("plz", domain_checks=("CHECK (VALUE <> '')",)), [], {"maker": "null", "anonymizer": "contact"}),
    (column("plz", not_null=True, domain_checks=("x",)), [], {"maker": "postcode", "anonymizer": "contact"}),
    (column("phone", "int8"), [], {"maker": "null", "anonymizer": "contact"}),
    (column("phone", "int8", not_null=True), [], None),
    (column("password_hash", not_null=True), ["$2y$10$" + "a" * 53] * 5, {"maker": "password", "prefix": "$2y$"}),
    (column("password_hash", max_length=32), [], {"maker": "hash", "chars": 16, "anonymizer": "passwords"}),
    (column("reset_token"), [], "null"),
    (column("reset_token", not_null=True), [], "token"),
    (column("reset_token", not_null=True, max_length=20), [], {"maker": "token", "chars": 16}),
    (column("iban"), ["AT611904300234573201"] * 5, {"maker": "iban", "group": "account", "country": "AT"}),
    (column("birth_date", "date"), [], {"maker": "birth_date", "mode": "year"}),
    (column("c17", "date"), [f"{year}-05-06" for year in range(1950, 2000)], {"maker": "birth_date", "mode": "year"}),
    (column("c17", "date"), ["2024-05-06"] * 50, None),
    (column("created_at", "timestamptz"), [], "keep"),
    (column("last_login_at", "timestamptz"), [], {"maker": "date_shift", "days": 30, "by": "id"}),
    (column("body", max_length=10), [], "scrub"),
    (column("c17"), [TEXT] * 10, "scrub"),
    (column("religion", "mood", enum_labels=("a", "b")), [], {"maker": "choice", "values": ["a", "b"]}),
    (column("stage", "mood", enum_labels=("a", "b")), [], "keep"),
    (column("religion", not_null=True), [], "scrub"),
    (column("active", "bool"), [], "keep"),
    (column("email_verified", "bool"), [], "keep"),
    (column("disabled_child", "bool"), [], {"maker": "choice", "values": ["true", "false"]}),
    (column("amount", "numeric"), [], "keep"),
    (column("c17", "int4"), ["1", "2"], None),
    (column("status"), ["open", "done"] * 20, "keep"),
    (column("status"), [*["open"] * 40, MAILS[0]], None),
    (column("c17"), ["open", "done"] * 20, None),
    (column("c17"), [], None),
    (column("email"), ["yes", "no"] * 10, None),
    (column("seen_from", "inet"), [], "ip"),
    (column("scan", "bytea"), [], "placeholder"),
    (column("vector", "tsvector"), [], None),
    (column("search_vector", "tsvector"), [], {"maker": "null", "anonymizer": "bodies"}),
    (column("external", "uuid"), [], None),
    (column("api_token", "uuid", not_null=True), [], "uuid"),
    (column("mails", array=True), ["{a@x.org,b@x.org}"] * 9, {"maker": "array", "each": {"maker": "email", "form": "hash"}}),
    (column("names", array=True), [], None),
]  # fmt: skip


@pytest.mark.parametrize(("one", "values", "expected"), SINGLE, ids=lambda part: getattr(part, "name", ""))
def test_what_is_drafted_for_one_column(one: Column, values: list[str], expected: Any) -> None:
    """Name, type, length, NOT NULL, checks and values decide the mask; in doubt it is a mask or undecided."""
    assert rule(one, values) == expected


@pytest.mark.parametrize("name", ["first_name", "street", "notes", "company", "username", "phone"])
def test_a_unique_column_gets_no_mask_that_collides(name: str) -> None:
    """In a unique column, also by an index on an expression, a keyed hash replaces pools and constants."""
    lower = unique(expressions=True, definition=f"CREATE UNIQUE INDEX u ON things (lower({name}))")
    for key in (unique(name), unique("id", name), lower):
        found = rule(column(name, not_null=True), home="things", unique_keys=(primary("id"), key))
        assert found["maker"] in ("hash", "phone")


def test_one_address_in_a_table_is_made_of_the_id() -> None:
    """Two addresses of one row must differ: the unique one gets the id, the other a hash."""
    users = table("users", column("email_private"), column("email"), unique_keys=(primary("id"), unique("email")))
    result = draft(catalog(users), {})
    assert drafted(result, "users.email").rule == "email"
    assert drafted(result, "users.email_private").rule == {"maker": "email", "form": "hash", "group": "person.email"}


def test_the_address_of_a_message_is_its_senders() -> None:
    """Address and name in a message are made of the sender's id, not of the message's id."""
    messages = table("messages", column("sender_id", "int8"), column("sender_email"), column("sender_name"))
    result = draft(catalog(table("users"), messages, keys=(refers("messages", "sender_id", "users"),)), {})
    assert drafted(result, "messages.sender_email").rule == {"maker": "email", "by": "sender_id"}
    assert drafted(result, "messages.sender_name").rule == {
        "maker": "full_name",
        "group": "users.person",
        "by": "sender_id",
    }


def test_one_person_has_one_name_in_tables_that_extend_each_other() -> None:
    """The row of a student that extends the row of a user has the user's name."""
    pupils = table(
        "students", column("user_id", "int8"), column("last_name"), unique_keys=(primary("id"), unique("user_id"))
    )
    users = table("users", column("last_name"))
    result = draft(catalog(users, pupils, keys=(refers("students", "user_id", "users"),)), {})
    assert drafted(result, "users.last_name").rule == {"maker": "last_name", "group": "users.person", "by": "id"}
    assert drafted(result, "students.last_name").rule == {
        "maker": "last_name",
        "group": "users.person",
        "by": "user_id",
    }


def test_references_get_one_mask() -> None:
    """Columns of a foreign key on an address, declared or not, share one keyed form; numbers are kept."""
    users = table("users", column("email"), unique_keys=(primary("id"), unique("email")))
    logins = table("logins", column("user_email"), column("who"), column("user_id", "int8"))
    keys = (refers("logins", "user_email", "users", "email"), refers("logins", "user_id", "users"))
    existing = {"tables": {}, "references": ["logins.who -> users.email"]}
    result = draft(catalog(users, logins, keys=keys), {}, existing)
    shared = {"maker": "email", "form": "hash", "group": "users.email"}
    assert [drafted(result, n).rule for n in ("users.email", "logins.user_email", "logins.who")] == [shared] * 3
    assert drafted(result, "logins.user_id").rule == drafted(result, "users.id").rule == "keep"


def test_a_reference_that_no_mask_fits_is_undecided_everywhere() -> None:
    """Five characters have no room for a hash: both sides are undecided."""
    users = table("users", column("username", max_length=5), unique_keys=(primary("id"), unique("username")))
    logins = table("logins", column("username", max_length=5))
    result = draft(catalog(users, logins, keys=(refers("logins", "username", "users", "username"),)), {})
    assert result.undecided == ("users.username", "logins.username")


def test_a_reference_whose_ends_disagree_is_undecided() -> None:
    """A code that is kept and a reference to it with e-mail addresses are both undecided."""
    terms = table("roles", column("code"), unique_keys=(primary("id"), unique("code")))
    used = table("grants", column("role_code"))
    result = draft(
        catalog(terms, used, keys=(refers("grants", "role_code", "roles", "code"),)), {("grants", "role_code"): MAILS}
    )
    assert result.undecided == ("roles.code", "grants.role_code")


def test_members_of_documents_are_masked_one_by_one() -> None:
    """Personal members get a mask; the rest is kept only if it is shown harmless."""
    harmless = ['{"contact": {"email": "a@example.org"}, "on": true, "count": 3}'] * 6
    masked = {"$.contact.email": {"maker": "email", "form": "hash"}}
    assert rule(column("data", "jsonb"), harmless) == {"maker": "jsonb", "paths": masked, "else": "keep"}
    unknown = ['{"contact": {"email": "a@example.org"}, "x": "who knows"}'] * 6
    assert rule(column("data", "jsonb"), unknown) == {"maker": "jsonb", "paths": masked, "else": "null"}
    assert rule(column("data", "jsonb"), ['{"on": true}'] * 30) is None
    many = ["{" + ", ".join(f'"{chr(97 + n // 8)}email{n % 8}": "a@example.org"' for n in range(80)) + "}"] * 6
    assert rule(column("data", "jsonb"), many) == "null"


@pytest.mark.parametrize("key", ["anna@example.org", "Anna", "anna", "4711", "a.b", "a[0]"])
def test_a_document_whose_keys_are_data_is_emptied(key: str) -> None:
    """A document with a key that is a value is emptied, and the key is not in the draft."""
    documents = ['{"%s": {"email": "x@example.org"}}' % key, *['{"other": 1}'] * 9]  # noqa: UP031  # braces are JSON's here
    assert rule(column("data", "jsonb"), documents) == "null"
    assert rule(column("data", "jsonb", not_null=True), documents) == {"maker": "constant", "value": "{}"}


def test_sizes_and_checksums_follow_their_attachment() -> None:
    """Size and checksum in a row must fit the placeholder of its bytes; without bytes a size is an ordinary number."""
    files = table("files", column("mime_type"), column("size_bytes", "int8"), column("md5"), column("content", "bytea"))
    result = draft(catalog(files), {})
    mime = {"mime_column": "mime_type"}
    assert drafted(result, "files.content").rule == {"maker": "placeholder", **mime}
    assert drafted(result, "files.size_bytes").rule == {"maker": "placeholder_size", **mime}
    assert drafted(result, "files.md5").rule == {"maker": "placeholder_checksum", "algorithm": "md5", **mime}
    assert rule(column("size_bytes", "int8")) == "keep"


def test_generated_columns_are_left_out() -> None:
    """A generated column is not copied and needs no rule."""
    result = draft(catalog(table("users", column("display_name", generated=True))), {})
    assert [each.name for each in result.tables[0].columns] == ["id"]


def test_whole_tables() -> None:
    """Sessions are dropped unless something references them; audit and migration tables are excluded."""
    names = ("login_sessions", "ImportExportAudit", "schema_migrations", "password_resets")
    tables = [table(name) for name in names] + [table("clicks", column("password_reset_id", "int8"))]
    result = draft(catalog(*tables, keys=(refers("clicks", "password_reset_id", "password_resets"),)), {})
    assert [each.whole for each in result.tables] == ["drop", "exclude", "exclude", None, None]


def test_a_check_makes_blank_null() -> None:
    """A nullable column with a CHECK, which may refuse the empty text, becomes NULL."""
    check = Check(name="c", expression="phone <> ''", columns=("phone",))
    assert rule(column("phone"), checks=(check,)) == {"maker": "null", "anonymizer": "contact"}


def test_an_existing_policy_is_adopted_and_changes_are_named() -> None:
    """Decided rules stay; the draft names new and missing columns and those with a doubtful `keep`."""
    existing = {
        "app": "shop", "schema_version": 7, "marker_required": False,
        "tables": {"users": {"id": "keep", "nick": None, "contact": "keep", "old": "scrub"}, "gone": "drop"},
    }  # fmt: skip
    users = table("users", column("nick"), column("contact"), column("phone"))
    result = draft(catalog(users, table("orders")), {("users", "contact"): MAILS}, existing)
    assert (result.app, result.schema_version, result.rest) == ("shop", 7, {"marker_required": False})
    assert drafted(result, "users.nick").rule == "null"
    assert drafted(result, "users.contact").rule == "keep"
    assert result.new == ("orders", "users.phone")
    assert result.gone == ("users.old", "gone")
    assert result.doubts == ("users.contact: 50 of 50 sampled values look like an e-mail address",)


def test_a_kept_address_is_doubted_also_if_others_reference_it() -> None:
    """Columns that reference a kept address adopt its rule, and the doubt about it stays."""
    tables = (
        table("users", column("email", not_null=True), unique_keys=(primary("id"), unique("email"))),
        table("messages", column("sender")),
    )
    existing = {"tables": {"users": {"id": "keep", "email": "keep"}, "messages": "keep"}}
    keys = (refers("messages", "sender", "users", "email"),)
    result = draft(catalog(*tables, keys=keys), {("users", "email"): MAILS, ("messages", "sender"): MAILS}, existing)
    assert [doubt.partition(":")[0] for doubt in result.doubts] == ["users.email", "messages.sender"]


def test_content_that_is_not_a_policy_is_refused() -> None:
    """A list of tables, and a number as a rule, are refused."""
    with pytest.raises(Misconfigured, match="list"):
        draft(catalog(), {}, {"tables": ["users"]})
    with pytest.raises(Misconfigured, match="id"):
        draft(catalog(table("users")), {}, {"tables": {"users": {"id": 5}}})


def test_strays_name_the_place_and_the_kind_only() -> None:
    """A finding contains the place and the kind, once, and never the text."""
    texts = [
        ("column users.notes", "comment", "ask anna@example.org or anna@example.org"),
        ("view v", "view", "SELECT 1"),
    ]
    assert scan_strays(texts) == (Stray(where="column users.notes", kind="comment", what="an e-mail address"),)
