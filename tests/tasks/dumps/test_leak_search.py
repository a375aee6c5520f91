"""The leak search without a server: which columns it includes, what it finds in a block, and what it keeps in memory."""

from array import array
from collections.abc import Iterable
from hashlib import sha256

import pytest

from tasks.dumps import leak_search
from tasks.dumps.leak_search import (
    HashedValues,
    LeakSearch,
    Lookup,
    count_searched,
    is_hashed,
    is_searched,
    sum_overlaps,
)
from tasks.dumps.leak_search_forms import search_forms
from tasks.dumps.leak_search_prefilter import Traits
from tasks.estate.dumps import Anonymizer, Choices, Overlap
from tests.tasks.dumps.small_databases import column, planned, planned_column, table

MAIL, OTHER = "anna.mueller@firma.example", "berta@firma.example"


def hashes_of(values: dict[str, Iterable[str]]) -> HashedValues:
    """The hashes of these values (label: values), as `collect_hashes` returns them."""
    found = HashedValues()
    traits = Traits(found.key)
    seen: set[int] = set()
    for label, each in values.items():
        forms = {form for value in each for form in search_forms(value, "identifier")}
        seen |= {traits.of(form) for form in forms}
        found.hashes[label] = array("q", sorted(
            int.from_bytes(sha256((found.key + form).encode()).digest()[:8], "big", signed=True) for form in forms
        ))  # fmt: skip
    found.traits = array("q", sorted(seen))
    return found


def test_what_is_packed_is_unpacked() -> None:
    """Key, traits and the hashes of every column come back, negative numbers and empty columns too."""
    secrets = HashedValues(
        hashes={"a.b": array("q", [-(2**63), -1, 0, 2**63 - 1]), "a.c": array("q"), "b.c": array("q", [5])}
    )
    secrets.traits = array("q", [3, 2**62])
    again = HashedValues.unpack(secrets.pack())
    assert (again.key, again.traits, again.hashes) == (secrets.key, secrets.traits, secrets.hashes)
    assert again.size == 5
    assert secrets.key not in repr(secrets)
    assert "hashes" not in repr(secrets)
    assert "traits" not in repr(secrets)
    assert secrets.pack().endswith((5).to_bytes(8, "big"))


def test_two_runs_have_two_keys() -> None:
    """Hashes of two runs cannot be compared."""
    assert HashedValues().key != HashedValues().key
    assert len(HashedValues().key) == 32


@pytest.mark.parametrize(
    ("declared", "rule", "hashed"),
    [
        ("text", "email", True), ("text", "scrub", True), ("text[]", "{maker: array, each: email}", True),
        ("text", "keep", False), ("text", "full_name", False), ("bytea", "placeholder", False),
        ("text", "{recompute: lower(w)}", True), ("integer", "{recompute: length(w)}", False), ("text", "{recompute: trigger}", False),
    ],
)  # fmt: skip
def test_values_of_masked_columns_are_searched_for(declared: str, rule: str, hashed: bool) -> None:
    """Kept columns, pools of real names and binary ones have no values to search for."""
    assert is_hashed(planned_column(declared, rule)) is hashed


@pytest.mark.parametrize(
    ("declared", "rule", "searched"),
    [
        ("text", "keep", True), ("text", "scrub", True), ("inet", "keep", True), ("jsonb", "keep", True), ("mood", "keep", True),
        ("int4range", "keep", True), ("face", "keep", True), ("integer[]", "keep", True), ("text", "hash", True),
        ("integer", "keep", False), ("date", "keep", False), ("bytea", "keep", False), ("uuid", "keep", False),
        ("text", "blank", False), ("text", "'null'", False), ("text", "password", False), ("text", "city", False),
    ],
)  # fmt: skip
def test_every_column_that_may_hold_a_text_is_looked_into(declared: str, rule: str, searched: bool) -> None:
    """All but numbers, dates and binary ones, constants and pools."""
    each = planned_column(declared, rule)
    assert is_searched(each) is searched
    assert not is_searched(each.model_copy(update={"unread": True}))


def test_a_constant_that_travels_raw_is_looked_into() -> None:
    """A switched-off anonymizer leaves the real values where the constant would be."""
    made = planned(table("t", ["v"]), "v: password", choices=Choices(opted_out=(Anonymizer.PASSWORDS,)))
    assert is_searched(made.columns[0])
    assert not is_hashed(made.columns[0])
    assert count_searched([made, planned(table("u", ["a", "b", "c integer"]), "a: keep, b: blank, c: keep")]) == 2


def look(block: bytes, *, rules: str = "id: keep, v: keep, w: keep", whole: bool = True) -> tuple[Overlap, ...]:
    """What is found in a block of a table with the columns id, v and w."""
    lookup = Lookup(hashes_of({"users.email": [MAIL, OTHER], "users.login": ["kobold7"], "users.none": []}))
    search = LeakSearch(lookup, planned(table("t", ["id integer", "v", "w"]), rules), whole=whole)
    for line in (block, b"\\N\t\\N\t\\N\n"):
        search.search_block(line)
    return search.found


