"""Map an answer (status, headers, body) to its JSON value or to an exception. Pure functions."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tasks.estate.errors import HostRefused, NotFound, RateLimited, Unreachable

LONGEST_QUOTE = 300  # characters of the host's message that are repeated


def decipher(status: int, headers: Mapping[str, str], body: bytes, *, what: str) -> Any:
    """Return the JSON value of a success (None if the body is empty), or raise.

    `what` names the request in messages. Raise `RateLimited` (429, `retry_after` in seconds or None), `Unreachable` (5xx,
    redirects, a success that is not JSON), `NotFound` (404) or `HostRefused` (every other 4xx), each with the host's message
    and request id. Bodies may be empty, HTML or JSON: 429, 502 and 503 have no schema.
    """
    if 200 <= status < 300:
        return _success(body, what)
    quoted = _quote(headers, body)
    if status == 429:
        raise RateLimited(
            f"{what}: the host asks for fewer requests.{quoted}", status=status, retry_after=_retry_after(headers)
        )
    if status == 404:
        raise NotFound(f"{what}: the host answers 404.{quoted}", status=status)
    if 400 <= status < 500:
        hint = {
            401: " Expected a valid API user and password.",
            403: " Expected an API user that is allowed to do this.",
        }
        raise HostRefused(f"{what}: the host refuses with {status}.{quoted}{hint.get(status, '')}", status=status)
    raise Unreachable(f"{what}: the host answers {status}.{quoted}", status=status)


def _success(body: bytes, what: str) -> Any:
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreachable(f"{what}: the host's answer is not JSON ({len(body)} bytes); expected JSON.") from error


def _quote(headers: Mapping[str, str], body: bytes) -> str:
    """Return the host's message and request id for a message of ours. HTML is not repeated."""
    parts: list[str] = []
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, dict):
        parts += [str(parsed["message"])] if parsed.get("message") else []
        errors = parsed.get("errors")
        for error in errors if isinstance(errors, list) else []:
            if isinstance(error, dict):
                parts.append(f"{error.get('field', '?')}: {error.get('message', error.get('code', '?'))}")
    text = "; ".join(parts)[:LONGEST_QUOTE]
    request_id = headers.get("x-amzn-requestid")
    return (f" Its message: {text}." if text else "") + (f" (request id {request_id[:64]})" if request_id else "")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in `Retry-After`, a number or a date; None if it is absent or malformed."""
    value = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(value)) if value.replace(".", "", 1).isdigit() else _seconds_until(value)
    except (ValueError, TypeError, OverflowError):
        return None


def _seconds_until(value: str) -> float | None:
    if not value:
        return None
    moment = parsedate_to_datetime(value)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
