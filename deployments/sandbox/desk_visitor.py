"""Somebody at the sandbox's desk without a browser: opens a request, fills in its form, and sends it, over HTTP."""

from uuid import UUID

import httpx

from tasks.estate.errors import NotApproved

TIMEOUT = 30.0  # seconds for one page, on a busy machine
COOKIE = "desk"  # of the desk at an address with http; its value is the token that each form sends back


def answer_at_desk(desk_url: str, run: UUID, fields: dict[str, str]) -> None:
    """Send an answer through the desk's page of this run. Raise `NotApproved` if the desk does not take it."""
    path = f"/runs/{run}/decide"
    with httpx.Client(base_url=desk_url, trust_env=False, timeout=TIMEOUT) as browser:
        browser.get(path).raise_for_status()
        sent = browser.post(path, data=fields | {"token": browser.cookies[COOKIE]})
    if sent.status_code != httpx.codes.SEE_OTHER:
        raise NotApproved(
            f"The desk did not take the answer to run {run}: it returned {sent.status_code}, expected {httpx.codes.SEE_OTHER}.",
            next_step=f"Open {desk_url}{path}: the page shows why.",
        )
