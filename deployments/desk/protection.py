"""What stands between the desk and other pages: one host, one origin, a token in each form, and a strict content policy."""

import hmac
import secrets
from urllib.parse import parse_qsl, urlsplit

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

LARGEST = 64 * 1024  # bytes of an answer: a proof has at most 4,000 characters, the record of a new passkey a few more
FIELDS = 20  # fields of a form; ours have fewer
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
        "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with `no-referrer`, browsers send the origin "null" with a form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
    "Cache-Control": "no-store",
}


class Protection(BaseHTTPMiddleware):
    """Refuses other hosts and origins, and adds the headers. The host is compared because a foreign name may resolve to loopback."""

    def __init__(self, app: object, origin: str) -> None:
        super().__init__(app)  # type: ignore[arg-type]  # Starlette passes the application, which it types as a protocol
        self._origin = origin

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer one request."""
        why = self._foreign(request)
        response = PlainTextResponse(why, status_code=421) if why else await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _foreign(self, request: Request) -> str:
        if request.headers.get("host", "").casefold() != urlsplit(self._origin).netloc:
            return f"This desk answers at {self._origin} only.\n"
        if request.method in ("GET", "HEAD"):
            return ""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if (origin is not None and origin != self._origin) or site not in (None, "same-origin"):
            return "A form of another page was sent here; nothing was done.\n"
        return ""


class NotOurForm(Exception):
    """A form without the token that this browser was given, or one that is too large."""


def cookie_name(origin: str) -> str:
    """Return the name of the cookie with the token. The prefix makes browsers refuse one that another host has set."""
    return "__Host-desk" if origin.startswith("https://") else "desk"


def token_of(request: Request, origin: str) -> str:
    """Return the token of this browser, or a new one, which stays the same for this request."""
    if not hasattr(request.state, "token"):
        request.state.token = request.cookies.get(cookie_name(origin)) or secrets.token_urlsafe(32)
    token: str = request.state.token
    return token


def keep_token(response: Response, token: str, origin: str) -> None:
    """Store the token in the browser until it is closed."""
    secure = origin.startswith("https://")
    response.set_cookie(cookie_name(origin), token, httponly=True, samesite="strict", secure=secure, path="/")


async def read_form(request: Request, origin: str) -> dict[str, str]:
    """Return the fields of a form that this desk made for this browser. Raises `NotOurForm`."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise NotOurForm
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS))
    except ValueError:
        raise NotOurForm from None
    known = request.cookies.get(cookie_name(origin), "")
    if not known or not hmac.compare_digest(known.encode(), fields.pop("token", "").encode()):
        raise NotOurForm
    return fields
