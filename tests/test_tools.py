"""The tools that check the whole tree: import contracts (each also with a breach), mypy and ruff."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
import yaml

from tests.drills.mutation.guards import GROUPS

ROOT = Path(__file__).parents[1]
CODE = ("flows", "tasks", "deployments")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def run(*command: str, inside: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a Python tool of this environment in a folder, with plain output."""
    quiet = os.environ | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *command], cwd=inside, env=quiet, capture_output=True, text=True, check=False
    )


def contracts(inside: Path) -> subprocess.CompletedProcess[str]:
    """Run the import contracts of the pyproject.toml in a folder on the packages in that folder."""
    return run(
        "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache", "--no-logo", inside=inside
    )


LAYERS, NO_PREFECT, ONLY_STEPS, PLACES, DESK, EMULATOR = (contract["name"] for contract in CONTRACTS)
BREACHES = [
    (LAYERS, "tasks/estate/sites.py", "import flows.refresh"),
    (LAYERS, "flows/diagnose.py", "import deployments.bootstrap"),
    (NO_PREFECT, "tasks/estate/sites.py", "import prefect"),
    (NO_PREFECT, "tasks/surveys/survey.py", "from tasks.runtime import resources"),  # which imports Prefect
    (ONLY_STEPS, "flows/diagnose.py", "\n".join(f"import {name}" for name in CONTRACTS[2]["forbidden_modules"])),
    (PLACES, "tasks/copies.py", "import tasks.backups"),
    (PLACES, "tasks/estate/sites.py", "import tasks.backups"),
    (PLACES, "tasks/capi/models.py", "import tasks.websites.wordpress_site"),
    (PLACES, "tasks/runtime/resources.py", "import tasks.reports"),
    (PLACES, "tasks/stray.py", ""),
    (PLACES, "tasks/safeguards/holds.py", "import tasks.signoff.gate"),
    (PLACES, "tasks/ledger/journal.py", "import tasks.safeguards.holds"),
    (PLACES, "tasks/rendering/sweep.py", "import tasks.runtime.other_runs"),
    (DESK, "deployments/desk/app.py", "import tasks.signoff.sending"),
    (DESK, "deployments/desk/reading.py", "from tasks.runtime import resources"),
    (EMULATOR, "deployments/sandbox/host/host.py", "import tasks.estate.sites"),
    (EMULATOR, "deployments/sandbox/host/faults.py", "import flows"),
    (EMULATOR, "deployments/sandbox/host/serve.py", "import prefect"),
]


def test_the_import_contracts_are_kept() -> None:
    """No import breaks a contract of pyproject.toml."""
    kept = contracts(ROOT)
    assert kept.returncode == 0, kept.stdout + kept.stderr


@pytest.mark.parametrize(("contract", "path", "line"), BREACHES, ids=lambda value: str(value).replace(" ", "-"))
def test_each_import_contract_detects_a_breach(contract: str, path: str, line: str, tmp_path: Path) -> None:
    """One forbidden import, or one file outside the layers, breaks the contract about it."""
    for folder in CODE:
        copytree(ROOT / folder, tmp_path / folder, ignore=ignore_patterns("__pycache__"))
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    with (tmp_path / path).open("a") as file:
        file.write(f"\n{line}\n")
    broken = contracts(tmp_path)
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert re.search(rf"^{re.escape(contract)} BROKEN", broken.stdout, re.MULTILINE), broken.stdout
    if contract == ONLY_STEPS:
        assert all(f"-> {each.removeprefix('import ')}" in broken.stdout for each in line.split("\n")), broken.stdout


def test_the_contract_of_flows_lists_every_library() -> None:
    """The contract forbids every library to flows, except estate and runtime, whose names they may use."""
    libraries = {f"tasks.{path.name}" for path in (ROOT / "tasks").iterdir() if (path / "__init__.py").exists()}
    assert libraries - {"tasks.estate", "tasks.runtime"} <= set(CONTRACTS[2]["forbidden_modules"])


def test_mypy_passes() -> None:
    """flows, tasks and deployments pass mypy --strict, as configured in pyproject.toml."""
    typed = run("-m", "mypy", "--no-color-output")
    assert typed.returncode == 0, typed.stdout + typed.stderr


def test_ruff_passes() -> None:
    """All Python files pass the linter with the rules and the reasoned ignores of pyproject.toml."""
    linted = run("-m", "ruff", "check", "--no-cache", "--output-format", "concise", ".")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_mutation_drill_names_existing_files() -> None:
    """A guard whose file is renamed stays among the guards, and so do the breakages that are known to change nothing."""
    known = yaml.safe_load((ROOT / "tests/drills/mutation/survivors.yaml").read_text(encoding="utf-8"))
    named = {path for paths in GROUPS.values() for path in paths} | {key.partition(":")[0] for key in known}
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []
