"""`desk`: serve the pages at which leads decide, on this machine only unless another host is named."""

import os
from typing import Annotated

import typer
import uvicorn
from pydantic import SecretStr

from deployments.cli.output import Result, print_aside
from deployments.desk.app import make_desk
from deployments.desk.reading import Sources
from tasks.configuration.settings import Settings, forget_settings, load_settings
from tasks.estate.errors import Misconfigured

PORT = 4300  # next to Prefect's 4200


def desk(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; a proxy with sign-on belongs before any other.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen at.")] = PORT,
    origin: Annotated[
        str,
        typer.Option(
            "--origin", help="Address in people's browsers, like https://desk.example.org. Passkeys are bound to it."
        ),
    ] = "",
) -> Result:
    """Serve the desk until Ctrl-C: what waits, the plans, and the answers, also on a phone. It holds no secret and no right."""
    forget_secrets()
    settings, address = load_settings(), origin.rstrip("/") or f"http://localhost:{port}"
    if not address.startswith(("https://", "http://localhost:", "http://localhost")):
        raise Misconfigured(
            f"The origin is {address!r}; expected https:// and a host, or http://localhost: browsers allow passkeys there only.",
            next_step="Put the desk behind a proxy with https, and name the proxy's address.",
        )
    sources = Sources(
        settings.ledger_url, settings.leads_file, settings.risk_file, settings.pictures, address,
        estate_file=settings.estate_file, standing_file=settings.standing_file, freeze_file=settings.freeze_file,
    )  # fmt: skip
    print_aside(f"The desk is at {address} until Ctrl-C.")
    uvicorn.run(make_desk(sources), host=host, port=port, log_level="warning", access_log=False, server_header=False)
    return Result({"origin": address}, ["The desk has stopped."])


def forget_secrets() -> None:
    """Remove the worker's secrets from this process, if it was started with them: the desk needs none."""
    for name, field in Settings.model_fields.items():
        if field.annotation is SecretStr:
            for variable in (f"UNDERSTUDY_{name}".upper(), f"UNDERSTUDY_{name}_FILE".upper()):
                os.environ.pop(variable, None)
    forget_settings()
