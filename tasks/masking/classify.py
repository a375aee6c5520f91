"""Draft a masking policy: `keep`, a maker or undecided for every column, each with its reason; and find strays.

A person reads and corrects the draft. It contains names, counts and reasons, never a value of a row.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import yaml
from pydantic import Field

from tasks.estate.errors import Misconfigured
from tasks.estate.schema import Catalog, Name, Stray, Table
from tasks.estate.sites import Immutable
from tasks.masking.key_columns import keys_of
from tasks.masking.personal_columns import spelling
from tasks.masking.personal_values import Kind, recognise_in_text
from tasks.masking.policy import as_given, is_pattern, parse_policy
from tasks.masking.policy_patterns import expand
from tasks.masking.proposals import KEEP, UNDECIDED, Proposal
from tasks.masking.proposals_derived import RECOMPUTED, decided_rule, propose_derived
from tasks.masking.proposals_linked import assign_people, follow_references, links_of
from tasks.masking.proposals_nested import propose_any
from tasks.masking.words_personal import DROPPED, EXCLUDED

Whole = Literal["keep", "drop", "exclude"]
SURE = 0.8  # confidence from which there is doubt about a kept column


class ColumnDraft(Immutable):
    """The draft for one column. `rule` is the content for the policy file (`keep`, a maker, or a mapping with options), None
    while undecided. `new`: the existing policy does not have the column. `doubt`: why an existing `keep` looks wrong.
    """

    name: str
    rule: str | dict[str, Any] | None
    reason: str
    confidence: float  # 0 to 1; 1 for rules of the existing policy
    kind: Kind | None = None
    new: bool = False
    doubt: str = ""
    covered: bool = False  # a pattern or `keys: keep` has the same rule: the file needs no line

    @property
    def settled(self) -> bool:
        """Whether the rule is from the existing policy."""
        return self.confidence == 1.0


class TableDraft(Immutable):
    """The draft for one table: one rule for the whole table, or one for each column that is copied."""

    name: Name
    whole: Whole | None = None
    reason: str = ""
    columns: tuple[ColumnDraft, ...] = ()
    new: bool = False


class Draft(Immutable):
    """A policy before its review. `rest` is the other content of the existing policy, unchanged; `gone` are tables and columns
    that it names and the database no longer has.
    """

    app: str
    schema_version: int
    locale: str
    tables: tuple[TableDraft, ...]
    references: tuple[str, ...] = ()
    rest: dict[str, Any] = Field(default_factory=dict)
    gone: tuple[str, ...] = ()
    patterns: dict[str, Any] = Field(default_factory=dict)  # key with a wildcard → its rule, as in the policy
    keep_keys: bool = False  # `keys: keep`

    def _columns(self) -> Iterator[tuple[str, ColumnDraft]]:
        return ((f"{table.name}.{column.name}", column) for table in self.tables for column in table.columns)

    def covering(self, columns: Collection[tuple[str, str]]) -> "Draft":
        """Return the draft with these columns (table, name) marked as covered by a pattern."""
        tables = tuple(
            table.model_copy(
                update={
                    "columns": tuple(
                        c.model_copy(update={"covered": True}) if (str(table.name), c.name) in columns else c
                        for c in table.columns
                    )
                }
            )
            for table in self.tables
        )
        return self.model_copy(update={"tables": tables})

    @property
    def undecided(self) -> tuple[str, ...]:
        """Return the columns that a person has to decide, as `table.column`."""
        return tuple(name for name, column in self._columns() if column.rule is None)

    @property
    def new(self) -> tuple[str, ...]:
        """Return tables and columns that the existing policy does not have."""
        tables = tuple(str(table.name) for table in self.tables if table.new)
        return tables + tuple(name for name, column in self._columns() if column.new)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Return columns that the existing policy keeps although they look personal, as `table.column: why`."""
        return tuple(f"{name}: {column.doubt}" for name, column in self._columns() if column.doubt)


def draft(
    catalog: Catalog, samples: Mapping[tuple[str, str], Sequence[str]], existing: Mapping[str, Any] | None = None
) -> Draft:
    """Draft a policy for all tables of `catalog`.

    `samples` maps (table as printed, column) to some hundred values in PostgreSQL's text output, without NULLs. `existing`
    is the parsed content of a policy file; its rules are adopted unchanged. Raise `Misconfigured` if it is not a policy.
    """
    content = dict(existing or {})
    known = content.get("tables") or {}
    if not isinstance(known, Mapping):
        raise Misconfigured(
            f"The existing policy's `tables` is a {type(known).__name__}; expected table names with rules."
        )
    references = tuple(map(str, content.get("references") or ()))
    patterns = {str(name): rule for name, rule in known.items() if is_pattern(str(name))}
    known, covered = _written_out(catalog, content, known)
    links = links_of(catalog, references)
    keys = keys_of(catalog)
    own = {
        (str(table.name), column.name): propose_any(
            table,
            column,
            samples.get((str(table.name), column.name), ()),
            linked=(str(table.name), column.name) in links or (str(table.name), column.name) in keys,
        )
        for table in catalog.tables
        for column in table.copied
    }
    following = follow_references(catalog, links, assign_people(catalog, own), known)
    following = propose_derived(catalog, following, known, samples)
    # The doubt about a decided column depends on it alone, not on the columns that reference it.
    proposals = {
        spot: own[spot] if decided_rule(known, *spot) and following[spot].maker not in RECOMPUTED else following[spot]
        for spot in own
    }
    return Draft(
        app=content.get("app") or _app(catalog.identity.database),
        schema_version=content.get("schema_version", 1),
        locale=content.get("locale", "de_DE"),
        tables=tuple(_table(table, catalog, proposals, known, bool(existing)) for table in catalog.tables),
        references=references,
        rest={key: value for key, value in content.items() if key not in HEAD},
        gone=tuple(_gone(catalog, known)),
        patterns=patterns,
        keep_keys=content.get("keys") == KEEP,
    ).covering(covered)