def test_a_value_is_found_in_its_column_and_counted_once_a_block() -> None:
    """A pair names the column in which a value was found and its source. Numbers, NULL and other texts are not findings."""
    found = look(b"1\tx\tkobold7\n2\t\\N\tkobold7\n3\tkobold7\t" + MAIL.encode() + b"\n")
    assert [(each.found, each.source) for each in found] == [
        ("t.v", "users.login"), ("t.w", "users.email"), ("t.w", "users.login"),
    ]  # fmt: skip
    assert [each.forms for each in found if each.source == "users.login"] == [1, 1]
    assert look(b"1\tnothing to see\tcarla@firma.example\n") == ()
    assert look(b"") == ()


def test_constants_are_not_looked_into_and_nothing_is_sought_if_nothing_is_known() -> None:
    """The fields of other columns keep their place."""
    mail = MAIL.encode()
    assert look(b"1\t" + mail + b"\tx\n", rules="id: keep, v: blank, w: keep") == ()
    assert [each.found for each in look(b"1\tx\t" + mail + b"\n", rules="id: keep, v: blank, w: keep")] == ["t.w"]
    search = LeakSearch(Lookup(HashedValues()), planned(table("t", ["v"]), "v: keep"), whole=True)
    search.search_block(b"anything\n")
    assert (search.columns, search.found) == (0, ())


def test_an_export_samples_what_is_made_of_the_hash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load looks at all of it, and of every other column an export does so too."""
    monkeypatch.setattr(leak_search, "SAMPLED", 1)
    rows = b"".join(b"%d\tx%d\tx\n" % (n, n) for n in range(400)) + b"7\t" + MAIL.encode() + b"\tx\n"
    assert look(rows, rules="id: keep, v: hash, w: keep")
    assert not look(rows, rules="id: keep, v: hash, w: keep", whole=False)
    for rule in ("keep", "scrub", "phone"):
        assert look(rows, rules=f"id: keep, v: {rule}, w: keep", whole=False)


def test_an_export_searches_all_of_a_column_that_stays_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rule has a maker, but the values are the source's own."""
    monkeypatch.setattr(leak_search, "SAMPLED", 1)
    made = planned(table("t", ["v"]), "v: hash")
    raw = made.model_copy(update={"columns": tuple(c.model_copy(update={"raw": True}) for c in made.columns)})
    rows = b"".join(b"x%d\n" % n for n in range(400)) + MAIL.encode() + b"\n"
    for plan, found in ((made, False), (raw, True)):
        search = LeakSearch(Lookup(hashes_of({"users.email": [MAIL]})), plan, whole=False)
        search.search_block(rows)
        assert bool(search.found) is found


def test_a_document_of_hashes_is_looked_at_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its maker may leave texts in it as they are."""
    monkeypatch.setattr(leak_search, "SAMPLED", 1)
    lookup = Lookup(hashes_of({"users.email": [MAIL]}))
    made = planned(table("t", [column("v text[]")]), "v: hash")
    search = LeakSearch(lookup, made, whole=False)
    search.search_block(b"".join(b"{x%d}\n" % n for n in range(400)) + b'{"' + MAIL.encode() + b'"}\n')
    assert search.found


def test_columns_that_are_given_are_the_fields_of_the_block() -> None:
    """A load reads the columns that may hold a text, and no others."""
    lookup = Lookup(hashes_of({"users.email": [MAIL]}))
    made = planned(table("t", ["id integer", "v", "w"]), "id: keep, v: keep, w: keep")
    search = LeakSearch(lookup, made, columns=[made.columns[2]], whole=True)
    search.search_block(MAIL.encode() + b"\n")
    assert [each.found for each in search.found] == ["t.w"]
    assert search.columns == 1


def test_harmless_forms_are_remembered_and_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known to be harmless is not hashed again, what is found is found each time, and memory stays bounded."""
    monkeypatch.setattr(leak_search, "CACHED", 3)
    lookup = Lookup(hashes_of({"a.b": [MAIL], "c.d": [MAIL]}))
    for _ in range(3):
        assert sorted(lookup.sources({MAIL, "x1", "x2"})) == ["a.b", "c.d"]
    for number in range(20):
        assert not list(lookup.sources({f"y{number}", f"z{number}"}))
        assert len(lookup._harmless) <= 5
    assert MAIL not in lookup._harmless
    hashed: list[bytes] = []

    def counting(data: bytes) -> object:
        hashed.append(data)
        return sha256(data)

    monkeypatch.setattr(leak_search, "sha256", counting)
    list(lookup.sources({"z19"}))
    assert hashed == []


def test_pairs_of_several_searches_are_added_up() -> None:
    """Equal pairs are one, in the order of their names."""
    one, two = Overlap(found="b", source="s", forms=2), Overlap(found="a", source="s", forms=1)
    assert sum_overlaps([one, two, one]) == (two, Overlap(found="b", source="s", forms=4))
