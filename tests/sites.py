"""A client and a prober of an emulated host without a server, and plans of copies on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request
from tasks.capi.client import Client
from tasks.estate.plans import Backup, CopyOptions, Plan
from tasks.estate.polling import utc_now
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Direction, Pair, Survey
from tasks.websites.wordpress_site import Prober


@contextmanager
def reading(host: Host, **options: Any) -> Iterator[tuple[Client, Prober]]:
    """Yield a client and a prober of this emulator, without a server."""

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {k.lower(): v for k, v in request.headers.items()}
        asked = Request(
            request.method, request.url.host, request.url.path, dict(request.url.params), headers, request.content
        )
        seen = host.handle(asked)
        return httpx.Response(seen.status, headers=seen.headers, content=seen.body)

    transport = httpx.MockTransport(answer)
    login = (SecretStr("demo"), SecretStr("demo"))
    options = {"resolver": lambda name: frozenset({"192.0.2.1"})} | options
    with (
        Client("http://127.0.0.1/v1", *login, transport=transport) as client,
        Prober("http", transport=transport, **options) as prober,
    ):
        yield client, prober


def made(verb: str, source: Survey, destination: Survey, options: CopyOptions) -> Plan:
    """Return a plan of this copy."""
    direction = Direction.DOWN if verb == "refresh" else Direction.UP
    backup = Backup(
        id="b", install_id=destination.install.id, install_name=destination.install.name, requested_at=utc_now()
    )
    pair = Pair(source=source.install, destination=destination.install, direction=direction)
    return Plan.model_validate({
        "verb": "refresh" if verb == "refresh" else "promote", "direction": direction, "pair": pair, "options": options,
        "generation": 0, "pinned": {}, "backup": backup, "run_id": "r", "risk": Risk(grade=Grade.YELLOW, reasons=()),
    })  # fmt: skip
