"""What real websites do that is neither right nor wrong, and some that is wrong: named variants of an emulated site.

Each is a function of the plain answer. Several can be on at once. `HEALTHY`: no check may fail. `BROKEN`: a check must fail.
"""

import base64
import gzip
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deployments.sandbox.wire import Request, Response

Document = dict[str, Any]
Variant = Callable[[Document, Request, Response], Response]
LOGIN = ("visitor", "s3same")  # of a protected site
SECOND_HOST = "elsewhere.example"


def _page(request: Request, response: Response) -> bool:
    return response.status == 200 and "html" in response.headers.get("content-type", "")


def _in_body(make: Callable[[], str]) -> Variant:
    def vary(install: Document, request: Request, response: Response) -> Response:
        if not _page(request, response):
            return response
        return replace(response, body=response.body.replace(b"</body>", make().encode() + b"</body>"))

    return vary


def _in_head(make: Callable[[Document], str]) -> Variant:
    def vary(install: Document, request: Request, response: Response) -> Response:
        if not _page(request, response):
            return response
        return replace(response, body=response.body.replace(b"</head>", make(install).encode() + b"</head>"))

    return vary


def _rest_closed(install: Document, request: Request, response: Response) -> Response:
    if not request.path.startswith("/wp-json"):
        return response
    return Response(401, {"content-type": "application/json"}, b'{"code":"rest_forbidden"}')


def _no_versions(install: Document, request: Request, response: Response) -> Response:
    return (
        replace(response, body=re.sub(rb"\?ver=[^\"']+", b"", response.body)) if _page(request, response) else response
    )


def _timed_assets(install: Document, request: Request, response: Response) -> Response:
    stamp = str(time.time_ns() // 1_000_000).encode()
    return (
        replace(response, body=re.sub(rb"\?ver=[^\"']+", b"?ver=" + stamp, response.body))
        if _page(request, response)
        else response
    )


def _maintenance(install: Document, request: Request, response: Response) -> Response:
    if request.path.startswith("/wp-content"):
        return response
    return Response(
        503, {"content-type": "text/html", "retry-after": "600"}, b"Briefly unavailable for scheduled maintenance."
    )


def _basic(install: Document, request: Request, response: Response) -> Response:
    wanted = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()
    if request.headers.get("authorization") == wanted:
        return response
    return Response(
        401, {"www-authenticate": 'Basic realm="Staging"', "content-type": "text/html"}, b"Authorization Required"
    )


def _www(install: Document, request: Request, response: Response) -> Response:
    bare = request.host.removeprefix("www.")
    if request.host == bare:
        return response
    query = "&".join(f"{key}={value}" for key, value in request.query.items())
    return Response(301, {"location": f"http://{bare}{request.path}{'?' + query if query else ''}"})


def _gzip(install: Document, request: Request, response: Response) -> Response:
    return replace(response, body=gzip.compress(response.body), headers=response.headers | {"content-encoding": "gzip"})


def _feed(install: Document, request: Request, response: Response) -> Response:
    """A stock WordPress feed: the guid keeps the address under which each post was first published."""
    if request.path != "/feed/":
        return response
    home = install["database"]["home"]
    items = "".join(
        f"<item><title>{p['title']}</title><link>http://{home}/?p={p['id']}</link>"
        f'<guid isPermaLink="false">http://{install["database"].get("born", "www.schulfest.example")}/?p={p["id"]}</guid>'
        f"<pubDate>{time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime(p['modified']))}</pubDate></item>"
        for p in install["database"]["posts"][-10:]
    )
    text = f'<?xml version="1.0"?><rss version="2.0"><channel><title>x</title><link>http://{home}</link>{items}</channel></rss>'
    return Response(200, {"content-type": "application/rss+xml"}, text.encode())


def _to(host: Callable[[Document], str]) -> Variant:
    def vary(install: Document, request: Request, response: Response) -> Response:
        return Response(301, {"location": f"http://{host(install)}/"}) if request.path == "/" else response

    return vary


def _answering(status: int) -> Variant:
    return lambda install, request, response: Response(status, {"content-type": "text/html"}, b"<h1>Error</h1>")


def _other(install: Document) -> str:
    """The primary domain of the other side of the seeded pair."""
    return "schulstage.wpengine.example" if install["environment"] == "production" else "www.schulfest.example"


def _wrong_home(install: Document, request: Request, response: Response) -> Response:
    """The option home is another host that has the site's own name in it."""
    if request.path.strip("/") != "wp-json" or response.status != 200:
        return response
    told = json.loads(response.body) | {"home": f"https://{install['primary_domain']}.{SECOND_HOST}"}
    return replace(response, body=json.dumps(told).encode())


HEALTHY: dict[str, Variant] = {
    "token-in-script": _in_body(
        lambda: f"<script>window.__cf={{r:'{secrets.token_urlsafe(12)}',t:'{secrets.token_hex(16)}'}}</script>"
    ),
    "generated-in": _in_body(
        lambda: (
            f"<!-- page generated in 0.{secrets.randbelow(900) + 100} s --><i>{time.time_ns() % 997}.{secrets.randbelow(99)} ms</i>"
        )
    ),
    "timed-assets": _timed_assets,
    "no-versions": _no_versions,
    "noindex-in-comment": _in_body(lambda: "<!--noindex--><nav>menu</nav><!--/noindex-->"),
    "email-and-similar-hosts": _in_body(
        lambda: "<a href='mailto:info@www.schulfest.example'>m</a> <a href='https://www.schulfest.example.uk/'>u</a>"
    ),
    "big-page": _in_body(lambda: "<p>" + "lorem ipsum " * 180_000 + "</p>"),
    "compressed": _gzip,
    "stock-feed": _feed,
}
UNPROVABLE: dict[str, Variant] = {"maintenance": _maintenance, "protected": _basic}
CLOSED: dict[str, Variant] = {"rest-closed": lambda i, q, r: _feed(i, q, _rest_closed(i, q, r))}
BROKEN: dict[str, Variant] = {
    "redirect-to-other-side": _to(_other),
    "redirect-elsewhere": _to(lambda install: SECOND_HOST),
    "refresh-to-other-side": _in_head(lambda i: f'<meta http-equiv="Refresh" content="0; url=http://{_other(i)}/">'),
    "home-elsewhere": _wrong_home,
    "server-error": _answering(500),
    "gone": _answering(404),
    "leak-encoded": _in_head(lambda i: f'<link href="https://share.example/?u=https%3A%2F%2F{_other(i)}%2F">'),
    "leak-json": _in_head(lambda i: rf'<script>{{"u":"https:\/\/{_other(i).upper()}\/"}}</script>'),
    "leak-entities": _in_head(
        lambda i: f"<b data-x='{{&quot;u&quot;:&quot;https:&#92;/&#92;/{_other(i)}&quot;}}'></b>"
    ),
}
VARIANTS: dict[str, Variant] = {**HEALTHY, **CLOSED, **UNPROVABLE, **BROKEN, "www-redirect": _www}


def vary(names: list[str], install: Document, request: Request, response: Response) -> Response:
    """Apply the variants that are on, in their order."""
    for name in names:
        response = VARIANTS[name](install, request, response)
    return response
