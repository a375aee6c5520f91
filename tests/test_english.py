"""The project is written in plain technical English: no word of tests/english.yaml is used in code, messages or documentation."""

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LIST = yaml.safe_load((ROOT / "tests/english.yaml").read_text(encoding="utf-8"))
PHRASES = [(re.compile(each["find"], re.IGNORECASE), each["plain"]) for each in LIST["phrases"]]
NAMES = set(LIST["names"])


class Piece(NamedTuple):
    """Text that people read: where it begins, and the words."""

    path: str
    line: int
    text: str


def files() -> list[str]:
    """Return every file with text that people read, relative to the repository."""
    found = [ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile", "prefect.yaml", "pyproject.toml")]
    for folder in ("docs", "flows", "tasks", "deployments", "tests"):
        found += [path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".md", ".sql", ".yaml"}]
    names = sorted(path.relative_to(ROOT).as_posix() for path in found)
    return [name for name in names if name not in ("tests/english.yaml", "tests/test_english.py")]


def prose(name: str, text: str) -> Iterator[Piece]:
    """Yield the text of a file that people read, without code and without what is quoted in backticks."""
    if name.endswith(".py"):
        pieces = [*_strings(text), *_comments(text, "#")]
    elif name.endswith(".md"):
        blank_code = re.sub(r"^ *(```|~~~).*?^ *\1", lambda code: "\n" * code[0].count("\n"), text, flags=re.M | re.S)
        pieces = list(enumerate(blank_code.splitlines(), 1))
    elif name == "prefect.yaml":
        pieces = list(enumerate(text.splitlines(), 1))
    else:
        pieces = list(_comments(text, "--" if name.endswith(".sql") else "#"))
    for line, words in pieces:
        yield Piece(name, line, " ".join(re.sub(r"`[^`\n]+`", "`…`", words).split()))


def _strings(text: str) -> Iterator[tuple[int, str]]:
    """Yield each string literal with a space in it: docstrings and messages. Strings without one are keys."""
    tree = ast.parse(text)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        words = None
        if isinstance(node, ast.JoinedStr):
            words = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            words = node.value
        if words and " " in words.strip():
            yield node.lineno, words


def _comments(text: str, sign: str) -> Iterator[tuple[int, str]]:
    """Yield each comment; lines that follow each other are one comment."""
    if sign == "#":
        lines = iter(text.splitlines(keepends=True))
        try:
            found = [
                (token.start[0], token.string.lstrip("# "))
                for token in tokenize.generate_tokens(lambda: next(lines, ""))
                if token.type == tokenize.COMMENT
            ]
        except (tokenize.TokenError, IndentationError):  # not Python: YAML, TOML or a Makefile
            found = [(n, line.partition("# ")[2]) for n, line in enumerate(text.splitlines(), 1) if "# " in line]
    else:
        found = [(n, line.partition(sign)[2]) for n, line in enumerate(text.splitlines(), 1) if sign in line]
    first, words, last = 0, "", -1
    for line, comment in found:
        if line != last + 1:
            yield first, words
            first, words = line, ""
        words, last = f"{words} {comment}", line
    yield first, words


def names(name: str, text: str) -> Iterator[Piece]:
    """Yield the words of the file's name and of every identifier that it defines."""
    yield Piece(name, 1, Path(name).stem)
    for node in ast.walk(ast.parse(text)) if name.endswith(".py") else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield Piece(name, node.lineno, node.name)
        elif isinstance(node, ast.arg):
            yield Piece(name, node.lineno, node.arg)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield Piece(name, node.lineno, node.id if isinstance(node, ast.Name) else node.attr)


def findings(name: str, text: str) -> Iterator[str]:
    """Yield each use of a listed word or phrase, with what to write instead."""
    kept = [each["text"] for each in LIST["kept"] if each["path"] == name]
    for piece in prose(name, text):
        for pattern, plain in PHRASES:
            if (found := pattern.search(piece.text)) and not any(each in piece.text for each in kept):
                yield f"{name}:{piece.line}: “{found[0]}” → {plain}: {piece.text[max(found.start() - 40, 0) :][:120]}"
    for piece in names(name, text):
        words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", piece.text)}
        if words & NAMES and piece.text not in kept:
            yield f"{name}:{piece.line}: the name {piece.text} contains {', '.join(sorted(words & NAMES))}"


@cache
def findings_in(name: str) -> tuple[str, ...]:
    """Return the findings of one file of the repository."""
    return tuple(findings(name, (ROOT / name).read_text(encoding="utf-8")))


def test_text_is_plain_english() -> None:
    """No file uses a listed word."""
    assert [found for name in files() for found in findings_in(name)] == []


@pytest.mark.parametrize("each", LIST["phrases"], ids=lambda each: each["find"])
def test_a_phrase_is_found_and_its_plain_form_is_not(each: dict[str, Any]) -> None:
    """Each pattern finds its wrong sentence, and neither pattern finds fault with the right one."""
    assert re.search(each["find"], each["wrong"], re.IGNORECASE)
    assert not re.search(each["find"], each["right"], re.IGNORECASE)
    assert list(findings("x.md", each["wrong"]))
    assert list(findings("x.md", each["right"])) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.py", '"""The file says which."""'),
        ("x.py", "x = 1  # the file\n"),
        ("x.py", 'raise ValueError(f"the file {name} says nothing")'),
        ("x.py", "# The file\n# says which.\n"),
        ("x.py", "def was_told(): ..."),
        ("x.py", "class WasTold: ..."),
        ("x.py", "def f(told): ..."),
        ("x.py", "self.told = 1"),
        ("told.py", ""),
        ("x.sql", "-- The file says which.\nSELECT 1"),
        ("x.yaml", "a: 1  # The file says which."),
        ("x.md", "The file says which."),
    ],
)
def test_every_kind_of_text_is_read(name: str, text: str) -> None:
    """Docstrings, comments, messages, identifiers, file names, SQL, YAML and Markdown are searched."""
    text = text.replace("the file\n", "the file says which\n")
    assert list(findings(name, text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.py", 'key = "said"'),
        ("x.py", '"""Read the column `said`."""'),
        ("x.py", "x = told.ready"),
        ("x.py", "essaid, retold_ = 1, 2"),
        ("x.sql", "SELECT said FROM told"),
        ("x.md", "```\nit says so\n```"),
    ],
)
def test_code_keys_and_quotations_are_not_text(name: str, text: str) -> None:
    """Stored keys, quoted code and the names of others are not findings."""
    assert list(findings(name, text)) == []


@pytest.mark.parametrize("each", LIST["kept"], ids=lambda each: f"{each['path']}: {each['text']}")
def test_what_is_kept_is_there_and_has_a_reason(each: dict[str, Any]) -> None:
    """An exception names a reason and text that the file contains."""
    assert each["reason"]
    assert each["text"] in " ".join((ROOT / each["path"]).read_text(encoding="utf-8").split())
