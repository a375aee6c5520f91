"""The columns that a trigger writes, and the columns that the values come from: assignments to NEW, copies into other tables.

Values are followed through assignments, local variables, SELECT INTO and FOR; conditions are not. What cannot be followed
(SQL that is built at run time, the assignment of a whole row, another language) is reported as unknown.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from tasks.estate.schema import Catalog, Name, Table, Trigger
from tasks.masking.sql_tokens import Token, is_query, parts_of, statements, tokens, without_conditions

Spot = tuple[str, str]  # table as it prints, column
ROWS = ("new", "old")
BY_ARGUMENTS = ("tsvector_update_trigger", "tsvector_update_trigger_column")
# Trigger functions of PostgreSQL's own modules that read no column.
OWN_STAMPS = {"moddatetime", "insert_username", "autoinc", "suppress_redundant_updates_trigger", "lo_manage"}
NOT_A_TARGET = {
    "if", "elsif", "elseif", "while", "return", "raise", "perform", "exit", "continue", "when", "end", "null", "exception", "open",
    "close", "fetch", "assert", "get", "call", "delete", "commit", "rollback", "truncate", "lock", "notify",
}  # fmt: skip


class Named(NamedTuple):
    """A name in a FROM list: its table, if it is one, the alias that qualifies its columns, and the place after it."""

    table: Table | None
    alias: str
    end: int


class TriggerWrites:
    """What one trigger writes (`written`: each column with the columns that it reads), and what is `unknown`."""

    def __init__(self, catalog: Catalog, trigger: Trigger) -> None:
        self._catalog, self.trigger = catalog, trigger
        self.written: dict[Spot, set[Spot]] = {}
        self.unknown: list[str] = []
        self._variables: dict[str, set[Spot]] = {}
        self._records: dict[str, list[set[Spot]]] = {}  # variables with an assigned ROW(…), by field
        self._fields: dict[tuple[str, str], set[Spot]] = {}  # variable and field
        self._inside: set[str] = set()
        self._table = catalog.table(str(trigger.table))
        if self._table is not None:
            self._read()

    def _read(self) -> None:
        trigger, table = self.trigger, str(self.trigger.table)
        if trigger.function in BY_ARGUMENTS and trigger.language != "plpgsql":
            if len(trigger.arguments) > 2:
                self._write((table, trigger.arguments[0]), {(table, name) for name in trigger.arguments[2:]})
        elif trigger.function == "versioning" and len(trigger.arguments) > 1:
            self._versioned(trigger.arguments[1])
        elif trigger.language in ("plpgsql", "rule"):
            body = list(statements(self._body()))
            for _ in range(4):  # in a loop, a variable may be read before the statement that assigns it
                before = {name: len(reads) for name, reads in self._variables.items()}
                for statement in body:
                    self._statement(statement)
                if before == {name: len(reads) for name, reads in self._variables.items()}:
                    break
        elif trigger.function not in OWN_STAMPS:
            self._not_known(f"its function {trigger.function} is written in {trigger.language}")
        for spot in list(self.written):
            self.written[spot].discard(spot)

    def _body(self) -> list[Token]:
        """Return the tokens of the function, or of the action of a rule."""
        found = tokens(self.trigger.source)
        if self.trigger.language != "rule":
            return found
        action = found[(_place(found, "do") or 0) + 1 :]
        while action and (action[0].word in ("also", "instead") or action[0].text == "("):
            action = action[1:]
        return action

    def _versioned(self, history: str) -> None:
        """Add the writes of temporal_tables, which copies each row into the columns of the history table with equal names."""
        named = self._name(tokens(history), 0)
        if named is None or named.table is None or self._table is None:
            self._not_known(f"it copies rows into {history}, which does not exist")
            return
        for column in self._table.columns:
            if named.table.column(column.name) is not None:
                self._write((str(named.table.name), column.name), {(str(self._table.name), column.name)})

    def _not_known(self, why: str) -> None:
        if why not in self.unknown:
            self.unknown.append(why)

    def _write(self, spot: Spot, reads: set[Spot]) -> None:
        self.written.setdefault(spot, set()).update(reads)

    def _statement(self, found: list[Token]) -> None:
        head = found[0].word
        if head == "execute" or (head in ("for", "return") and any(token.word == "execute" for token in found)):
            self._not_known("it runs SQL that is built at run time")
        elif head == "merge":
            self._not_known("it runs a MERGE")
        elif head == "insert":
            self._insert(found)
        elif head == "update":
            self._update(found)
        elif head in ("select", "with"):
            self._select(found)
        elif head in ("for", "foreach") and len(found) > 3:
            self._variables.setdefault(found[1].text, set()).update(self._reads(found[2:]))
        elif head not in NOT_A_TARGET:
            self._assignment(found)

    def _assignment(self, found: list[Token]) -> None:
        parts = next((at for at, token in enumerate(found) if token.text in (":=", "=") or token.word == "default"), 0)
        if parts:
            value = found[parts + 1 :]
            self._set(found[:parts], self._reads(value))
            if value and value[0].word == "row" and found[0].word not in ROWS:
                self._records[found[0].text] = [self._reads(part) for part in parts_of(value[2 : _closing(value, 1)])]

    def _set(self, target: Sequence[Token], reads: set[Spot]) -> None:
        if target[0].word not in ROWS:
            self._variables.setdefault(target[0].text, set()).update(reads)
            if len(target) > 2 and target[1].text == ".":
                self._fields.setdefault((target[0].text, target[2].text), set()).update(reads)
        elif len(target) > 2 and target[1].text == ".":
            if self._table is not None and self._table.column(target[2].text) is not None:
                self._write((str(self.trigger.table), target[2].text), reads)
        else:
            self._not_known("it assigns the whole row")

    def _select(self, found: list[Token]) -> None:
        """Read SELECT … INTO: each target from its own expression, if their numbers are equal."""
        place = _place(found, "into")
        if place is None:
            return
        if place == 1:  # SELECT INTO name …
            self._set([t for t in found[2:] if t.word != "strict"], self._reads(found))
            return
        end = next((at for at in range(place + 1, len(found)) if found[at].word in ("from", "where")), len(found))
        targets = [part for part in parts_of([t for t in found[place + 1 : end] if t.word != "strict"]) if part]
        listed = parts_of(found[1:place])
        rest = found[:place] + found[end:]
        whole = self._reads(rest)
        tables, _ = self._tables(rest)
        one_each = found[0].word == "select" and len(listed) == len(targets) and not _has_star(listed)
        for at, target in enumerate(targets):
            self._set(target, self._reads(listed[at], tables) if one_each else whole)

    def _insert(self, found: list[Token]) -> None:
        named = self._name(found, 2) if found[1:2] and found[1].word == "into" else None
        if named is None or named.table is None:
            return
        table, at = named.table, named.end
        columns = [column.name for column in table.columns]
        if found[at : at + 1] and found[at].text == "(" and found[at + 1].word != "select":
            end = _closing(found, at)
            columns, at = [part[0].text for part in parts_of(found[at + 1 : end]) if part], end + 1
        rest = found[at:]
        conflict = _place(rest, "do")
        body = rest[:conflict] if conflict is not None else rest
        for (variable, field), reads in self._fields.items():
            if any(token.text == variable and after.text == "." for token, after in pairwise(body)):
                self._write((str(table.name), field), reads)
        for row in self._rows(body):
            for column, reads in zip(columns, row, strict=False):
                self._write((str(table.name), column), reads)
        if conflict is not None and (place := _place(rest, "set", conflict)) is not None:
            self._assigned(table, rest[place + 1 :], {"excluded": table})

    def _rows(self, body: list[Token]) -> Iterator[list[set[Spot]]]:
        """Yield the reads of each expression in VALUES or in a SELECT list, with `NEW.*` expanded."""
        if body and body[0].word == "values":
            for part in parts_of(body[1:]):
                if part and part[0].text == "(":
                    yield self._listed(part[1 : _closing(part, 0)], {})
            return
        select = next((at for at, token in enumerate(body) if token.word == "select"), None)
        if select is None:
            return
        end = next(
            (at for at in _outside(body, select + 1) if body[at].word in ("from", "where", "on", "returning")),
            len(body),
        )
        tables, _ = self._tables(body)
        yield self._listed(body[select + 1 : end], tables)

    def _listed(self, found: list[Token], tables: dict[str, Table]) -> list[set[Spot]]:
        listed: list[set[Spot]] = []
        for part in parts_of(found):
            if part and part[-1].text == "*" and (len(part) == 1 or part[-2].text == "."):
                if len(part) > 1 and part[0].text in self._variables:
                    listed += self._record(part[0].text)
                    continue
                rows = self._rows_of(part[0].text) if len(part) > 1 else None
                wanted = [rows] if rows else [tables[part[0].text]] if part[0].text in tables else list(tables.values())
                listed += [{(str(table.name), column.name)} for table in wanted for column in table.columns]
            else:
                listed.append(self._reads(part, tables))
        return listed

    def _record(self, variable: str) -> list[set[Spot]]:
        if variable not in self._records:
            self._not_known(f"it inserts the record {variable}, whose columns are not known")
        return self._records.get(variable, [])

    def _update(self, found: list[Token]) -> None:
        named, place = self._name(found, 1), _place(found, "set")
        if named is None or named.table is None or place is None:
            return
        tables, _ = self._tables(found[place:])
        self._assigned(named.table, found[place + 1 :], {**tables, named.alias: named.table})

    def _assigned(self, table: Table, found: list[Token], tables: dict[str, Table]) -> None:
        """Read `a = …, (b, c) = …` up to FROM, WHERE or RETURNING."""
        end = next((at for at in _outside(found, 0) if found[at].word in ("from", "where", "returning")), len(found))
        for part in parts_of(found[:end]):
            sides = parts_of(part, "=")
            if len(sides) < 2 or not sides[0]:
                continue
            reads = self._reads(part[len(sides[0]) + 1 :], tables)
            for target in sides[0]:
                if target.is_name:
                    self._write((str(table.name), target.text), reads)

    def _reads(self, found: Sequence[Token], tables: dict[str, Table] | None = None) -> set[Spot]:
        """Return the columns from which these tokens take their value, also through local variables."""
        own, rest = self._tables(found)
        known = {**(tables or {}), **own}
        kept = without_conditions(rest)
        reads: set[Spot] = set()
        for at, token in enumerate(kept):
            after = kept[at + 1].text if at + 1 < len(kept) else ""
            if at and kept[at - 1].text == ".":
                continue
            if not token.is_name:
                if token.text == "*" and at and kept[at - 1].word == "select":
                    reads.update(spot for table in known.values() for spot in _all(table))
                continue
            row = self._rows_of(token.text) if not token.quoted else None
            row = row or (known.get(token.text) if after != "(" else None)
            if row is not None and after == ".":
                column = kept[at + 2].text if at + 2 < len(kept) else "*"
                reads |= _all(row) if column == "*" else {(str(row.name), column)} if row.column(column) else set()
            elif row is not None:
                reads |= _all(row)
            elif after == "(":
                reads |= self._called(token.text)
            elif token.text in self._variables:
                reads |= self._variables[token.text]
            else:
                reads |= {(str(table.name), token.text) for table in known.values() if table.column(token.text)}
        return reads

    def _rows_of(self, name: str) -> Table | None:
        return self._table if name in ROWS else None

    def _called(self, name: str) -> set[Spot]:
        """Return what a function of the application reads from tables, without its arguments."""
        if name in self._inside:
            return set()
        self._inside.add(name)
        bodies = [
            each for each in self._catalog.functions if each.name.name == name and each.language in ("sql", "plpgsql")
        ]
        reads = {
            spot
            for body in bodies
            for statement in statements(tokens(body.source))
            if any(token.word == "from" for token in statement)
            for spot in self._reads(statement)
        }
        self._inside.discard(name)
        return reads

    def _tables(self, found: Sequence[Token]) -> tuple[dict[str, Table], list[Token]]:
        """Return the tables whose rows these tokens read, by alias, and the tokens without the names of tables."""
        tables: dict[str, Table] = {}
        dropped: set[int] = set()
        for place, token in enumerate(found):
            if token.word != "join" and not (token.word == "from" and is_query(found, place)):
                continue
            at = place + 1
            while (named := self._name(found, at)) is not None:
                if named.table is not None:
                    tables[named.alias] = named.table
                    dropped.update(range(at, named.end))
                if token.word == "join" or named.end >= len(found) or found[named.end].text != ",":
                    break
                at = named.end + 1
        return tables, [token for at, token in enumerate(found) if at not in dropped]

    def _name(self, found: Sequence[Token], at: int) -> "Named | None":
        """Return the table that is named at a place, or None without a name."""
        while at < len(found) and found[at].word in ("only", "lateral"):
            at += 1
        if at >= len(found) or not found[at].is_name:
            return None
        schema, name, end = "", found[at].text, at + 1
        if end + 1 < len(found) and found[end].text == "." and found[end + 1].is_name:
            schema, name, end = name, found[end + 1].text, end + 2
        table = self._table if name in self.trigger.transitions and not schema else self._find(schema, name)
        aliased = end + (end < len(found) and found[end].word == "as")
        if aliased < len(found) and found[aliased].is_name and found[aliased].word not in NO_ALIAS:
            return Named(table, found[aliased].text, aliased + 1)
        return Named(table, name, end)

    def _find(self, schema: str, name: str) -> Table | None:
        schemas = [schema] if schema else [self.trigger.table.schema_name, "public"]
        exact = (self._catalog.table(str(Name(schema_name=each, name=name))) for each in schemas)
        anywhere = (table for table in self._catalog.tables if table.name.name == name and not schema)
        return next((table for table in exact if table is not None), next(anywhere, None))


NO_ALIAS = {
    "where", "set", "join", "left", "right", "inner", "cross", "full", "natural", "on", "using", "group", "order", "limit", "offset",
    "having", "union", "except", "intersect", "returning", "values", "select", "into", "for", "loop", "window", "tablesample",
    "overriding", "default", "with", "then", "end",
}  # fmt: skip


def _all(table: Table) -> set[Spot]:
    return {(str(table.name), column.name) for column in table.columns}


def _has_star(listed: Sequence[Sequence[Token]]) -> bool:
    return any(part and part[-1].text == "*" for part in listed)


def _outside(found: Sequence[Token], start: int) -> Iterator[int]:
    """Yield the places outside parentheses."""
    depth = 0
    for at in range(start, len(found)):
        depth += {"(": 1, ")": -1}.get(found[at].text, 0)
        if not depth:
            yield at


def _place(found: Sequence[Token], word: str, start: int = 0) -> int | None:
    return next((at for at in _outside(found, start) if found[at].word == word), None)


def _closing(found: Sequence[Token], opening: int) -> int:
    """Return the place of the parenthesis that closes the one at `opening`."""
    return next(_outside(found, opening), len(found))
