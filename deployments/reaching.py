"""The Prefect server of the current settings: whether its address can be one, and why it is not reached."""

from prefect.settings import get_current_settings

from tasks.estate.addresses import prefect_address
from tasks.estate.errors import Misconfigured, Unreachable
from tasks.estate.failures import why_failed

VARIABLE = "PREFECT_API_URL"
TRUST = " An authority of your own is named by PREFECT_API_SSL_CERT_FILE."


def server_address() -> str:
    """Return the address of the Prefect server. Raises `Misconfigured` if none is set, or one that cannot be an API's."""
    address = get_current_settings().api.url
    if not address:  # Prefect would start a server of its own, where nothing waits and nothing runs
        raise Misconfigured(
            f"{VARIABLE} is not set; expected the address of the Prefect server, with /api at its end.",
            next_step=f"Nothing was sent. `prefect config set {VARIABLE}=http://host:4200/api`, or choose a profile with "
            "`prefect profile use`.",
        )
    return prefect_address(VARIABLE, address)


def unreachable(address: str, error: Exception) -> Unreachable:
    """Return the error that says why the Prefect server did not answer."""
    why, remedy = why_failed(error)
    trust = TRUST if why.startswith("TLS: its certificate is signed") else ""
    return Unreachable(
        f"The Prefect server at {without_login(address)} is not reached: {why}.",
        next_step=f"{remedy}{trust} Check {VARIABLE} and the network, then try again.".strip(),
    )


def without_login(address: str) -> str:
    """Return the address as it may be shown."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
