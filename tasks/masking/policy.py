"""The masking policy: one YAML file an application, which says of every column what becomes of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from tasks.estate.dumps import Anonymizer
from tasks.estate.errors import Misconfigured, PolicyRefused
from tasks.estate.plans import fingerprint
from tasks.estate.sites import Immutable
from tasks.masking.makers import AnyMaker, parse

Nulls = Literal["keep", "mask", "equalise"]
WHOLE = ("keep", "drop", "exclude")


class ColumnRule(Immutable):
    """What becomes of one column. `maker=None`: kept as it is. `by`: the column that stands for the person, so that one
    person gets one name everywhere. `group`: columns that must stay equal to each other share one. `nulls`: a NULL stays
    (`keep`), gets a made value too (`mask`), or every value becomes NULL so that NULL tells nothing (`equalise`).
    """

    maker: AnyMaker | None = None
    group: str = ""
    by: str = ""
    nulls: Nulls = "keep"
    anonymizer: Anonymizer | None = None
    line: int = 0

    @property
    def word(self) -> str:
        """The rule as reports and the dump's header name it."""
        return self.maker.maker if self.maker is not None else "keep"


class TableRule(Immutable):
    """What becomes of one table: `columns` by name, or the whole table kept, dropped (no rows travel, staging's are
    emptied) or excluded (neither dumped nor loaded: staging keeps its own).
    """

    whole: Literal["keep", "drop", "exclude"] | None = None
    columns: dict[str, ColumnRule] = Field(default_factory=dict)
    line: int = 0


class Reference(Immutable):
    """A foreign key that only the application knows: equal values must stay equal."""

    table: str
    column: str
    references: str
    referenced_column: str
    line: int = 0


class Audit(Immutable):
    """The application's own audit table on staging: never dumped, never loaded, one row an attempt."""

    table: str = "ImportExportAudit"
    error: str = "ErrorMessage"


class Policy(Immutable):
    """A whole policy. `schema_version` is the application's: what a dump made under this policy carries, and the newest
    that a load under it accepts.
    """

    app: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")  # becomes part of a file name
    schema_version: int = Field(ge=0)
    locale: str = "de_DE"
    tables: dict[str, TableRule]
    references: tuple[Reference, ...] = ()
    audit: Audit = Audit()
    canaries: tuple[str, ...] = ()  # planted values that no dump may contain; searched for in every block

    @property
    def fingerprint(self) -> str:
        """SHA-256 (first 16 hex) of what the policy says, whatever its layout and comments."""
        without_lines: Any = {"tables": {"__all__": {"line": True, "columns": {"__all__": {"line"}}}}}
        return fingerprint(self.model_dump(mode="json", exclude=without_lines))[:16]


def load_policy(folder: Path, name: str) -> Policy:
    """The policy `<folder>/<name>.yaml`. Raises `PolicyRefused` naming file, line, table and column."""
    path = policy_path(folder, name)
    return parse_policy(_text(path), where=path.name)


def policy_as_written(folder: Path, name: str) -> dict[str, Any] | None:
    """What the policy file says, as YAML gives it, for those who compare; None where there is no such file.

    Raises `PolicyRefused` where the file is no policy.
    """
    path = policy_path(folder, name)
    if not path.exists():
        return None
    text = _text(path)
    parse_policy(text, where=path.name)
    said: dict[str, Any] = yaml.safe_load(text)
    return said


