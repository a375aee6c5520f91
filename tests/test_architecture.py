"""Rules of the code as tests: budgets, names, docstrings, reasons. Each check is also run on a tree that breaks it."""

import ast
import re
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("flows", "tasks", "deployments")

FILE_LINES, FUNCTION_LINES, FLOW_BODY_LINES, MEDIAN_LINES = 300, 60, 40, 10
# "path" or "path::function" → why it is better long than split
EXCEPTIONS: dict[str, str] = {
    "tasks/dumps/leak_search.py": "one search: what is hashed at the source must be what is searched for in the dump and on staging",
    "tasks/dumps/load_plan.py": "all checks of a target and the plan of its load, in the order in which they run",
    "tasks/rendering/dumps.py": "all text about dumps in one file, so that its terms agree",
    "tasks/approvals.py": "every way to an approval in one file: people, the signed file, a promotion's permission",
    "tasks/ledger/facts.py": "one list of every kind of fact, each with the old shapes that are still read: nothing else reads them",
    "tasks/signoff/gate.py": "one protocol in one file: all functions read and write the same facts of a request",
    "tests/tasks/dumps/failures/test_load_promises.py": "one property: what is drawn, what must be true of it, and how it is checked",
    "tests/tasks/signoff/test_approval_recheck.py": "forgeries of every kind of approval in one file, so that a gap shows",
    "tasks/dumps/leak_search_forms.py": "patterns, their use in Python and their twin in SQL: they must not differ",
    "tasks/dumps/dump_reader.py": "one pass over a dump, with every check of its content",
    "tasks/loads.py": "the steps of one load, in the order of the flow",
    "tasks/exports.py": "the steps of one export, in the order of the flow",
    "tests/deployments/sandbox/test_postgres.py": "the tests of one file, which share a server that is killed",
    "deployments/sandbox/host/endpoints.py": "one file for all endpoints, with their table of routes",
    "deployments/sandbox/host/variants.py": "one list of what websites do, healthy and broken, each next to its name",
    "deployments/sandbox/postgres.py": "one server from its start to its end, with the data that it keeps",
    "tasks/masking/trigger_writes.py": "one reading of a trigger function: what it writes, and how its reads are followed",
    "tasks/masking/policy.py": "every key of a policy file, with how it is read and refused",
    "tests/tasks/masking/test_policy.py": "every key of a policy file, read and refused",
    "tasks/masking/proposals.py": "what is proposed for one column, by type, name and values: the order of the rules matters",
    "tasks/estate/errors.py": "one tree in one file: every outcome with its class, meaning and place in the diagram",
    "tests/tasks/surveys/test_arrival_evidence.py": "one table for each signal: the verdict needs all signals together",
    "tests/tasks/websites/test_site_checks.py": "one table for each check of a site: passes, fails, not known, side by side",
    "tests/tasks/dumps/failures/conftest.py": "one database, its export and its load, which every test of a failure starts from",
    "tests/tasks/test_loads.py": "every guard of one load next to the others, so that a gap shows",
    "tests/tasks/signoff/test_sending.py": "every moment and every answer of one protocol, for both kinds of calls",
    "tasks/estate/plans.py": "the nouns of a run, from its plan to its report: each is a few fields",
    "tests/tasks/dumps/test_load.py": "everything that the transaction of a load writes, restores or refuses, on one small schema",
    "tests/tasks/test_copies.py": "every guard of one copy next to the others, so that a gap shows",
    "tests/tasks/safeguards/test_grading.py": "one table of every danger with its class: a second table would hide what is missing",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
RANDOM = {"uuid4", "uuid1", "urandom", "token_hex", "random", "randint", "now", "utcnow", "utc_now", "monotonic"}


def sources(root: Path, *folders: str) -> Iterator[tuple[str, str, ast.Module]]:
    """Yield every Python file below these folders of `root`: path as in the repository, text, syntax tree."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield path.relative_to(root).as_posix(), *parsed(path)


@cache
def parsed(path: Path) -> tuple[str, ast.Module]:
    """Return the text and the syntax tree of a file, which all checks share."""
    text = path.read_text(encoding="utf-8")
    return text, ast.parse(text, filename=str(path))


def functions(root: Path, *folders: str) -> Iterator[tuple[str, Function]]:
    """Yield every function and method, also nested ones, with the path of its file."""
    for path, _, tree in sources(root, *folders):
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, Function))


def length(node: ast.stmt) -> int:
    """Return the number of lines of a statement."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def long_files(root: Path) -> Iterator[str]:
    """A file has at most 300 lines."""
    for path, text, _ in sources(root, *CODE, "tests"):
        if (lines := len(text.splitlines())) > FILE_LINES and path not in EXCEPTIONS:
            yield f"{path} has {lines} lines"


def long_functions(root: Path) -> Iterator[str]:
    """A function has at most 60 lines."""
    for path, node in functions(root, *CODE, "tests"):
        if length(node) > FUNCTION_LINES and f"{path}::{node.name}" not in EXCEPTIONS:
            yield f"{path}::{node.name} has {length(node)} lines"


def long_median(root: Path) -> Iterator[str]:
    """Half of all functions have at most 10 lines."""
    median = statistics.median([length(node) for _, node in functions(root, *CODE)] or [0])
    if median > MEDIAN_LINES:
        yield f"the median function has {median} lines"


def long_flow_bodies(root: Path) -> Iterator[str]:
    """A flow body has at most 40 lines."""
    for path, node in functions(root, "flows"):
        if sum(map(length, node.body)) > FLOW_BODY_LINES:
            yield f"{path}::{node.name} has a body of {sum(map(length, node.body))} lines"


VAGUE = re.compile(r"(Manager|Handler|Service)$")


def vague_names(root: Path) -> Iterator[str]:
    """No file is called utils, helpers, common or base, and no class Manager, Handler or Service.

    A subclass of a framework's Handler may be called so.
    """
    for path, _, tree in sources(root, *CODE, "tests"):
        if {"utils", "helpers", "common", "base"} & {*Path(path).with_suffix("").parts}:
            yield f"{path} has a name that does not describe its content"
        for node in ast.walk(tree):
            vague = VAGUE.search(node.name) if isinstance(node, ast.ClassDef) else None
            if vague and not any(ast.unparse(base).endswith(vague[0]) for base in node.bases):
                yield f"{path}::{node.name} has a name that does not describe what it does"


def shadowing_flows(root: Path) -> Iterator[str]:
    """No flow file has the name of a module: when it is run by path, it would replace that module."""
    taken = sys.stdlib_module_names | set(packages_distributions()) | {*CODE, "tests"}
    for path in sorted((root / "flows").glob("*.py")):
        if path.stem in taken:
            yield f"flows/{path.name} shadows the module {path.stem}"


def classes_in_flows(root: Path) -> Iterator[str]:
    """Flow files contain no classes: when they are loaded by path, a class would exist twice."""
    for path, _, tree in sources(root, "flows"):
        yield from (f"{path}::{n.name} is a class" for n in ast.walk(tree) if isinstance(n, ast.ClassDef))


def prefect_in_libraries(root: Path) -> Iterator[str]:
    """Of the folders in tasks/, only tasks/runtime/ imports Prefect."""
    for path, text, _ in sources(root, "tasks"):
        library = path.count("/") > 1 and not path.startswith("tasks/runtime/")
        if library and re.search(r"^\s*(from|import) prefect", text, re.MULTILINE):
            yield f"{path} imports prefect"


def relative_imports(root: Path) -> Iterator[str]:
    """Imports are absolute: a relative one imports a module that was loaded by path a second time."""
    for path, _, tree in sources(root, *CODE, "tests"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                yield f"{path}:{node.lineno} imports relatively"


def missing_docstrings(root: Path) -> Iterator[str]:
    """Every public module, class and function of the code has a docstring."""
    for path, _, tree in sources(root, *CODE):
        if not ast.get_docstring(tree):
            yield f"{path} has no docstring"
        outer: list[ast.Module | ast.ClassDef] = [tree, *(n for n in tree.body if isinstance(n, ast.ClassDef))]
        named = (node for scope in outer for node in scope.body if isinstance(node, Function | ast.ClassDef))
        for node in named:
            if not node.name.startswith("_") and not ast.get_docstring(node):
                yield f"{path}::{node.name} has no docstring"


def undescribed_tests(root: Path) -> Iterator[str]:
    """Every test describes the behaviour in a sentence."""
    for path, node in functions(root, "tests"):
        if node.name.startswith("test_"):
            first = (ast.get_docstring(node) or "").partition("\n\n")[0].strip()
            if not first.endswith((".", "?", "!")):
                yield f"{path}::{node.name} has no sentence"


def misplaced_inits(root: Path) -> Iterator[str]:
    """Code folders have an `__init__.py`, which the import contracts need; test folders have none."""
    yield from (f"{path} must be removed" for path, _, _ in sources(root, "tests") if path.endswith("__init__.py"))
    folders = {str(Path(path).parent) for path, _, _ in sources(root, *CODE)}
    yield from (f"{f} has no __init__.py" for f in sorted(folders) if not (root / f / "__init__.py").exists())


def swallowed_exceptions(root: Path) -> Iterator[str]:
    """Code that catches every exception raises again, so that no bug is hidden."""
    for path, _, tree in sources(root, *CODE):
        handlers = (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))
        for node in handlers:
            if _catches_everything(node.type) and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
                yield f"{path}:{node.lineno} catches everything and does not raise"


def _catches_everything(caught: ast.expr | None) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(n is None or (isinstance(n, ast.Name) and n.id in ("Exception", "BaseException")) for n in names)


def unexplained(root: Path) -> Iterator[str]:
    """Every ignore has its rule and reason on its line; every retries=0 has its reason on its line or the next to it."""
    ignore = re.compile(r"# (noqa|type: ignore)(?!(: |\[)[\w, -]+\]?  # \S)")
    for path, text, _ in sources(root, *CODE, "tests"):
        lines = ["", *text.splitlines(), ""]
        for number, line in enumerate(lines):
            once = "retries=0" in line and "# " not in "".join(lines[number - 1 : number + 2])
            if path != "tests/test_architecture.py" and (once or ignore.search(line)):
                yield f"{path}:{number} has no reason"


def machine_addresses(root: Path) -> Iterator[str]:
    """No file contains a folder of one machine or the host of a package index."""
    wrong = re.compile(r"(?<![\w.}])/(root|home|Users|work|opt)/\w|\bpypi\.(org|python)|pythonhosted\.org")
    kept = [p for p in root.glob("*") if p.is_file() and p.name != ".git"]  # in a git worktree that is a file
    kept += [p for folder in (*CODE, "tests", "docs", ".ci") for p in (root / folder).rglob("*") if p.is_file()]
    for path in sorted(kept):
        if path.suffix in (".png", ".pyc", ".gz", ".db") or path.name == "test_architecture.py":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if wrong.search(line):
                yield f"{path.relative_to(root)}:{number} names a machine: {line.strip()[:80]}"


def loose_pins(root: Path) -> Iterator[str]:
    """constraints.txt contains only names and versions, sorted; an address or a path would be valid on one machine only."""
    file = root / "constraints.txt"
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for line in lines:
        if not re.fullmatch(r"[\w.-]+==[\w.+!]+(  # .+)?", line):
            yield f"constraints.txt: {line!r} is not name==version"
    names = [line.split("==")[0].lower().replace("_", "-") for line in lines]
    yield from (f"constraints.txt: {b} comes after {a}" for a, b in pairwise(names) if a >= b)


def random_at_import(root: Path) -> Iterator[str]:
    """A test file makes no random value when it is imported: names of tests must be the same in every process."""
    for path, _, tree in sources(root, "tests"):
        nodes: list[ast.AST] = [tree]
        while nodes:
            node = nodes.pop()
            if isinstance(node, Function):
                nodes += node.decorator_list
            elif not isinstance(node, ast.Lambda):
                nodes += ast.iter_child_nodes(node)
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in RANDOM:
                yield f"{path}:{node.lineno} makes a random value with {ast.unparse(node.func)}"


def lines(count: int) -> str:
    """Return a function with a body of so many lines."""
    return "def f():\n" + "    x = 1\n" * count


# Each check, with a file that breaks its rule.
CHECKS: dict[Callable[[Path], Iterator[str]], tuple[str, str]] = {
    classes_in_flows: ("flows/a.py", "class A: ...\n"),
    random_at_import: (
        "tests/test_a.py",
        "@pytest.mark.parametrize('a', [str(uuid4())])\ndef test_a(a):\n    uuid4()\n",
    ),
    long_files: ("tests/test_a.py", "x = 1\n" * 301),
    long_flow_bodies: ("flows/a.py", lines(41)),
    long_functions: ("tasks/a.py", lines(60)),
    long_median: ("tasks/a.py", lines(10)),
    loose_pins: ("constraints.txt", "b==1\na==1\n"),
    machine_addresses: ("docs/a.md", "see /root/a\n"),
    misplaced_inits: ("tests/tasks/__init__.py", ""),
    missing_docstrings: ("tasks/a.py", '"""A."""\nclass A:\n    """A."""\n    def b(self): ...\n'),
    prefect_in_libraries: ("tasks/capi/a.py", "def f():\n    from prefect import task\n"),
    relative_imports: ("tasks/a.py", "from . import b\n"),
    shadowing_flows: ("flows/copy.py", ""),
    undescribed_tests: ("tests/tasks/test_a.py", "class TestA:\n    def test_a(self): ...\n"),
    swallowed_exceptions: ("tasks/a.py", "try:\n    pass\nexcept (ValueError, Exception):\n    pass\n"),
    unexplained: ("tasks/a.py", "import b  # noqa: F401\n"),
    vague_names: ("tasks/capi/utils.py", ""),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_no_file_breaks_the_rule(check: Callable[[Path], Iterator[str]]) -> None:
    """No file of the project breaks the rule in the check's docstring."""
    assert not list(check(ROOT)), check.__doc__


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_detects_a_breach(check: Callable[[Path], Iterator[str]], tmp_path: Path) -> None:
    """In a tree with one wrong file, the check finds exactly one problem."""
    path, text = CHECKS[check]
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    assert len(list(check(tmp_path))) == 1


def test_every_exception_is_still_needed() -> None:
    """Each entry in EXCEPTIONS names something that is too long, and has a reason."""
    long = {f"{path}::{node.name}" for path, node in functions(ROOT, *CODE, "tests") if length(node) > FUNCTION_LINES}
    long |= {path for path, text, _ in sources(ROOT, *CODE, "tests") if len(text.splitlines()) > FILE_LINES}
    assert set(EXCEPTIONS) <= long
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())
