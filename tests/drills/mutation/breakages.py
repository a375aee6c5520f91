"""Breakages of one file: every small change that a guard's test must notice.

mutmut and cosmic-ray were looked at and do not fit: both change comparisons and constants, but drop neither a keyword
such as `once=`, nor a whole statement such as `require_permission(…)`. Those two are how guards get lost here.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

Node = ast.expr | ast.stmt | ast.keyword

SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
# A lost log line or a lost attribute of a trace changes no decision.
SILENT = ("logger", "log", "warn", "warning", "info", "debug", "get_run_logger")
# Keywords whose loss turns a guard off. Other keywords are facts of messages and models; mypy finds most of their losses.
GUARDING = ("once", "retries", "timeout", "follow_redirects", "strict", "verify", "overrides", "proven", "requested_by")


@dataclass(frozen=True)
class Breakage:
    """One change: the place, the code before, and the code after."""

    place: str  # qualified name of the function or class around it
    before: str
    after: str
    line: int
    text: str  # the whole file, changed

    @property
    def key(self) -> str:
        """A name that survives edits elsewhere in the file."""
        return f"{self.place}: {self.before}  =>  {self.after}"


def breakages(source: str) -> Iterator[Breakage]:
    """Every breakage of a file's text, in its order. Each has a key of its own; a repeated one counts once."""
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    seen: set[str] = set()
    for place, node in _nodes(tree, ""):
        for replacement in _changes(node):
            before, after = ast.unparse(node), _text(replacement)
            broken = Breakage(place, _short(before), _short(after), node.lineno, _replaced(lines, node, after))
            if before != after and broken.key not in seen:
                seen.add(broken.key)
                yield broken


def _nodes(tree: ast.AST, place: str) -> Iterator[tuple[str, Node]]:
    """The nodes that decide something, with the name of the function around each; annotations and texts are passed over."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom):
                continue
            inner = place
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{place}.{child.name}".lstrip(".")
            if isinstance(child, ast.expr | ast.stmt):
                yield inner, child
            yield from _nodes(child, inner)


def _changes(node: Node) -> Iterator[Node | None]:
    """Return what may replace the node; None removes a statement."""
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            yield _with(node, "ops", number, SWAPPED[type(operator)]())
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for number in range(len(node.values)):
            rest = node.values[:number] + node.values[number + 1 :]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield ast.BinOp(node.left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.right)
    elif isinstance(node, ast.Constant) and type(node.value) in (bool, int):
        yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.comprehension | ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        yield from _without_filters(node)
    elif isinstance(node, ast.Call):
        for number, keyword in enumerate(node.keywords):
            if keyword.arg in GUARDING:
                yield _with(node, "keywords", number, None)
    elif isinstance(node, ast.stmt):
        yield from _changed_statement(node)


def _changed_statement(node: ast.stmt) -> Iterator[Node | None]:
    is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not _is_silent(node.value)
    if isinstance(node, ast.Raise) or is_call:
        yield None
    elif isinstance(node, ast.If) and not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        for outcome in (True, False):
            changed = copy.copy(node)
            changed.test = ast.Constant(outcome)
            yield changed
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Compare | ast.BoolOp):
        for outcome in (True, False):
            yield ast.Return(ast.Constant(outcome))


def _without_filters(node: Node | ast.comprehension) -> Iterator[Node]:
    for number, part in enumerate(getattr(node, "generators", ())):
        for condition in range(len(part.ifs)):
            changed = copy.copy(part)
            changed.ifs = part.ifs[:condition] + part.ifs[condition + 1 :]
            yield _with(node, "generators", number, changed)


def _with(node: ast.AST, field: str, number: int, item: ast.AST | None) -> Node:
    """The node with one item of a list changed, or taken away."""
    changed = copy.copy(node)
    items = list(getattr(node, field))
    items[number : number + 1] = [] if item is None else [item]
    setattr(changed, field, items)
    assert isinstance(changed, ast.expr | ast.stmt | ast.keyword)
    return changed


def _is_silent(call: ast.Call) -> bool:
    return any(word in SILENT for word in ast.unparse(call.func).replace("()", "").split("."))


def _text(node: Node | None) -> str:
    return "pass" if node is None else ast.unparse(ast.fix_missing_locations(node))


def _short(text: str) -> str:
    return " ".join(text.split())[:160]


def _replaced(lines: list[str], node: Node, text: str) -> str:
    """The file with the node's own text replaced. Offsets of a syntax tree count UTF-8 bytes."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    head = lines[first].encode()[: node.col_offset].decode()
    tail = lines[last].encode()[node.end_col_offset :].decode()
    if isinstance(node, ast.stmt):
        indented = text.replace("\n", "\n" + " " * node.col_offset)
        return "".join(lines[:first]) + head + indented + tail + "".join(lines[last + 1 :])
    return "".join(lines[:first]) + f"{head}({text}){tail}" + "".join(lines[last + 1 :])
