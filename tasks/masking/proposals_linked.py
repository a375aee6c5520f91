"""Cross-column constraints: references stay valid, a person has one name, addresses in a table differ."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tasks.estate.schema import Catalog, Column, ForeignKey, Table
from tasks.masking.personal_columns import spelling
from tasks.masking.proposals import HASH, HASHED_ADDRESS, KEEP, UNDECIDED, Proposal, is_unique, undecided
from tasks.masking.words_personal import PEOPLE

Spot = tuple[str, str]  # table as it prints, column
ADDRESS_OF_ID = 38  # characters of `user-<19 digits>@staging.local`: what a bigint key may need
NAMED = ("first_name", "last_name", "full_name")


def links_of(catalog: Catalog, references: tuple[str, ...]) -> dict[Spot, tuple[Spot, ...]]:
    """Return every column that foreign keys connect with others, with all of these, the referenced column first.

    `references` are those of the policy (`table.column -> table.column`), for keys that the database does not declare.
    """
    pairs = [
        ((str(key.table), column), (str(key.references), target))
        for key in catalog.foreign_keys
        for column, target in zip(key.columns, key.referenced_columns, strict=True)
    ]
    pairs += [(_spot(left), _spot(right)) for left, _, right in (text.partition("->") for text in references)]
    sets: dict[Spot, set[Spot]] = {}
    for left, right in pairs:
        merged = sets.get(left, {left}) | sets.get(right, {right})
        sets |= dict.fromkeys(merged, merged)
    sources, targets = {left for left, _ in pairs}, {right for _, right in pairs}
    return {
        spot: tuple(sorted(merged, key=lambda each: (each not in targets, each in sources, each)))
        for spot, merged in sets.items()
    }


def _spot(text: str) -> Spot:
    table, _, column = text.strip().rpartition(".")
    return table, column


def assign_people(catalog: Catalog, proposals: Mapping[Spot, Proposal]) -> dict[Spot, Proposal]:
    """Return the proposals with options for whose data it is: at most one address in a table is made of the row's id, and
    the names of a person agree.
    """
    settled = dict(proposals)
    for table in catalog.tables:
        addresses = [column for column in table.copied if proposals[str(table.name), column.name].maker == "email"]
        addresses.sort(key=lambda column: not is_unique(table, column))  # stable: the first unique one comes first
        for number, column in enumerate(addresses):
            spot = str(table.name), column.name
            settled[spot] = replace(settled[spot], options=_address(catalog, table, column, first=not number))
        for column in table.copied:
            spot = str(table.name), column.name
            if settled[spot].maker in NAMED:
                settled[spot] = replace(
                    settled[spot], options={**settled[spot].options, **_person(catalog, table, column.name)}
                )
    return settled


def _address(catalog: Catalog, table: Table, column: Column, *, first: bool) -> dict[str, Any]:
    """Return options for whose address it is: `user-7@…` in message 7 would be the address of user 7, not of the sender."""
    pointer = _pointer(catalog, table, column.name)
    own = table.primary is not None and len(table.primary.columns) == 1
    about_people = PEOPLE.search(spelling(str(table.name))) or is_unique(table, column)
    if column.max_length is None or column.max_length >= ADDRESS_OF_ID:
        if pointer and not is_unique(table, column):
            return {"by": pointer.columns[0]}
        if first and own and about_people:
            return {}
    return {"form": "hash", "group": "person.email"}


def _pointer(catalog: Catalog, table: Table, column: str) -> ForeignKey | None:
    """Return the reference to the person of a column: `sender_id` for `sender_name`."""
    for key in catalog.foreign_keys:
        stem = spelling(key.columns[0]).removesuffix("id_").rstrip("_")
        alike = len(stem) > 1 and spelling(column).startswith(f"{stem}_")
        if alike and key.table == table.name and len(key.columns) == 1:
            return key
    return None


def _person(catalog: Catalog, table: Table, column: str) -> dict[str, Any]:
    """Return options for whose name it is: that of the row which another column references (`sender_name`, `sender_id`) or
    which this row extends (`students.user_id`, unique); that of the row itself in a table of people; else by the value.
    """
    unique = {key.columns for key in table.unique_keys if len(key.columns) == 1 and not key.predicate}
    continued = (
        key
        for key in catalog.foreign_keys
        if key.table == table.name and key.columns in unique and PEOPLE.search(spelling(str(key.references)))
    )
    pointer = _pointer(catalog, table, column) or next(continued, None)
    if pointer:
        return {"group": f"{_root(catalog, str(pointer.references))}.person", "by": pointer.columns[0]}
    if table.primary and len(table.primary.columns) == 1 and PEOPLE.search(spelling(str(table.name))):
        return {"group": f"{_root(catalog, str(table.name))}.person", "by": table.primary.columns[0]}
    return {"group": "person"}


def _root(catalog: Catalog, name: str) -> str:
    """Return the table that a table extends: its primary key references that of the other (`students.id` → `users.id`)."""
    seen = {name}
    while True:
        table = catalog.table(name)
        primary = table.primary.columns if table and table.primary else ()
        ups = (str(key.references) for key in catalog.foreign_keys if str(key.table) == name and key.columns == primary)
        name, before = next(ups, name), name
        if name in seen:
            return before
        seen.add(name)


def follow_references(
    catalog: Catalog,
    links: Mapping[Spot, tuple[Spot, ...]],
    proposals: Mapping[Spot, Proposal],
    known: Mapping[str, Any],
) -> dict[Spot, Proposal]:
    """Return the proposals with one mask for all columns of a reference: that of the referenced column, in one group and of
    the value itself. If no such mask is possible, all these columns are undecided.
    """
    settled = dict(proposals)
    for members in {merged for merged in links.values()}:
        present = [spot for spot in members if spot in proposals]
        if not present or all(proposals[spot].maker == KEEP for spot in present):
            continue
        root = present[0]
        shared = _decided(root, known) or _joinable(catalog, root, proposals[root], present)
        for spot in present:
            follows = f"follows {root[0]}.{root[1]}, which it references"
            reason = (
                shared.reason
                if spot == root
                else follows
                if shared.maker != UNDECIDED
                else f"{follows}: undecided there"
            )
            settled[spot] = replace(shared, reason=reason)
    return settled


def _decided(root: Spot, known: Mapping[str, Any]) -> Proposal | None:
    """Return the existing rule of the referenced column, if it can apply to the columns that reference it."""
    table = known.get(root[0])
    rule = table.get(root[1]) if isinstance(table, dict) else table if table == KEEP else None
    if rule == KEEP:
        return Proposal(KEEP, "as decided", 0.7)
    if isinstance(rule, dict) and rule.get("group") and not rule.get("by") and rule.get("maker"):
        options = {key: value for key, value in rule.items() if key != "maker"}
        return Proposal(str(rule["maker"]), "as decided", 0.9, options)
    return None if rule is None else undecided("the existing rule has no group, so that references could not follow it")


def _joinable(catalog: Catalog, root: Spot, proposal: Proposal, present: list[Spot]) -> Proposal:
    """Return the proposal in a form that depends on the value alone and with which collisions are improbable."""
    columns = [each for table, name in present if (held := catalog.table(table)) and (each := held.column(name))]
    room = min((column.max_length or 64 for column in columns), default=64)
    group = {"group": f"{root[0]}.{root[1]}"}
    same = {key: value for key, value in proposal.options.items() if key == "anonymizer"}
    if proposal.maker == KEEP:
        return undecided("a column that references this one looks personal")
    if proposal.maker == UNDECIDED:
        return proposal
    if all(column.base == "uuid" for column in columns):
        return replace(proposal, maker="uuid", options=group | same)
    if any(column.category != "S" or column.array for column in columns) or room < 8:
        return undecided(f"{proposal.reason}; no mask fits all columns of this reference", proposal.kind)
    if proposal.maker == "email" and room >= HASHED_ADDRESS:
        return replace(proposal, options={"form": "hash"} | group)
    return replace(proposal, maker="hash", options={"chars": min(room, HASH)} | group | same)
