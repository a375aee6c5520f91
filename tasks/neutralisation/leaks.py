"""The leak search after MASK_PEOPLE: a sample of production's own values, hashed at the source, searched on staging.

A reviewed list of tables can lack one. So a sample of addresses and phone numbers is hashed inside production's database with a
key of this run, and every text column of staging is hashed and compared in the same way: whole values, and the first two e-mail
addresses in a text. Only hashes and counts travel. It is a sample: what it finds is a leak, what it does not find is no proof.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.neutralisation.context import Context
from tasks.neutralisation.mask_people import staff_accounts
from tasks.neutralisation.statements import Column, Database, binary, identifier, literal, utf8

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

VALUES = 60  # of each place: a table that leaks at all leaks many of them
DIGITS = 16  # hexadecimal digits of a hash: by chance, 2^64 values contain one that is equal
SHORTEST, LONGEST = 6, 320  # characters of a value: a shorter one identifies nobody, a longer one is no address
COLUMNS = 2  # searched by one statement, whose length is limited
ADDRESS = "[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}"  # bounded, so that a long text without blanks takes no longer
# Where values are taken from: table, column, condition, and the column with the number of an account.
PLACES: tuple[tuple[str, str, str, str], ...] = (
    ("users", "user_email", "", "ID"),
    ("usermeta", "meta_value", "meta_key IN ('billing_phone', 'billing_email', 'billing_address_1')", "user_id"),
    ("comments", "comment_author_email", "", ""),
    ("postmeta", "meta_value", "meta_key IN ('_billing_email', '_billing_phone')", ""),
    ("wc_orders", "billing_email", "", ""),
    ("wc_order_addresses", "phone", "", ""),
    ("wc_order_addresses", "email", "", ""),
    ("newsletter", "email", "", ""),
    ("mailpoet_subscribers", "email", "", ""),
)


@dataclass(frozen=True)
class Sample:
    """Hashes of people's values at the source, which mean nothing without the key."""

    hashes: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.hashes)


def sample_people(source: "Connection", context: Context, *, prefix: str) -> Sample:
    """Return hashed values of the source, whose tables have this prefix. Raise as `Connection.run`.

    Values that staging keeps rightly are left out: those of staff, and addresses under the site's own domains.
    """
    database = Database(source, prefix)
    staff = ", ".join(staff_accounts(database, context.recipe))
    hashes = {row[0] for query in _sample_queries(database, context, staff) for row in database.rows(query)}
    kept = {row[0] for query in _staff_queries(database, context, staff) for row in database.rows(query)}
    return Sample(tuple(sorted(hashes - kept)))


def _staff_queries(database: Database, context: Context, staff: str) -> Iterator[str]:
    """Yield queries for the hashes of everything that the accounts of staff contain."""
    for suffix, column, user in (("users", "user_email", "ID"), ("usermeta", "meta_value", "user_id")):
        for table in database.named(suffix) if staff else ():
            yield (
                f"SELECT DISTINCT {_hashed(identifier(column), context)} FROM {identifier(table)} "
                f"WHERE {identifier(user)} IN ({staff}) AND CHAR_LENGTH({identifier(column)}) BETWEEN {SHORTEST} AND {LONGEST}"
            )


def _sample_queries(database: Database, context: Context, staff: str) -> Iterator[str]:
    own = [domain.removeprefix("www.") for domain in (*context.other_domains, *context.own_domains)]
    for suffix, name, where, user in PLACES:
        for table in database.named(suffix):
            if not database.has_columns(table, name):
                continue
            column = identifier(name)
            limits = [f"CHAR_LENGTH({column}) BETWEEN {SHORTEST} AND {LONGEST}"]
            limits += [
                f"{column} NOT LIKE {literal('%@' + domain)}" for domain in (*own, *context.recipe.staff.domains)
            ]
            limits += [f"({where})"] if where else []
            limits += [f"{identifier(user)} NOT IN ({staff})"] if user and staff else []
            yield (
                f"SELECT DISTINCT {_hashed(column, context)} AS hashed FROM {identifier(table)} "
                f"WHERE {' AND '.join(limits)} ORDER BY hashed LIMIT {VALUES}"
            )


def search_people(connection: "Connection", context: Context, sample: Sample) -> dict[str, int]:
    """Return how many rows of each column contain a value of the sample: `table.column` and a count; only those found.

    Raise as `Connection.run`.
    """
    if not sample.hashes:
        return {}
    database = Database(connection, context.prefix)
    found: dict[str, int] = {}
    hashes = ", ".join(f"'{each}'" for each in sample.hashes)
    for table, columns in database.tables.items():
        texts = [each for each in columns if each.is_text]
        for few in (texts[start : start + COLUMNS] for start in range(0, len(texts), COLUMNS)):
            for name, count in _search(database, table, few, hashes, context).items():
                found[f"{table}.{name}"] = found.get(f"{table}.{name}", 0) + count
    return {place: count for place, count in found.items() if count}


def _search(database: Database, table: str, columns: list[Column], hashes: str, context: Context) -> dict[str, int]:
    """Return by column how many rows contain a value of the sample."""
    sums = ", ".join(f"SUM({_contains(identifier(each.name), hashes, context)})" for each in columns)
    counts = dict.fromkeys((each.name for each in columns), 0)
    for part in database.slices(table):
        (row,) = database.rows(f"SELECT {sums} FROM {identifier(table)} WHERE {part}")
        for name, count in zip(counts, row, strict=True):
            counts[name] += 0 if count == "NULL" else int(count)
    return counts


def _contains(column: str, hashes: str, context: Context) -> str:
    first = f"REGEXP_SUBSTR({column}, '{ADDRESS}')"
    rest = f"SUBSTR({column}, INSTR({column}, {first}) + CHAR_LENGTH({first}))"
    second = f"REGEXP_SUBSTR({rest}, '{ADDRESS}')"
    address = " OR ".join(f"{_hashed(each, context)} IN ({hashes})" for each in (first, second))
    return (
        f"CASE WHEN CHAR_LENGTH({column}) BETWEEN {SHORTEST} AND {LONGEST} AND {_hashed(column, context)} IN ({hashes}) THEN 1 "
        f"WHEN INSTR({column}, '@') > 0 AND ({address}) THEN 1 ELSE 0 END"
    )


def _hashed(value: str, context: Context) -> str:
    key = binary(hmac.digest(context.key, b"leak search of WordPress", "sha256"))
    return f"SUBSTR(SHA2(CONCAT({key}, {utf8(f'LOWER(TRIM({value}))')}), 256), 1, {DIGITS})"
