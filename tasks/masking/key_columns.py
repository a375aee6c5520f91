"""Which columns are keys: declared keys, and columns that are named like the key of a table."""

from tasks.estate.schema import Catalog, Table
from tasks.masking.personal_columns import spelling

KEY_TYPES = ("int2", "int4", "int8", "uuid")
Spot = tuple[str, str]  # table as it prints, column


def keys_of(catalog: Catalog) -> frozenset[Spot]:
    """Return every column of an integer or UUID type that is in a primary key or a foreign key, is referenced by one, or is
    named like the single-column key of a table of the database (`user_id`, `approved_by_user_id` for `users.id`).
    """
    declared = {(str(table.name), column) for table in catalog.tables for column in _primary(table)}
    for key in catalog.foreign_keys:
        declared |= {(str(key.table), column) for column in key.columns}
        declared |= {(str(key.references), column) for column in key.referenced_columns}
    named = _words_of_tables(catalog)
    return frozenset(
        (str(table.name), column.name)
        for table in catalog.tables
        for column in table.copied
        if column.base in KEY_TYPES
        and not column.array
        and ((str(table.name), column.name) in declared or _points_at(column.name, column.base, named))
    )


def _primary(table: Table) -> tuple[str, ...]:
    return table.primary.columns if table.primary is not None else ()


def _words_of_tables(catalog: Catalog) -> dict[str, set[str]]:
    """Return the names of tables in the singular, with the types of their keys (`uuid` or `int`).

    A prefix that several tables share (`auth_user`, `auth_group`) may be missing from the name of a key.
    """
    names: dict[str, set[str]] = {}
    spelled = {str(table.name): spelling(table.name.name).strip("_") for table in catalog.tables}
    prefixes = [name.partition("_")[0] for name in spelled.values() if "_" in name]
    for table in catalog.tables:
        column = table.column(_primary(table)[0]) if len(_primary(table)) == 1 else None
        if column is None or column.base not in KEY_TYPES:
            continue
        name = spelled[str(table.name)]
        first, _, rest = name.partition("_")
        for word in (name, rest) if prefixes.count(first) > 1 else (name,):
            for singular in _singulars(word):
                names.setdefault(singular, set()).add(_family(column.base))
    return names


def _family(base: str) -> str:
    return "uuid" if base == "uuid" else "int"


def _singulars(word: str) -> set[str]:
    """Return the word as it is, and without the ending of an English plural."""
    found = {word}
    for ending, instead in (("ies", "y"), ("ses", "s"), ("xes", "x"), ("ches", "ch"), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            found.add(word.removesuffix(ending) + instead)
    return found - {""}


def _points_at(column: str, base: str, named: dict[str, set[str]]) -> bool:
    """Return whether `…_<table>_id` or `id_<table>` names a table whose key has this type."""
    words = spelling(column).strip("_").split("_")
    if len(words) > 1 and words[-1] in ("id", "uuid"):
        stem = words[:-1]
    elif len(words) > 1 and words[0] == "id":
        stem = words[1:]
    else:
        return False
    return any(_family(base) in named.get("_".join(stem[start:]), ()) for start in range(len(stem)))
