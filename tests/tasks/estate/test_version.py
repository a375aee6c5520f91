"""The version of the code: every file that decides counts, and nothing that Python makes by itself."""

from pathlib import Path

import pytest

from tasks.estate import version


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one flow, one step and one query."""
    for name in ("flows/refresh.py", "tasks/copies.py", "tasks/dumps/sql/keys.sql"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(version, "PROJECT", tmp_path)
    return tmp_path


def now() -> str:
    """The version of the files as they are at this moment."""
    version.code_version.cache_clear()
    return version.code_version()


@pytest.mark.parametrize("name", ["flows/refresh.py", "tasks/copies.py", "tasks/dumps/sql/keys.sql", "tasks/new.json"])
def test_a_change_of_any_file_is_another_version(project: Path, name: str) -> None:
    """Python, SQL and data alike."""
    before = now()
    (project / name).write_text("changed")
    assert now() != before


def test_what_python_caches_is_no_version(project: Path) -> None:
    """Compiled files come and go."""
    before = now()
    (project / "tasks" / "__pycache__").mkdir()
    (project / "tasks" / "__pycache__" / "copies.pyc").write_bytes(b"x")
    assert now() == before
