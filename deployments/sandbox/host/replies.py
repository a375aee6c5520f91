"""How the hosting API words its answers: JSON, empty bodies, errors with fields, pages of a list."""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deployments.sandbox.host.http_messages import Request, Response

if TYPE_CHECKING:
    from deployments.sandbox.host.host_state import Estate

Document = dict[str, Any]
ACCEPTED = 202
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def reply(status: int, value: Any = None, *, empty: bool = False) -> "Response":
    """A JSON answer, or one with an empty body."""
    body = b"" if empty else json.dumps(value).encode()
    return Response(status, {} if empty else {"content-type": "application/json"}, body)


def error(status: int, message: str, *, field: str = "", kind: str = "invalid_value") -> "Response":
    """An error as the host words it, with `errors` where a field is to blame."""
    body: Document = {"message": message, "documentation_url": "https://wpengineapi.example/reference"}
    if field:
        body["errors"] = [{"resource": "Request", "field": field, "type": kind, "code": kind, "message": message}]
    return reply(status, body)


def body_of(request: "Request") -> Document:
    """The JSON object a request carries; empty if it carries none."""
    try:
        value = json.loads(request.body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def page(estate: "Estate", request: "Request", rows: list[Document]) -> "Response":
    """One page of a list, with absolute links to its neighbours."""
    try:
        limit, offset = int(request.query.get("limit", "100")), int(request.query.get("offset", "0"))
    except ValueError:
        return error(400, "limit and offset must be integers", field="limit")
    if not 1 <= limit <= 100 or offset < 0:
        return error(400, "limit must be between 1 and 100", field="limit")
    if any(fault.name == "page-two-fails" for fault in estate.faults):
        limit = min(limit, 2)  # a host may give less than it is asked for; so that there is a second page
    if offset and estate.fault("page-two-fails"):
        return error(500, "An unexpected error occurred, please try again in a few minutes")

    def link(start: int) -> str:
        return f"http://{request.headers.get('host', request.host)}{request.path}?limit={limit}&offset={start}"

    answer_page = {
        "previous": link(max(0, offset - limit)) if offset else None,
        "next": link(offset + limit) if offset + limit < len(rows) else None,
        "count": len(rows),
        "results": rows[offset : offset + limit],
    }
    return reply(200, answer_page)


# What the specification allows in bodies and paths: a test of a value, and how the host words its refusal.
CHECKED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "uuid": (lambda value: is_uuid(value), "must be a uuid"),
    "text": (lambda value: isinstance(value, str) and value.strip() != "", "must be a string"),
    "bool": (lambda value: isinstance(value, bool), "must be a boolean"),
    "object": (lambda value: isinstance(value, dict), "must be an object"),
    "emails": (
        lambda value: isinstance(value, list) and all(isinstance(v, str) and EMAIL.fullmatch(v) for v in value),
        "must be an array of e-mail addresses",
    ),
    "texts": (
        lambda value: isinstance(value, list) and all(isinstance(each, str) and each for each in value),
        "must be an array of strings",
    ),
}


def is_uuid(value: object) -> bool:
    """Whether this is the text of a UUID in its usual form."""
    return isinstance(value, str) and UUID_FORM.fullmatch(value) is not None


def refuse_body(request: "Request", fields: dict[str, str], required: tuple[str, ...] = ()) -> "Response | None":
    """The 400 for a body that is not a JSON object of these kinds, or None. Fields that nobody declared are ignored."""
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        return error(400, "The request body is not valid JSON")
    if not isinstance(body, dict):
        return error(400, "The request body must be an object")
    for name in required:
        if body.get(name) is None:
            return error(400, f"{name} is required", field=name)
    for name, kind in fields.items():
        fits, words = CHECKED[kind]
        if body.get(name) is not None and not fits(body[name]):
            return error(400, f"{name} {words}", field=name)
    return None
