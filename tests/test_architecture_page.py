"""docs/architecture.md agrees with the code: its tree, walks, diagrams and table of places."""

import ast
import re
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TEXT = PAGE.partition("## Walks")[2].partition("\n## ")[0]
WALKS = [re.findall(r"`([\w/]+\.py)`", walk) for walk in re.split(r"\n\n(?=A)", TEXT) if "1. " in walk]
PLACES = re.findall(r"^\| .+ \| `([\w./-]+)` \| `([\w-]+)` \|$", PAGE, re.MULTILINE)
DIAGRAMS = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)


def folder(path: str) -> str:
    """Return the folder of a file."""
    return path.rpartition("/")[0]


@cache
def imports(path: str) -> frozenset[str]:
    """Return the files of this repository that a file imports, everywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    files = {f"{name.replace('.', '/')}.py" for name in found}
    return frozenset(name for name in files if (ROOT / name).is_file())


def faults(walk: list[str]) -> list[str]:
    """Return what is wrong with a walk: files that are missing or not reached, folders entered twice or against the imports."""
    missing = [path for path in walk if not (ROOT / path).is_file()]
    if missing:
        return [f"{path} does not exist" for path in missing]
    entered = [name for name, _ in groupby(walk, key=folder)]
    wrong = [f"{name} is entered twice" for name in {*entered} if entered.count(name) > 1]
    for place, path in enumerate(walk):
        if folder(path) != entered[0] and not any(path in imports(earlier) for earlier in walk[:place]):
            wrong.append(f"no earlier file of the walk imports {path}")
    for first, name in enumerate(entered):
        for later in entered[first + 1 :]:
            against = [
                file.relative_to(ROOT).as_posix()
                for file in sorted((ROOT / later).glob("*.py"))
                if any(folder(each) == name for each in imports(file.relative_to(ROOT).as_posix()))
            ]
            wrong += [f"{file} imports {name}, which the walk has left" for file in against]
    return wrong


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk[0])
def test_a_walk_follows_the_imports(walk: list[str]) -> None:
    """Each folder is entered once, in the direction of the imports, and each file is reached from an earlier one."""
    assert faults(walk) == []


def test_there_are_three_walks() -> None:
    """The page has the walks of a plan, an answer and a dump."""
    assert [len(walk) > 8 for walk in WALKS] == [True] * 3


@pytest.mark.parametrize(
    ("walk", "wrong"),
    [
        (["flows/promote.py", "tasks/gone.py"], "does not exist"),
        (["tasks/copies.py", "tasks/runtime/approval_forms.py", "tasks/locks.py"], "entered twice"),
        (["flows/promote.py", "tasks/sweep_reports.py"], "no earlier file"),
        (["tasks/copies.py", "flows/promote.py"], "which the walk has left"),
    ],
)
def test_an_impossible_walk_is_reported(walk: list[str], wrong: str) -> None:
    """Missing files, folders that are entered twice, files that nothing imports and steps against the imports are reported."""
    assert any(wrong in fault for fault in faults(walk))


@pytest.mark.parametrize(("path", "symbol"), PLACES, ids=lambda each: each)
def test_a_place_to_change_exists(path: str, symbol: str) -> None:
    """Each row of the table names a file that exists and contains the symbol: in Python as a name that it defines or sets."""
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"(?<![\w-]){re.escape(symbol)}(?![\w-])", text)


def test_the_table_of_places_is_read() -> None:
    """Every row of the table has the three cells that the test above reads."""
    table = PAGE.partition("## Where do I change")[2].partition("\n## ")[0]
    assert len(PLACES) == len(re.findall(r"^\| ", table, re.MULTILINE)) - 1 > 30


def test_every_folder_is_in_the_tree() -> None:
    """The tree has a line for each folder with files of the project below flows/, tasks/ and deployments/, and no other."""
    listed = set(re.findall(r"^\| `([\w/]+)/` \|", PAGE, re.MULTILINE))
    code = {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("flows", "tasks", "deployments")
        for path in (ROOT / top).rglob("*")
        if path.suffix in (".py", ".sql", ".yaml")
    }
    assert listed - {"docs", "tests"} == code


@pytest.mark.parametrize("diagram", DIAGRAMS, ids=["plan", "dump"])
def test_a_diagram_names_files_that_exist(diagram: str) -> None:
    """Each step of a sequence names its file: by its path, or by its name within the folder of the participant."""
    folders = dict(re.findall(r"participant (\w) as (?:steps in )?([\w/]+)/$", diagram, re.MULTILINE))
    steps = re.findall(r"^ +(\w)->>(\w): (.+)$", diagram, re.MULTILINE)
    assert len(steps) > 12
    for *sides, text in steps:
        near = [ROOT, *(ROOT / folders[side] for side in sides if side in folders)]
        for name in re.findall(r"[\w/]+\.py", text):
            assert any((place / name).is_file() for place in near), name


def test_the_glossary_is_sorted_and_has_each_term_once() -> None:
    """Terms are in alphabetical order, so that a second term for one thing is noticed."""
    terms = re.findall(r"^\| ([\w ,-]+) \| ", PAGE.partition("## Glossary")[2], re.MULTILINE)[1:]
    assert all(a.lower() < b.lower() for a, b in pairwise(terms))
    assert len(terms) > 30
