"""A systemd unit that keeps the worker running, for the user who owns the settings."""

import sys
from pathlib import Path

from deployments.bootstrap import POOL
from tasks.configuration.code_version import PROJECT

NAME = "understudy-worker.service"


def unit_text(environment_file: Path, *, folder: Path = PROJECT, python: str = sys.executable) -> str:
    """Return the unit: it starts the worker in the project's folder, with these settings, and again after a failure."""
    return f"""[Unit]
Description=Worker of Understudy
Documentation=file://{_literal(str(folder))}/docs/operating.md

[Service]
WorkingDirectory={_literal(str(folder))}
EnvironmentFile={_literal(str(environment_file))}
ExecStart={_argument(python)} -m deployments.worker --pool {POOL}
Restart=on-failure
RestartSec=10
# The worker ends the processes of its runs itself, within five seconds of a signal.
KillMode=mixed
TimeoutStopSec=10
UMask=0077
NoNewPrivileges=true

[Install]
WantedBy=default.target
"""


def _literal(text: str) -> str:
    return text.replace("%", "%%")  # % begins a specifier


def _argument(text: str) -> str:
    """Return a text as a single argument of a command line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_literal(escaped)}"'
