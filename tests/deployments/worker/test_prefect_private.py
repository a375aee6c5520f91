"""Private parts of Prefect: imported in one file, and only in the version that was tested."""

import ast
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deployments.worker.prefect_private import TESTED_WITH

ROOT = Path(__file__).parents[3]
ALLOWED = {
    "deployments/worker/prefect_private.py",
    "tests/conftest.py",  # the settings of the test server, for the whole session; the worker does not need them
}


def private_imports(text: str) -> Iterator[str]:
    """Every name that the source text imports from a private module of Prefect, or that is itself private there."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, *parts = name.split(".")
            if package.startswith("prefect") and any(p.startswith("_") and not p.endswith("__") for p in parts):
                yield name


def test_only_one_file_imports_private_parts_of_prefect() -> None:
    """No other file imports them, neither in the code nor, apart from the session's fixtures, in the tests."""
    files = [path for folder in ("flows", "tasks", "deployments", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 200
    found = [path for path in files if [*private_imports(path.read_text(encoding="utf-8"))]]
    assert {path.relative_to(ROOT).as_posix() for path in found} == ALLOWED


@pytest.mark.parametrize(
    "breach",
    [
        "from prefect._internal.control_listener import configure_from_env",
        "import prefect._internal.control_listener",
        "from prefect.runner import _process_manager",
        "from prefect.client.schemas._x.y import z",
        "if True:\n    from prefect_dask._private import x",
    ],
)
def test_a_private_import_is_found(breach: str) -> None:
    """Whatever the form of the import, a private module or name is found; public ones are not."""
    assert len([*private_imports(breach)]) == 1
    assert not [*private_imports("from prefect import flow, __version__\nimport prefect.runner\nfrom a._b import c")]


def test_only_the_tested_version_is_allowed() -> None:
    """pyproject.toml, constraints.txt and prefect.yaml name this version alone, and it is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (allowed,) = (line for line in project["dependencies"] if Requirement(line).name == "prefect")
    assert allowed == f"prefect=={TESTED_WITH}"
    assert f"\nprefect=={TESTED_WITH}" in (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\nprefect-version: {TESTED_WITH}\n" in (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    assert version("prefect") == TESTED_WITH