def _written_out(
    catalog: Catalog, content: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[dict[str, Any], frozenset[tuple[str, str]]]:
    """Return the tables of the existing policy with its patterns written out, and the columns that a pattern decides."""
    exact = {str(name): rule for name, rule in known.items() if not is_pattern(str(name))}
    if len(exact) == len(known) and "keys" not in content and not any(_has_patterns(rule) for rule in exact.values()):
        return exact, frozenset()
    expanded = expand(parse_policy(yaml.safe_dump(dict(content), sort_keys=False)), catalog)
    covered = frozenset(expanded.by_pattern or ())
    for name, rule in expanded.policy.tables.items():
        added = {column: as_given(each) for column, each in rule.columns.items() if (name, column) in covered}
        before = exact.get(name)
        if added and not isinstance(before, str):
            exact[name] = {**(before or {}), **added}
        elif name not in exact and rule.whole is not None:
            exact[name] = rule.whole
    return exact, covered


def _has_patterns(rule: Any) -> bool:
    return isinstance(rule, dict) and any(is_pattern(str(column)) for column in rule)


HEAD = ("app", "schema_version", "locale", "tables", "references", "unclassified", "keys")


def _app(database: str) -> str:
    """Return the database's name in the form of a policy's `app`, which is part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", database.lower()).strip("-")[:40] or "app"


def _table(
    table: Table,
    catalog: Catalog,
    proposals: Mapping[tuple[str, str], Proposal],
    known: Mapping[str, Any],
    compared: bool,
) -> TableDraft:
    name = str(table.name)
    rule = known.get(name)
    rows = [
        _column(column.name, proposals[name, column.name], rule, compared and name in known) for column in table.copied
    ]
    if rule in ("keep", "drop", "exclude"):
        doubts = tuple(row for row in rows if row.doubt) if rule == KEEP else ()
        return TableDraft(name=table.name, whole=rule, reason="as decided", columns=doubts)
    new = compared and name not in known
    if rule is None and (whole := _whole(table, catalog)) is not None:
        return TableDraft(name=table.name, whole=whole[0], reason=whole[1], new=new)
    return TableDraft(name=table.name, columns=tuple(rows), new=new)


def _whole(table: Table, catalog: Catalog) -> tuple[Whole, str] | None:
    """Return a rule for a whole table by its name. A table that others reference is never dropped: their rows need it."""
    if table.name.schema_name == "understudy":
        return "exclude", "the marker of a database that was a target"
    spelled = spelling(table.name.name)
    if EXCLUDED.search(spelled):
        return "exclude", "belongs to the installation: staging keeps its own"
    referenced = any(key.references == table.name and key.table != table.name for key in catalog.foreign_keys)
    if DROPPED.search(spelled) and not referenced:
        return "drop", "sessions, tokens or queues, which staging does not need"
    return None


def _column(name: str, proposal: Proposal, rules: Any, compared: bool) -> ColumnDraft:
    if isinstance(rules, dict) and name in rules:
        return _decided(name, proposal, "null" if rules[name] is None else rules[name])
    if rules == KEEP:
        return _decided(name, proposal, KEEP)
    rule: str | dict[str, Any] | None = None if proposal.maker == UNDECIDED else proposal.maker
    if proposal.maker in RECOMPUTED:
        rule = {"recompute": "trigger", **proposal.options}
    elif proposal.options and rule is not None:
        rule = {"maker": proposal.maker, **proposal.options}
    return ColumnDraft(
        name=name,
        rule=rule,
        reason=proposal.reason,
        confidence=proposal.confidence,
        kind=proposal.kind,
        new=compared,
    )


def _decided(name: str, proposal: Proposal, rule: Any) -> ColumnDraft:
    if not isinstance(rule, str | dict):
        raise Misconfigured(
            f"The existing rule of column {name} is a {type(rule).__name__}; expected a maker or a mapping."
        )
    kept = rule == KEEP or (isinstance(rule, dict) and rule.get("maker") == KEEP)
    personal = proposal.maker not in (KEEP, UNDECIDED) and proposal.confidence >= SURE
    doubt = proposal.reason if kept and personal else ""
    return ColumnDraft(name=name, rule=rule, reason="as decided", confidence=1.0, kind=proposal.kind, doubt=doubt)


def _gone(catalog: Catalog, known: Mapping[str, Any]) -> Iterator[str]:
    for name, rules in known.items():
        table = catalog.table(str(name))
        if table is None:
            yield str(name)
        elif isinstance(rules, dict):
            yield from (
                f"{name}.{column}"
                for column in rules
                if not is_pattern(str(column)) and table.column(str(column)) is None
            )


def scan_strays(texts: Iterable[tuple[str, str, str]]) -> tuple[Stray, ...]:
    """Return the personal data in `(where, kind, text)` of every comment, default, view and function body.

    There is one finding for each place and kind of personal data, without the text itself.
    """
    return tuple(
        dict.fromkeys(
            Stray(where=where, kind=kind, what=found.value)
            for where, kind, text in texts
            for found in sorted(recognise_in_text(text))
        )
    )
