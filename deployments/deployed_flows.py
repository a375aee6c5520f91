"""What the flow of a deployment accepts, whatever the form of the deployment offers."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ParameterBindError, ParameterTypeError, SignatureMismatchError

OUR_FLOW = re.compile(r"flows\.([a-z_]+)\.\1")  # entrypoint of a flow of this project


def accepted_by_flow(deployment: DeploymentResponse, parameters: Mapping[str, Any]) -> bool:
    """Return whether one of our flows accepts these parameters, whatever the form of its deployment offers."""
    flow = _our_flow(deployment)
    if flow is None:
        return False
    try:
        flow.validate_parameters({**deployment.parameters, **parameters})
    except (ParameterTypeError, ParameterBindError, SignatureMismatchError, TypeError):
        return False
    return True


def parameter_schema(deployment: DeploymentResponse) -> dict[str, Any]:
    """Return the JSON schema of what a run of this deployment accepts: that of our flow, not the lists that its form offers."""
    flow = _our_flow(deployment)
    if flow is None:
        return deployment.parameter_openapi_schema or {}
    return dict(flow.parameters.model_dump(mode="json"))


def _our_flow(deployment: DeploymentResponse) -> Any:
    ours = OUR_FLOW.fullmatch(deployment.entrypoint or "")
    return getattr(importlib.import_module(f"flows.{ours[1]}"), ours[1]) if ours else None
