"""The environment file: what is written is what a shell and systemd read, and lines of a person stay."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.setup.environment_file import EnvironmentFile, environment_with, settings_of_this_shell
from tasks.configuration.settings import load_settings
from tasks.estate.errors import Misconfigured

VALUES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40)
NAMES = st.from_regex(r"UNDERSTUDY_[A-Z]{1,8}", fullmatch=True)
SH = shutil.which("sh") or "/bin/sh"


def read_by_shell(path: Path, name: str) -> str:
    """Return the value that a shell has after it read the file."""
    script = f'set -a; . "{path}"; printf %s "${{{name}}}"'
    return subprocess.run([SH, "-c", script], capture_output=True, check=True, env={}).stdout.decode()


@given(held=st.dictionaries(NAMES, VALUES, max_size=3), new=st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_every_value_is_read_back(held: dict[str, str], new: dict[str, str], tmp_path: Path) -> None:
    """A changed file has the new values and all others, and reading it twice changes nothing."""
    path = tmp_path / "worker.env"
    path.unlink(missing_ok=True)
    path.write_text(EnvironmentFile(path).with_values(held), encoding="utf-8")
    path.write_text(EnvironmentFile(path).with_values(new), encoding="utf-8")
    assert EnvironmentFile(path).values == held | new


@pytest.mark.parametrize(
    "value", ["plain", "two words", "a'b\"c", "back\\slash", "$HOME `id` $(id)", "#!&;|<>*?~", "ü €", ""]
)
def test_a_shell_reads_the_same_value(value: str, tmp_path: Path) -> None:
    """No character of a password has a meaning for the shell."""
    path = tmp_path / "worker.env"
    path.write_text(EnvironmentFile(path).with_values({"UNDERSTUDY_X": value}), encoding="utf-8")
    assert read_by_shell(path, "UNDERSTUDY_X") == value


def test_lines_of_a_person_stay(tmp_path: Path) -> None:
    """Comments, order and other forms of quoting stay; a changed value takes the place of the old one."""
    path = tmp_path / "worker.env"
    path.write_text("# ours\nUNDERSTUDY_A=plain\n\nexport UNDERSTUDY_B='old $x' \nUNDERSTUDY_C=\"c\"\n")
    file = EnvironmentFile(path)
    assert file.values == {"UNDERSTUDY_A": "plain", "UNDERSTUDY_B": "old $x", "UNDERSTUDY_C": "c"}
    changed = file.with_values({"UNDERSTUDY_B": "new", "UNDERSTUDY_D": "d"})
    assert changed == '# ours\nUNDERSTUDY_A=plain\n\nUNDERSTUDY_B="new"\nUNDERSTUDY_C="c"\nUNDERSTUDY_D="d"\n'


@pytest.mark.parametrize("line", ["geheim", 'A="geheim', "A=ge'heim'", "A=ge\\heim", "1A=geheim"])
def test_a_line_that_is_not_understood_is_named_and_not_shown(line: str, tmp_path: Path) -> None:
    """The message has the number of the line; its content may be a secret."""
    path = tmp_path / "worker.env"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(Misconfigured, match="Line 2 of") as wrong:
        EnvironmentFile(path)
    assert "geheim" not in str(wrong.value)


def test_a_value_with_a_line_end_is_refused(tmp_path: Path) -> None:
    """It would be two lines; the message shows how to store it, and not the value."""
    with pytest.raises(Misconfigured, match="UNDERSTUDY_A contains a control character") as wrong:
        EnvironmentFile(tmp_path / "worker.env").with_values({"UNDERSTUDY_A": "ge\nheim"})
    assert "UNDERSTUDY_A_FILE" in wrong.value.next_step
    assert "heim" not in wrong.value.message


def test_the_environment_comes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable, or the file that it names, is not replaced; at the end of the block nothing is left."""
    monkeypatch.setenv("UNDERSTUDY_NOTIFY", "shell@example.org")
    monkeypatch.setenv("UNDERSTUDY_MASKING_KEY_FILE", os.devnull)
    monkeypatch.delenv("UNDERSTUDY_LEADS_FILE", raising=False)
    values = {"UNDERSTUDY_NOTIFY": "file@example.org", "UNDERSTUDY_MASKING_KEY": "k", "UNDERSTUDY_LEADS_FILE": "l"}
    with environment_with(values):
        assert os.environ["UNDERSTUDY_NOTIFY"] == "shell@example.org"
        assert "UNDERSTUDY_MASKING_KEY" not in os.environ
        assert os.environ["UNDERSTUDY_LEADS_FILE"] == "l"
    assert "UNDERSTUDY_LEADS_FILE" not in os.environ


def test_a_worker_gets_what_the_shell_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and settings that the estate names are found, a secret in a file as its path, and nothing else."""
    monkeypatch.setenv("UNDERSTUDY_PACE", "0.5")
    monkeypatch.setenv("UNDERSTUDY_SCHOOL_SOURCE_FILE", "/run/secrets/school")
    monkeypatch.setenv("UNDERSTUDY_TRACEBACK", "1")
    found = settings_of_this_shell(("UNDERSTUDY_SCHOOL_SOURCE",))
    assert (found["UNDERSTUDY_PACE"], found["UNDERSTUDY_SCHOOL_SOURCE_FILE"]) == ("0.5", "/run/secrets/school")
    assert "UNDERSTUDY_TRACEBACK" not in found
    assert load_settings() is not None
