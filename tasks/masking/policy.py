"""The masking policy: one YAML file for each application, with a rule for every column."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from tasks.estate.dumps import Anonymizer
from tasks.estate.errors import Misconfigured, PolicyRefused
from tasks.estate.planning_faults import Fault, as_facts
from tasks.estate.plans import fingerprint
from tasks.estate.sites import Immutable
from tasks.masking.makers import KINDS, AnyMaker, parse, reasons_of
from tasks.masking.policy_yaml import Lines, WrongKey, read_yaml

Nulls = Literal["keep", "mask", "equalise"]
Whole = Literal["keep", "drop", "exclude"]
WHOLE = ("keep", "drop", "exclude")
FIRST = ("app", "schema_version", "locale", "tables", "references", "audit", "canaries")  # the fields of version 0.1


class ColumnRule(Immutable):
    """The rule for one column. `maker=None`: the column is kept. `by`: the column that identifies the person, so that one
    person gets one name everywhere. `group`: columns that must stay equal to each other share one. `nulls`: a NULL stays
    (`keep`), is replaced like a value (`mask`), or every value becomes NULL, so that NULL reveals nothing (`equalise`).
    """

    maker: AnyMaker | None = None
    group: str = ""
    by: str = ""
    nulls: Nulls = "keep"
    anonymizer: Anonymizer | None = None
    line: int = 0

    @property
    def word(self) -> str:
        """Return the name of the rule in reports and in the dump's header."""
        return self.maker.maker if self.maker is not None else "keep"


class TableRule(Immutable):
    """The rule for one table: `columns` by name, or the whole table kept, dropped (no rows are copied, and staging's are
    deleted) or excluded (neither dumped nor loaded: staging keeps its own).
    """

    whole: Whole | None = None
    columns: dict[str, ColumnRule] = Field(default_factory=dict)
    line: int = 0


class Pattern(Immutable):
    """A rule for every table or column whose name matches. `name` is the key as written in the policy (`*.created_at`,
    `auth.*`, `public.log_*`). It has one of: `rule` (for columns; `keep` also for whole tables, if the name matches
    tables), `whole` (`drop` or `exclude`, for tables) and `columns` (of every matching table, by name or pattern).
    """

    name: str
    rule: ColumnRule | None = None
    whole: Literal["drop", "exclude"] | None = None
    columns: dict[str, ColumnRule] | None = None
    line: int = 0


class Reference(Immutable):
    """A foreign key that the database does not declare: equal values must stay equal."""

    table: str
    column: str
    references: str
    referenced_column: str
    line: int = 0


class Audit(Immutable):
    """The application's own audit table on staging: never dumped, never loaded, one row for each attempt."""

    table: str = "ImportExportAudit"
    error: str = "ErrorMessage"


class Accept(Immutable):
    """A reviewed false alarm of the leak search: values of the masked column `source` also occur in the column `found`."""

    source: str
    found: str
    reason: str = Field(min_length=5)
    line: int = 0


class Policy(Immutable):
    """A whole policy. `schema_version` is the application's: dumps made under the policy carry it, and loads accept it and
    older ones.
    """

    app: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")  # becomes part of a file name
    schema_version: int = Field(ge=0)
    locale: str = "de_DE"
    tables: dict[str, TableRule]
    patterns: tuple[Pattern, ...] = ()  # for what `tables` leaves open: see tasks.masking.policy_patterns
    keys: Literal["keep"] | None = None  # keys, and columns named like a table's key, are kept without a rule
    references: tuple[Reference, ...] = ()
    audit: Audit = Audit()
    accept: tuple[Accept, ...] = ()  # reviewed false alarms of the leak search
    missing_on_staging: tuple[str, ...] = ()  # tables, or `table.column`, that staging may lack
    accept_doubts: tuple[str, ...] = ()  # tables, `table.column` or event triggers: accepted doubts about a load
    canaries: tuple[str, ...] = ()  # planted values that no dump may contain; searched for in every block

    @property
    def fingerprint(self) -> str:
        """Return the first 16 hexadecimal digits of the SHA-256 of the rules, without layout and comments.

        Fields that version 0.1 did not have count only if they are used, so that its fingerprints stay valid.
        """
        content = self.model_dump(mode="json")
        used = {key: value for key, value in content.items() if value or key in FIRST}
        return fingerprint(_without_lines(used))[:16]

    @property
    def accepted(self) -> set[tuple[str, str]]:
        """Return the pairs (source, found) that the leak search may find."""
        return {(each.source, each.found) for each in self.accept}


def _without_lines(content: Any) -> Any:
    """Return the content without line numbers. A column may be named `line`, too: its rule is not a number."""
    if isinstance(content, dict):
        return {k: _without_lines(v) for k, v in content.items() if k != "line" or not isinstance(v, int)}
    return [_without_lines(each) for each in content] if isinstance(content, list | tuple) else content


