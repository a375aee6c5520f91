"""The version of the code: it depends on every file except Python's caches."""

from pathlib import Path

import pytest

from tasks.configuration import code_version


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one flow, one step and one query."""
    for name in ("flows/refresh.py", "tasks/copies.py", "tasks/dumps/sql/keys.sql"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(code_version, "PROJECT", tmp_path)
    return tmp_path


def now() -> str:
    """Return the version of the files as they are now."""
    code_version.code_version.cache_clear()
    return code_version.code_version()


@pytest.mark.parametrize("name", ["flows/refresh.py", "tasks/copies.py", "tasks/dumps/sql/keys.sql", "tasks/new.json"])
def test_a_change_of_any_file_is_another_version(project: Path, name: str) -> None:
    """A change of Python, SQL or data changes the version."""
    before = now()
    (project / name).write_text("changed")
    assert now() != before


def test_caches_of_python_do_not_change_the_version(project: Path) -> None:
    """Compiled files do not count."""
    before = now()
    (project / "tasks" / "__pycache__").mkdir()
    (project / "tasks" / "__pycache__" / "copies.pyc").write_bytes(b"x")
    assert now() == before
