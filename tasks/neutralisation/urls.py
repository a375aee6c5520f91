"""REPLACE_URLS: every URL of the other side points here, in all spellings and in serialised values; `guid` is left alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.estate.errors import Unreachable
from tasks.estate.recipes import CopyStep, StepCount, StepDone
from tasks.neutralisation.context import Context
from tasks.neutralisation.statements import Database, identifier, literal
from tasks.wpcli.commands import LONGEST_COMMAND, Command
from tasks.wpcli.wordpress import QUIET, WordPress

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

STEP = CopyStep.REPLACE_URLS
# As written in HTML (http, https and without a protocol), in JSON, and in the query of a URL, in both cases of its digits.
SPELLINGS = ("//", r"\/\/", "%2F%2F", "%2f%2f")
ENDS = r"(?!\.?[A-Za-z0-9-])"  # after a domain: nothing that would make it a longer one
SHOWN = 12  # tables that a sentence names
NETWORK_TABLES = ("blogs", "site")  # of a network: the bare domain of each site


def count(connection: "Connection", context: Context) -> StepCount:
    """Return how many values contain a URL of the other side: a dry run. Raise as `Connection.run`."""
    found = _places(connection, context)
    return StepCount(step=STEP, places=sum(found.values()), note=", ".join([*found][:SHOWN]))


def apply(connection: "Connection", context: Context) -> StepDone:
    """Replace the other side's domains, then search again.

    A search of all tables that runs out of memory or time is repeated table by table. A repetition finds only what is left. The
    sites of a network come first: WordPress finds none while their domains are those of the other side.
    """
    database = Database(connection, context.prefix)
    changed = _rename_sites(database, context)
    changed += sum(_replace(connection, database, each) for each in _replacements(context))
    left = {table: rows for table, rows in _places(connection, context).items() if rows}
    dangerous = [f"URLs of {context.source} in {', '.join([*left][:SHOWN])}"] if left else []
    dangerous += [f"no domain here for {domain}" for domain in _others(context) if not _own_domain(domain, context)]
    return StepDone(step=STEP, changed=changed, checked=not left, still_dangerous="; ".join(dangerous))


def _own_domain(domain: str, context: Context) -> str:
    """Return the domain that takes the place of one of the other side, or an empty text if it has no counterpart.

    It is our first domain. In a network each site has its own: one on a subdomain keeps its first label, and one on an unrelated
    domain has none here.
    """
    own, first = context.own_domains[0], context.other_domains[0].removeprefix("www.")
    if not context.is_network or domain.removeprefix("www.") == first:
        return own
    return domain.removesuffix(first) + own.removeprefix("www.") if domain.endswith(f".{first}") else ""


def _others(context: Context) -> list[str]:
    """Return the domains of the other side, longest first, so that `www.a.example` is replaced before `a.example`."""
    return sorted({*context.other_domains} - {*context.own_domains}, key=lambda domain: (-len(domain), domain))


@dataclass(frozen=True)
class Replacement:
    """A spelling of one domain of the other side, and the same spelling of ours.

    It is ambiguous if another known domain begins with this one, so that a plain replacement would change that one too. A
    pattern then takes its place, which is slow.
    """

    old: str
    new: str
    ambiguous: bool

    @property
    def values(self) -> tuple[str, str]:
        """The arguments of `wp search-replace`."""
        if not self.ambiguous:
            return self.old, self.new
        return re.escape(self.old).replace("/", r"\/") + ENDS, self.new.replace("\\", "\\\\")

    @property
    def options(self) -> dict[str, str | bool]:
        """The options of `wp search-replace`, except which tables are searched."""
        return {**QUIET, "skip-columns": "guid", "format": "count", "regex": self.ambiguous}


def _replacements(context: Context) -> Iterator[Replacement]:
    for domain in _others(context):
        known = (*context.own_domains, *context.other_domains)
        ambiguous = any(each != domain and each.startswith(domain) for each in known)
        if own := _own_domain(domain, context):
            yield from (Replacement(f"{each}{domain}", f"{each}{own}", ambiguous) for each in SPELLINGS)


def _replace(connection: "Connection", database: Database, replacement: Replacement) -> int:
    values, options = replacement.values, replacement.options
    whole = Command(("search-replace",), values, {**options, "all-tables-with-prefix": True})
    try:
        return _counted(connection, whole)
    except Unreachable as error:
        if not (error.facts.get("memory") or error.facts.get("overdue")):
            raise
    return sum(
        _counted(connection, Command(("search-replace",), (*values, table), options)) for table in database.tables
    )


def _counted(connection: "Connection", command: Command) -> int:
    """Return the number that a replacement prints. Raise `Unreachable` if it prints none."""
    printed = connection.run(command, within=LONGEST_COMMAND).last_line
    if not re.fullmatch(r"\d+", printed):
        raise Unreachable("wp search-replace: the answer is not a number.")
    return int(printed)


def _site_domains(database: Database, context: Context) -> Iterator[tuple[str, str, str]]:
    """Yield each table of a network with each domain of the other side and the one that takes its place."""
    for suffix in NETWORK_TABLES if context.is_network else ():
        for table in database.named(suffix):
            for domain in _others(context):
                yield table, domain, _own_domain(domain, context)


def _rename_sites(database: Database, context: Context) -> int:
    """Replace the domain of each site of a network, and return how many rows changed."""
    return sum(
        database.change(f"UPDATE {identifier(table)} SET domain = {literal(own)} WHERE domain = {literal(domain)}")
        for table, domain, own in _site_domains(database, context)
        if own
    )


def _places(connection: "Connection", context: Context) -> dict[str, int]:
    """Return by table how many values contain a URL of the other side, tables without a primary key included."""
    found: dict[str, int] = {}
    unsearched: set[str] = set()
    for each in _replacements(context):
        if each.ambiguous:
            everywhere: dict[str, str | bool] = {**each.options, "all-tables-with-prefix": True, "dry-run": True}
            rows = _counted(connection, Command(("search-replace",), each.values, everywhere))
            found["the database"] = found.get("the database", 0) + rows
            continue
        searched = WordPress(connection).search(each.old)
        unsearched |= {*searched.unsearched}
        for place in searched.places:
            found[place.table] = found.get(place.table, 0) + place.count
    database = Database(connection, context.prefix)
    for table, domain, _ in _site_domains(database, context):
        rows = database.number(f"SELECT COUNT(*) FROM {identifier(table)} WHERE domain = {literal(domain)}")
        found[table] = found.get(table, 0) + rows
    for table in sorted(unsearched):  # WP-CLI passes over them; they are counted, and nothing can be replaced in them
        for column in (each for each in database.tables.get(table, ()) if each.is_text and each.name != "guid"):
            name = identifier(column.name)
            contained = " OR ".join(f"INSTR({name}, {literal(each.old)}) > 0" for each in _replacements(context))
            rows = database.number(f"SELECT COUNT(*) FROM {identifier(table)} WHERE {contained}")
            found[table] = found.get(table, 0) + rows
    return found