def policy_path(folder: Path, name: str) -> Path:
    """Where the policy of that name lies, or would. Raises `Misconfigured` where it could be another folder's."""
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
    """The policy in `text`. Raises `PolicyRefused` naming every fault with its line, so that one pass finds them all."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _require_plain(root)
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise PolicyRefused(f"{where}: {line}not YAML: {getattr(error, 'problem', error)}.") from error
    if not isinstance(said, dict) or not isinstance(root, yaml.MappingNode):
        raise PolicyRefused(
            f"{where} holds a {type(said).__name__}; expected a mapping with app, schema_version and tables."
        )
    faults: list[str] = []
    lines = _lines(root)
    given = {
        **said,
        "tables": _tables(said.get("tables"), lines, faults),
        "references": list(_references(said.get("references"), lines, faults)),
    }
    if given.pop("unclassified", "fail") != "fail":
        faults.append(
            f"line {lines.get(('unclassified',), 1)}: unclassified: only 'fail' is possible; classify the columns instead"
        )
    try:
        policy = Policy.model_validate(given)
    except ValidationError as error:
        faults += [f"{_at(lines, e['loc'])}{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    if faults:
        raise PolicyRefused(f"{where}: {'; '.join(faults)}.")
    return policy


def _require_plain(root: yaml.Node | None) -> None:
    """Refuse a key that is given twice: YAML would silently keep the last, and a mask would be lost."""
    if isinstance(root, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in root.value:
            if key.value in seen:
                raise PolicyRefused(
                    f"line {key.start_mark.line + 1}: {key.value!r} is given twice (first in line {seen[key.value]})."
                )
            seen[key.value] = key.start_mark.line + 1
            _require_plain(value)
    elif isinstance(root, yaml.SequenceNode):
        for each in root.value:
            _require_plain(each)


def _lines(node: yaml.Node, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """The line of every key by its path."""
    found: dict[tuple[str, ...], int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            found[(*path, str(key.value))] = key.start_mark.line + 1
            found |= _lines(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            found[(*path, str(number))] = value.start_mark.line + 1
    return found


def _at(lines: Mapping[tuple[str, ...], int], path: tuple[Any, ...]) -> str:
    line = lines.get(tuple(map(str, path)))
    return f"line {line}: " if line else ""


def _tables(said: Any, lines: Mapping[tuple[str, ...], int], faults: list[str]) -> dict[str, TableRule]:
    if not isinstance(said, dict):
        faults.append("tables: expected a mapping of table to columns")
        return {}
    rules: dict[str, TableRule] = {}
    for name, content in said.items():
        line = lines.get(("tables", str(name)), 0)
        if isinstance(content, str) and content in WHOLE:
            rules[str(name)] = TableRule(whole=content, line=line)
        elif isinstance(content, dict):
            columns = {
                str(column): rule
                for column, given in content.items()
                if (rule := _column(str(name), str(column), given, lines, faults)) is not None
            }
            rules[str(name)] = TableRule(columns=columns, line=line)
        else:
            faults.append(
                f"line {line}: table {name}: expected columns, or one of {', '.join(WHOLE)}; found {content!r}"
            )
    return rules


def _column(
    table: str, column: str, given: Any, lines: Mapping[tuple[str, ...], int], faults: list[str]
) -> ColumnRule | None:
    line = lines.get(("tables", table, column), 0)
    if given == "keep":
        return ColumnRule(line=line)
    options = {"maker": given} if isinstance(given, str) else given
    if options is None:
        options = {"maker": "null"}  # an unquoted `null` in YAML
    if not isinstance(options, dict):
        faults.append(f"line {line}: {table}.{column}: expected 'keep', a maker or a mapping; found {given!r}")
        return None
    own = {key: options[key] for key in ("group", "by", "nulls", "anonymizer") if key in options}
    wanted = {key: value for key, value in options.items() if key not in own}
    if wanted.get("maker", "") is None:
        wanted["maker"] = "null"
    try:
        maker = None if wanted == {"maker": "keep"} else parse(wanted)
        return ColumnRule(maker=maker, line=line, **own)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'rule'}: {e['msg']}" for e in error.errors())
        faults.append(f"line {line}: {table}.{column}: {told}")
    except Misconfigured as error:
        faults.append(f"line {line}: {table}.{column}: {error.message}")
    return None


def _references(said: Any, lines: Mapping[tuple[str, ...], int], faults: list[str]) -> Iterator[Reference]:
    for number, text in enumerate(said or []):
        line = lines.get(("references", str(number)), 0)
        left, arrow, right = str(text).partition("->")
        table, dot, column = left.strip().rpartition(".")
        references, dot2, referenced = right.strip().rpartition(".")
        if not (arrow and dot and dot2 and table and column and references and referenced):
            faults.append(f"line {line}: reference {text!r}: expected 'table.column -> table.column'")
            continue
        yield Reference(table=table, column=column, references=references, referenced_column=referenced, line=line)