def load_policy(folder: Path, name: str) -> Policy:
    """Return the policy `<folder>/<name>.yaml`. Raise `PolicyRefused` naming file, line, table and column.

    The file is read at each call, and parsed again only if its text has changed.
    """
    path = policy_path(folder, name)
    return _parsed(_text(path), path.name)


@lru_cache(maxsize=8)
def _parsed(text: str, where: str) -> Policy:
    return parse_policy(text, where=where)


def policy_as_written(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the content of the policy file as parsed YAML, or None if there is no such file.

    Raise `PolicyRefused` if the file is not a policy.
    """
    path = policy_path(folder, name)
    if not path.exists():
        return None
    text = _text(path)
    parse_policy(text, where=path.name)
    content: dict[str, Any] = read_yaml(text)[0]
    return content


def policy_path(folder: Path, name: str) -> Path:
    """Return the path of the policy with that name. Raise `Misconfigured` if the name could lead to another folder."""
    if not name.replace("-", "").replace("_", "").isalnum():
        raise Misconfigured(f"{name!r} is not the name of a policy; expected letters, digits, '-' and '_'.")
    return folder / f"{name}.yaml"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(each.stem for each in path.parent.glob("*.yaml"))) or "none"
        raise Misconfigured(
            f"The policy {path} cannot be read ({type(error).__name__}); the folder has: {known}."
        ) from error


def parse_policy(text: str, *, where: str = "policy") -> Policy:
    """Return the policy in `text`. Raise `PolicyRefused` naming every fault with its line."""
    try:
        content, lines = read_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        what = "" if isinstance(error, WrongKey) else "not YAML: "
        raise PolicyRefused(f"{where}: {line}{what}{getattr(error, 'problem', error)}.") from error
    if not isinstance(content, dict):
        raise PolicyRefused(
            f"{where} contains a {type(content).__name__}; expected a mapping with app, schema_version and tables."
        )
    faults: list[str] = []
    tables, patterns = _tables(content.get("tables"), lines, faults)
    given = {
        **content,
        "tables": tables,
        "patterns": patterns,
        "references": list(_references(content.get("references"), lines, faults)),
        "accept": list(_accepted_pairs(content.get("accept"), lines, faults)),
    }
    if "patterns" in content:
        faults.append(f'line {lines[("patterns",)]}: patterns: expected them among the tables, as `"*.name": rule`')
    if given.pop("unclassified", "fail") != "fail":
        faults.append(
            f"line {lines.get(('unclassified',), 1)}: unclassified: only 'fail' is possible; classify the columns instead"
        )
    try:
        policy = Policy.model_validate(given)
    except ValidationError as error:
        faults += [f"{_at(lines, e['loc'])}{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    if faults:
        facts = as_facts(Fault("policy", fault) for fault in faults)
        raise PolicyRefused(f"{where}: {'; '.join(faults)}.", faults=facts)
    return policy


def _at(lines: Lines, path: tuple[Any, ...]) -> str:
    line = lines.get(tuple(map(str, path)))
    return f"line {line}: " if line else ""


def _tables(content: Any, lines: Lines, faults: list[str]) -> tuple[dict[str, TableRule], list[Pattern]]:
    rules: dict[str, TableRule] = {}
    patterns: list[Pattern] = []
    if not isinstance(content, dict):
        faults.append("tables: expected a mapping of table to columns")
        return rules, patterns
    for name, given in content.items():
        line = lines.get(("tables", name), 0)
        if is_pattern(name):
            patterns += _pattern(name, given, line, lines, faults)
        elif isinstance(given, str) and given in WHOLE:
            rules[name] = TableRule(whole=given, line=line)
        elif isinstance(given, dict):
            columns = _columns(name, given, lines, faults)
            plain = {unquoted(column): rule for column, rule in columns.items() if not is_pattern(column)}
            rules[name] = TableRule(columns=plain, line=line)
            if len(plain) < len(columns):
                wild = {column: rule for column, rule in columns.items() if is_pattern(column)}
                patterns.append(Pattern(name=name, columns=wild, line=line))
        else:
            faults.append(f"line {line}: table {name}: expected columns, or one of {', '.join(WHOLE)}; found {given!r}")
    return rules, patterns


def _columns(table: str, content: Mapping[str, Any], lines: Lines, faults: list[str]) -> dict[str, ColumnRule]:
    rules = ((column, _column(("tables", table, column), given, lines, faults)) for column, given in content.items())
    return {column: rule for column, rule in rules if rule is not None}


def unquoted(column: str) -> str:
    """Return the name of a column from its key: a name with a `*` is written in double quotes."""
    quoted = len(column) > 2 and "*" in column and column[0] == column[-1] == '"'
    return column[1:-1].replace('""', '"') if quoted else column


def is_pattern(name: str) -> bool:
    """Return whether a key of the policy has a wildcard: a `*` outside double quotes."""
    return "*" in re.sub(r'"(?:[^"]|"")*"', "", name)


def _pattern(name: str, content: Any, line: int, lines: Lines, faults: list[str]) -> Iterator[Pattern]:
    """Yield the pattern, unless it is a fault. A mapping with the key `maker`, or with an expression to `recompute`, is a
    rule for columns; any other mapping has columns as keys.
    """
    if content in ("drop", "exclude"):
        yield Pattern(name=name, whole=content, line=line)
    elif isinstance(content, dict) and not _is_rule(content):
        yield Pattern(name=name, columns=_columns(name, content, lines, faults), line=line)
    elif content == "keep" and not name.strip('*."?'):
        faults.append(f"line {line}: {name}: keep would keep every column; expected a part of a name in the pattern")
    elif (rule := _column(("tables", name), content, lines, faults)) is not None:
        yield Pattern(name=name, rule=rule, line=line)


def _is_rule(content: Mapping[str, Any]) -> bool:
    expression = content.get("recompute")
    return "maker" in content or (
        isinstance(expression, str) and expression != "keep" and expression not in set(KINDS) - {"trigger"}
    )


def _column(path: tuple[str, ...], given: Any, lines: Lines, faults: list[str]) -> ColumnRule | None:
    line, name = lines.get(path, 0), ".".join(path[1:])
    if given == "keep":
        return ColumnRule(line=line)
    options = {"maker": given} if isinstance(given, str) else given
    if options is None:
        options = {"maker": "null"}  # an unquoted `null` in YAML
    if not isinstance(options, dict):
        faults.append(f"line {line}: {name}: expected 'keep', a maker or a mapping; found {given!r}")
        return None
    own = {key: options[key] for key in ("group", "by", "nulls", "anonymizer") if key in options}
    wanted = {key: value for key, value in options.items() if key not in own}
    if wanted.get("maker", "") is None:
        wanted["maker"] = "null"
    try:
        maker = None if wanted == {"maker": "keep"} else parse(wanted)
        return ColumnRule(maker=maker, line=line, **own)
    except ValidationError as error:
        faults.append(f"line {line}: {name}: {reasons_of(error, 'rule')}")
    except Misconfigured as error:
        faults.append(f"line {line}: {name}: {error.message}")
    return None


def rule_from(given: Any) -> ColumnRule:
    """Return the rule for a column from its content in a policy. Raise `Misconfigured` if it is not a rule."""
    faults: list[str] = []
    rule = _column(("tables", "column"), given, {}, faults)
    if rule is None:
        raise Misconfigured("; ".join(faults))
    return rule


def as_given(rule: ColumnRule) -> Any:
    """Return the rule as written in a policy: a word, or a mapping with the options that differ from their defaults."""
    own = rule.model_dump(mode="json", include={"group", "by", "nulls", "anonymizer"}, exclude_defaults=True)
    if rule.maker is None:
        return {"maker": "keep", **own} if own else "keep"
    options = {**rule.maker.model_dump(mode="json", exclude_defaults=True, by_alias=True), **own}
    if rule.word in options:  # {recompute: …}
        return options
    return {"maker": rule.word, **options} if options else rule.word


def references_from(texts: Iterable[str]) -> tuple[Reference, ...]:
    """Return the references in these texts; texts that are not references are ignored."""
    return tuple(_references(list(texts), {}, []))


def _references(content: Any, lines: Lines, faults: list[str]) -> Iterator[Reference]:
    for number, text in enumerate(content or []):
        line = lines.get(("references", str(number)), 0)
        left, _, right = str(text).partition("->")
        table, _, column = left.strip().rpartition(".")
        references, _, referenced = right.strip().rpartition(".")
        if not (table and column and references and referenced):
            faults.append(f"line {line}: reference {text!r}: expected 'table.column -> table.column'")
            continue
        yield Reference(table=table, column=column, references=references, referenced_column=referenced, line=line)


def _accepted_pairs(content: Any, lines: Lines, faults: list[str]) -> Iterator[Accept]:
    """Yield the entries of `accept`; append what is wrong with others to `faults`."""
    if content is not None and not isinstance(content, list):
        faults.append(f"line {lines.get(('accept',), 1)}: accept: expected a list; found {type(content).__name__}")
        return
    seen: set[tuple[str, str]] = set()
    for number, entry in enumerate(content or []):
        line = lines.get(("accept", str(number)), 0)
        try:
            made = Accept.model_validate({**entry, "line": line} if isinstance(entry, dict) else entry)
        except ValidationError as error:
            faults.append(f"line {line}: accept: expected source, found and reason: {reasons_of(error, 'entry')}")
            continue
        if (made.source, made.found) in seen:
            faults.append(f"line {line}: accept: the pair {made.source}, {made.found} is listed twice")
        seen.add((made.source, made.found))
        yield made
