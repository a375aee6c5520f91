"""What the flow of a deployment accepts, whatever the form of the deployment offers."""

import importlib
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect import Flow
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ParameterBindError, ParameterTypeError, SignatureMismatchError

OUR_FLOW = re.compile(r"flows\.([a-z_]+)\.\1")  # entrypoint of a flow of this project


def flow_named(name: str) -> Flow[..., Any]:
    """Return the flow of this project with this name, such as `load_dump`."""
    flow: Flow[..., Any] = getattr(importlib.import_module(f"flows.{name}"), name)
    return flow


def is_ours(deployment: DeploymentResponse) -> bool:
    """Return whether the deployment runs a flow of this project."""
    return bool(OUR_FLOW.fullmatch(deployment.entrypoint or ""))


def why_refused_by_flow(deployment: DeploymentResponse, parameters: Mapping[str, Any]) -> str:
    """Return why our flow would refuse these parameters of its deployment, on one line; empty if it accepts them."""
    flow = _flow_of(deployment)
    if flow is None:
        return "It is no flow of this project, so what it accepts is not known."
    try:
        with _unlogged():
            flow.validate_parameters({**deployment.parameters, **parameters})
    except ParameterTypeError as error:
        found = re.sub(r"\s+", " ", str(error)).strip()
        return found.removeprefix("Flow run received invalid parameters: - ")
    except (ParameterBindError, SignatureMismatchError, TypeError) as error:
        return str(error)
    return ""


def parameter_schema(deployment: DeploymentResponse) -> dict[str, Any]:
    """Return the JSON schema of what a run of this deployment accepts: that of our flow, not the lists that its form offers."""
    flow = _flow_of(deployment)
    if flow is None:
        return deployment.parameter_openapi_schema or {}
    return dict(flow.parameters.model_dump(mode="json"))


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep Prefect from logging the parameters that a flow refuses: the caller reports them, without their values."""
    logger = logging.getLogger("prefect.flows")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _flow_of(deployment: DeploymentResponse) -> Flow[..., Any] | None:
    ours = OUR_FLOW.fullmatch(deployment.entrypoint or "")
    return flow_named(ours[1]) if ours else None
