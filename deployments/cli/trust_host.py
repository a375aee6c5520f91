"""`trust-host`: trust the host key of an install's SSH gateway from now on. Nothing else trusts a key on first use."""

import asyncio
from typing import Annotated

import typer

from deployments.cli.output import Result, print_aside, prompt
from tasks.configuration.settings import load_settings
from tasks.estate.errors import HostKeyRefused
from tasks.wpcli.access import access_to


def trust_host(
    install: Annotated[str, typer.Argument(help="Install whose gateway is trusted, by name.")],
    expected: Annotated[
        str, typer.Option("--fingerprint", help="Fingerprint that the key must have, SHA256:…; nothing is asked then.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Trust a new key instead of the one that is trusted.")
    ] = False,
) -> Result:
    """Show the host key of an install's SSH gateway and, if you confirm it, trust it from now on."""
    from tasks.wpcli.connection import fetch_host_key  # loads asyncssh: only when it is needed
    from tasks.wpcli.host_keys import add_key, fingerprint, remove_keys, trusted_keys

    settings = load_settings()
    access = access_to(install, settings, with_key=False)
    key = asyncio.run(fetch_host_key(access))
    shown = fingerprint(key)
    before = trusted_keys(access.known_hosts, access.host)[0]
    document = {"install": install, "host": access.host, "fingerprint": shown}
    if key in before:
        return Result({**document, "added": False}, [f"The key of {access.host} is already trusted: {shown}"])
    if before and not replace:
        raise HostKeyRefused(
            f"The gateway {access.host} shows {shown}; trusted is {', '.join(map(fingerprint, before))}. Nothing was changed."
        )
    _require_confirmed(access.host, shown, expected)
    if before:
        remove_keys(access.known_hosts, access.host)
    add_key(access.known_hosts, access.host, key)
    return Result({**document, "added": True}, [f"The key of {access.host} is trusted from now on: {shown}"])


def _require_confirmed(host: str, shown: str, expected: str) -> None:
    """Raise `HostKeyRefused` unless the fingerprint is the expected one, or a person confirms it."""
    if expected and expected != shown:
        raise HostKeyRefused(f"The gateway {host} shows {shown}; expected {expected}. Nothing was changed.")
    if not expected:
        print_aside(
            f"The gateway {host} shows this key: {shown}", "Compare it with the one that the host names to you."
        )
        if prompt("Type yes to trust it") != "yes":
            raise HostKeyRefused(f"The key {shown} of {host} was not confirmed. Nothing was changed.")
