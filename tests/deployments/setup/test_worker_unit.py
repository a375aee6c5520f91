"""The systemd unit starts the worker with its settings, whatever the paths contain."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from deployments.setup.worker_unit import unit_text


def read(text: str) -> configparser.ConfigParser:
    """Return the sections of a unit."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep the case of names
    unit.read_string(text)
    return unit


def test_it_starts_the_worker_in_the_project_with_its_settings() -> None:
    """The command is that of the environment in which the command was run."""
    unit = read(
        unit_text(Path("/srv/anna/.understudy/worker.env"), folder=Path("/srv/app"), python="/srv/app/.venv/bin/python")
    )
    assert dict(unit["Service"]) | {
        "WorkingDirectory": "/srv/app",
        "EnvironmentFile": "/srv/anna/.understudy/worker.env",
        "ExecStart": '"/srv/app/.venv/bin/python" -m deployments.worker --pool understudy',
    } == dict(unit["Service"])
    assert unit["Install"]["WantedBy"] == "default.target"  # of a user's systemd


def test_special_characters_of_paths_have_no_meaning() -> None:
    """Percent signs, quotes, dollars and blanks are those of the path."""
    unit = read(unit_text(Path("/a %b/w.env"), folder=Path('/a "b"'), python='/a b/$c"d%e\\f'))
    assert unit["Service"]["EnvironmentFile"] == "/a %%b/w.env"
    assert unit["Service"]["ExecStart"].startswith('"/a b/$$c\\"d%%e\\\\f" -m')


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_it(tmp_path: Path) -> None:
    """systemd's own check finds nothing wrong."""
    file = tmp_path / "understudy-worker.service"
    file.write_text(unit_text(tmp_path / "worker.env"))
    done = subprocess.run(["systemd-analyze", "verify", "--user", file], capture_output=True, text=True, check=False)
    assert "understudy-worker" not in done.stderr
