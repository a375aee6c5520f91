"""MASK_PEOPLE: people are masked by SQL inside the install's database; no row travels over the connection."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import bcrypt

from tasks.estate.errors import CommandRefused
from tasks.estate.recipes import CopyStep, Recipe, StepCount, StepDone
from tasks.masking.personal_columns import recognise_name
from tasks.neutralisation.context import Context
from tasks.neutralisation.masks import Mask, Masker
from tasks.neutralisation.people_tables import (
    EMPTIED,
    HARMLESS,
    HARMLESS_KEYS,
    META_TABLES,
    RULES,
    TELLING_KINDS,
    Rule,
)
from tasks.neutralisation.statements import Database, identifier, literal, utf8

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

STEP = CopyStep.MASK_PEOPLE
SHOWN = 12  # names of tables or keys in one sentence
MOST_STAFF = 2000  # accounts that a rule may keep: their numbers are part of every statement
MOST_KEYS = 5000  # different keys of a table of metadata that are looked at
KNOWN_TABLES = frozenset({rule.table for rule in RULES} | {table for table, _ in EMPTIED}) | HARMLESS


def hashed_password(password: str) -> str:
    """Return the bcrypt hash of a password in the form that PHP and every WordPress since 3.x accept."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode().replace("$2b$", "$2y$", 1)


def count(connection: "Connection", context: Context) -> StepCount:
    """Return how many rows would be masked or removed. On the source this is a dry run: nothing is changed."""
    database = Database(connection, context.prefix)
    places = sum(_dangerous(database, context).values())
    unknown = unknown_places(database, context.recipe)
    return StepCount(step=STEP, places=places, note=_named("no rule knows ", unknown))


def apply(connection: "Connection", context: Context) -> StepDone:
    """Mask and remove in slices, then count again: nothing may be left. A repetition continues where it stopped."""
    database = Database(connection, context.prefix)
    changed = sum(
        database.change(f"UPDATE {identifier(table)} SET {assignments} WHERE {part} AND ({condition})")
        for table, assignments, condition in _masked(database, context)
        for part in database.slices(table)
    )
    changed += sum(
        database.change(f"DELETE FROM {identifier(table)} WHERE {part} AND ({condition})")
        for table, condition in _emptied(database)
        for part in database.slices(table)
    )
    left = {table: rows for table, rows in _dangerous(database, context).items() if rows}
    unknown = unknown_places(database, context.recipe)
    dangerous = [_named("people in ", tuple(left)), _named("no rule knows ", unknown)]
    return StepDone(
        step=STEP, changed=changed, checked=not left, still_dangerous="; ".join(each for each in dangerous if each)
    )


def _has_roles(database: Database, account: str, condition: str) -> str:
    """Return the condition that an account has a row with roles, on any site of a network, that meets a condition.

    It is correlated by the index of accounts: a list of all such accounts would be compared with each row of a big shop.
    """
    keys = f"roles.meta_key REGEXP '^{database.prefix.replace('$', '[$]')}([0-9]+_)?capabilities$'"
    meta = identifier(f"{database.prefix}usermeta")
    return f"EXISTS (SELECT 1 FROM {meta} AS roles WHERE roles.user_id = {account} AND {keys} AND ({condition}))"


def _is_privileged(database: Database, account: str) -> str:
    """Return the condition that an account may do more than a customer: nobody may know its password."""
    plain = ("", "a:0:{}", 'a:1:{s:8:"customer";b:1;}', 'a:1:{s:10:"subscriber";b:1;}')
    return _has_roles(database, account, f"roles.meta_value NOT IN ({', '.join(map(literal, plain))})")


def staff_accounts(database: Database, recipe: Recipe) -> tuple[str, ...]:
    """Return the numbers of the accounts that are kept. Raise `CommandRefused` if the rule keeps too many to be staff."""
    users = identifier(f"{database.prefix}users")
    kept = [f"user_email LIKE {literal('%@' + domain)}" for domain in recipe.staff.domains]
    if recipe.staff.roles:
        patterns = (f'%"{role}"%' for role in recipe.staff.roles)  # as serialised by PHP
        named = " OR ".join(f"roles.meta_value LIKE {literal(pattern)}" for pattern in patterns)
        kept.append(_has_roles(database, f"{users}.`ID`", named))
    if not kept:
        return ()
    found = tuple(
        row[0] for row in database.rows(f"SELECT ID FROM {users} WHERE {' OR '.join(kept)} LIMIT {MOST_STAFF + 1}")
    )
    if len(found) > MOST_STAFF:
        raise CommandRefused(
            f"The rule for staff keeps more than {MOST_STAFF:,} accounts; expected the roles and domains of colleagues.",
            next_step="Nobody is masked. Correct `staff` in the recipe.",
        )
    return found


