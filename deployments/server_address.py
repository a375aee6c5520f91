"""The address of the Prefect server, and the errors of a server that does not respond or refuses."""

import httpx
from prefect.settings import get_current_settings

from tasks.configuration.setting_addresses import prefect_address
from tasks.estate.connection_failures import TRUST, why_failed
from tasks.estate.errors import Misconfigured, Unreachable

VARIABLE = "PREFECT_API_URL"
CERTIFICATE_HINT = " If your own certificate authority signed it, set PREFECT_API_SSL_CERT_FILE."


def server_address() -> str:
    """Return the address of the Prefect server. Raise `Misconfigured` if it is not set, or cannot be that of an API."""
    address = get_current_settings().api.url
    if not address:  # Prefect would start a temporary server, where no worker runs
        raise Misconfigured(
            f"{VARIABLE} is not set; expected the address of the Prefect server, with /api at its end.",
            next_step=f"Nothing was sent. Run `prefect config set {VARIABLE}=http://host:4200/api`, or choose a profile with "
            "`prefect profile use`.",
        )
    return prefect_address(VARIABLE, address)


def failed_request(address: str, error: httpx.TransportError | httpx.HTTPStatusError) -> Unreachable:
    """Return the error that explains why a request to the Prefect server has no result."""
    return _refused(address, error) if isinstance(error, httpx.HTTPStatusError) else unreachable(address, error)


def unreachable(address: str, error: Exception) -> Unreachable:
    """Return the error that explains why the Prefect server did not respond."""
    why, remedy = why_failed(error)
    hint = CERTIFICATE_HINT if remedy == TRUST else ""
    return Unreachable(
        f"The Prefect server at {without_login(address)} cannot be reached: {why}.",
        next_step=f"{remedy}{hint} Check {VARIABLE} and the network, then try again.".strip(),
    )


def _refused(address: str, error: httpx.HTTPStatusError) -> Unreachable:
    """Return the error that explains what the Prefect server responded instead of a result."""
    status = error.response.status_code
    steps: dict[int, str] = {
        httpx.codes.NOT_FOUND: f"Check {VARIABLE}: it ends in /api.",
        httpx.codes.UNAUTHORIZED: "Log in: set PREFECT_API_AUTH_STRING or PREFECT_API_KEY.",
    }
    otherwise = "Check with `understudy waiting` whether your answer or run arrived, then try again."
    message = f"The Prefect server at {without_login(address)} responded with {status}: {explanation_of(error)}"
    return Unreachable(message, next_step=steps.get(status, otherwise))


def without_login(address: str) -> str:
    """Return the address without user and password."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def explanation_of(error: httpx.HTTPStatusError) -> str:
    """Return the server's explanation. It may repeat a refused parameter, but never an answer to a form."""
    try:
        body = error.response.json()
    except ValueError:
        return error.response.reason_phrase
    return str(body.get("detail", body) if isinstance(body, dict) else body)[:500]
