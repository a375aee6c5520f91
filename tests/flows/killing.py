"""Flow runs in a process of their own that is killed, as `kill -9` would, at a moment of a call."""

import os
import subprocess
import sys
from pathlib import Path

from prefect.settings import PREFECT_API_URL, PREFECT_LOCAL_STORAGE_PATH

ROOT = Path(__file__).parents[2]
VICTIM = """
import os, signal, threading
from uuid import UUID
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from flows.{verb} import {verb} as the_flow

{patch}

with get_client(sync_client=True) as client:
    run = client.read_flow_run(UUID("{run}"))
run_flow(the_flow, flow_run=run, parameters=the_flow.validate_parameters(run.parameters), return_type="state")
"""


def kill(verb: str, run: str, patch: str) -> int:
    """Run it in a process that `patch`, Python code, makes kill itself; return the exit code."""
    environment = os.environ | {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_LOCAL_STORAGE_PATH": str(PREFECT_LOCAL_STORAGE_PATH.value()),
        "PYTHONPATH": str(ROOT),
    }
    code = VICTIM.format(verb=verb, run=run, patch=patch)
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=90).returncode