def _rules(recipe: Recipe) -> Iterator[Rule]:
    """Yield the reviewed rules, and one for each table of metadata with the keys that the recipe names."""
    yield from RULES
    if recipe.personal_keys:
        where = f"meta_key IN ({', '.join(map(literal, recipe.personal_keys))})"
        yield Rule("usermeta", {"meta_value": Mask.BLANK}, "user_id", "user", where, "user_id")
        for table, owner in (("postmeta", "post_id"), ("wc_orders_meta", "order_id")):
            yield Rule(table, {"meta_value": Mask.BLANK}, owner, "order", where)


def _masked(database: Database, context: Context) -> Iterator[tuple[str, str, str]]:
    """Yield the table, the assignments and the condition of each rule that applies: rows that differ from their masks."""
    masker = Masker(context.key, context.password_hash, context.locale)
    staff = ", ".join(staff_accounts(database, context.recipe))
    for rule in _rules(context.recipe):
        for table in database.named(rule.table):
            columns = [name for name in rule.columns if database.has_columns(table, name)]
            if not columns or not database.has_columns(table, rule.owner):
                continue
            owner = identifier(rule.owner)
            masks = {
                identifier(name): masker.expression(rule.columns[name], identifier(name), rule.group, owner)
                for name in columns
            }
            limits = ["(" + " OR ".join(f"{utf8(name)} <> {utf8(mask)}" for name, mask in masks.items()) + ")"]
            if rule.where:
                posts = identifier(table.removesuffix(rule.table) + "posts")
                privileged = _is_privileged(database, f"{identifier(table)}.{owner}")
                limits.append(rule.where.replace("{posts}", posts).replace("{privileged}", privileged))
            if rule.user and staff:
                limits.append(f"{identifier(rule.user)} NOT IN ({staff})")
            yield table, ", ".join(f"{name} = {mask}" for name, mask in masks.items()), " AND ".join(reversed(limits))


def _emptied(database: Database) -> Iterator[tuple[str, str]]:
    for suffix, condition in EMPTIED:
        yield from ((table, condition or "1 = 1") for table in database.named(suffix))


def _dangerous(database: Database, context: Context) -> dict[str, int]:
    """Return by table how many rows would be masked or removed now."""
    conditions: dict[str, list[str]] = {}
    for table, condition in [*((table, each) for table, _, each in _masked(database, context)), *_emptied(database)]:
        conditions.setdefault(table, []).append(f"({condition})")
    return {
        table: sum(
            database.number(f"SELECT COUNT(*) FROM {identifier(table)} WHERE {part} AND ({' OR '.join(each)})")
            for part in database.slices(table)
        )
        for table, each in conditions.items()
    }


def unknown_places(database: Database, recipe: Recipe) -> tuple[str, ...]:
    """Return tables and keys of metadata that look personal, have content, and that neither a rule nor the recipe knows."""
    return (*_unknown_tables(database, recipe), *_unknown_keys(database, recipe))


def _unknown_tables(database: Database, recipe: Recipe) -> Iterator[str]:
    known = {table for suffix in (*KNOWN_TABLES, *recipe.harmless_tables) for table in database.named(suffix)}
    for table, columns in database.tables.items():
        if table in known:
            continue
        texts = [each.name for each in columns if each.is_text]
        personal = [
            name for name in texts if recognise_name(table.removeprefix(database.prefix), name, None) in TELLING_KINDS
        ]
        if not personal:
            continue
        filled = " OR ".join(f"{identifier(name)} <> ''" for name in personal)
        if database.number(f"SELECT EXISTS (SELECT 1 FROM {identifier(table)} WHERE {filled})"):
            yield table


def _unknown_keys(database: Database, recipe: Recipe) -> Iterator[str]:
    ruled = {key for rule in RULES for key in _quoted_in(rule.where)} | {
        key for _, where in EMPTIED for key in _quoted_in(where)
    }
    known = ruled | HARMLESS_KEYS | {*recipe.personal_keys} | {*recipe.harmless_tables}
    for suffix in META_TABLES:
        for table in database.named(suffix):
            query = f"SELECT DISTINCT meta_key FROM {identifier(table)} WHERE meta_value <> '' LIMIT {MOST_KEYS}"
            for (key,) in database.rows(query):
                if key not in known and recognise_name(suffix, key, None) in TELLING_KINDS:
                    yield f"{table}: {key[:60]}"


def _quoted_in(condition: str) -> list[str]:
    return condition.split("'")[1::2]


def _named(what: str, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    more = len(names) - SHOWN
    return what + ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
