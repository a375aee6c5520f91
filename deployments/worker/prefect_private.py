"""The only imports of private modules of Prefect, which may change in any of its releases.

pyproject.toml therefore allows only the version in `TESTED_WITH`. To move to another one, run the tests of the worker, the
flows and the command line with it, then change it here, in pyproject.toml, constraints.txt and prefect.yaml.
"""

from prefect._internal.control_listener import configure_from_env
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.runner._starter_engine import EngineCommandStarter

TESTED_WITH = "3.9.1"

__all__ = [
    "TESTED_WITH",
    "EngineCommandStarter",
    "FlowRunExecutionResult",
    "FlowRunExecutorContext",
    "ProcessHandle",
    "configure_from_env",
]
