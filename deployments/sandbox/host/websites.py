"""The public website of each emulated install: pages with URLs, a WordPress-style REST surface, and a page cache."""

import html
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import idna

from deployments.sandbox.host.feeds import serve_surface
from deployments.sandbox.host.http_messages import Request, Response
from deployments.sandbox.host.must_use_files import seen_by_visitors
from deployments.sandbox.host.variants import WRONG_SITE, vary

if TYPE_CHECKING:
    from deployments.sandbox.host.host_state import Estate

Document = dict[str, Any]
CACHE_LIFETIME = 86400.0  # the host's seconds; long, so that only a purge makes a page new
KEPT_OUT = {
    "content-type": "text/html",
    "x-understudy": "kept-out",
    "x-robots-tag": "noindex, nofollow",
    "retry-after": "600",
    "cache-control": "no-store",
}
STYLE = "/wp-content/themes/site/style.css"
CORE = ("oembed/1.0", "wp/v2")  # the REST namespaces of every site
PLUGINS = {  # what can be switched on, and the REST namespaces that the plugin behind it adds
    "shop": ("wc/v1", "wc/v2", "wc/v3", "wc/store", "wc/store/v1", "wc-telemetry"),
    "members": ("pmpro/v1",),
    "forms": ("contact-form-7/v1",),
}


def serve_site(estate: "Estate", request: "Request") -> "Response":
    """Answer as the install that has the asked domain."""
    asked = _ascii(request.host)
    domain = next((d for d in estate.store.all("domains") if _ascii(d["name"]) == asked), None)
    install = estate.store.get("installs", domain["install_id"]) if domain else None
    if install is None or install["status"] != "active":
        return Response(404, {"content-type": "text/html"}, b"<h1>No such site</h1>")
    names = [name for name, where in estate.variants if where in ("", install["name"])]
    if "wrong-site" in names:
        install = next(each for each in estate.store.all("installs") if each["name"] == WRONG_SITE)
    return vary(names, install, request, _plain(estate, install, request))


def _ascii(host: str) -> str:
    return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()


def _plain(estate: "Estate", install: Document, request: "Request") -> "Response":
    if estate.fault("site-down", install["name"]):
        return Response(503, {"content-type": "text/html"}, b"<h1>Service Unavailable</h1>")
    if _part(estate, install, "keep-out") is not None and not _is_cached(estate, install, request):
        return Response(503, KEPT_OUT, b"<h1>This staging site is being prepared</h1>")
    surface = serve_surface(install, request)
    if surface is not None:
        return surface
    if request.path.startswith("/wp-json"):
        return _rest(install, request)
    if request.path == STYLE:
        return Response(200, {"content-type": "text/css"}, f"/* Version: {install['files']['version']} */\n".encode())
    if request.path not in ("/", "/about/"):
        return Response(404, {"content-type": "text/html"}, b"<h1>Not found</h1>")
    return _cached(estate, install, request)


def _part(estate: "Estate", install: Document, part: str) -> Document | None:
    """Return the facts of a must-use plugin that the web side sees now, or None."""
    late = estate.fault("files-late", install["name"])
    later = float(late.options.get("seconds", 60.0)) if late else 0.0
    return seen_by_visitors(install, part, estate.store.clock(), estate.scale, later)


def _is_cached(estate: "Estate", install: Document, request: "Request") -> bool:
    """Return whether the page cache has the page: it answers before WordPress is asked."""
    kept = install["cached"].get(request.path)
    return bool(kept and not request.query and estate.store.clock() - kept["at"] < CACHE_LIFETIME * estate.scale)


def _cached(estate: "Estate", install: Document, request: "Request") -> "Response":
    """A page, from the page cache unless a query parameter goes past it."""
    headers = {
        "content-type": "text/html; charset=UTF-8", "cache-control": f"max-age={int(CACHE_LIFETIME)}",
        "link": f'<http://{_ascii(install["database"]["home"])}/wp-json/>; rel="https://api.w.org/"',
    }  # fmt: skip
    if _part(estate, install, "search") is not None:
        headers["x-robots-tag"] = "noindex, nofollow"
    now = estate.store.clock()
    if _is_cached(estate, install, request):
        kept = install["cached"][request.path]
        age = int((now - kept["at"]) / estate.scale)
        return Response(200, {**headers, "x-cache": "HIT", "age": str(age)}, kept["body"].encode())
    banner = (_part(estate, install, "banner") or {}).get("text", "")
    body = _html(install, request.path).replace(
        "</body>", f'<div id="understudy-banner">{html.escape(banner)}</div></body>' if banner else "</body>"
    )
    if request.query:
        return Response(200, {**headers, "x-cache": "MISS", "age": "0"}, body.encode())
    install["cached"][request.path] = {"at": now, "body": body}
    estate.store.put("installs", install)
    return Response(200, {**headers, "x-cache": "MISS", "age": "0"}, body.encode())


def _html(install: Document, path: str) -> str:
    content = install["database"]
    root = f"http://{content['home']}"
    robots = "" if install["environment"] == "production" else '<meta name="robots" content="noindex, nofollow">'
    items = "".join(
        f'<li><a href="{root}/?p={p["id"]}">{html.escape(p["title"])}</a></li>' for p in content["posts"][-5:]
    )
    return (
        f"<!doctype html><html><head><title>{html.escape(content['title'])}</title>{robots}"
        f'<meta name="generator" content="WordPress {install["wp_version"]}">'
        f'<link rel="https://api.w.org/" href="{root}/wp-json/">'
        f'<link rel="alternate" type="application/rss+xml" href="{root}/feed/">'
        f'<link rel="stylesheet" href="{root}{STYLE}?ver={install["files"]["version"]}"></head>'
        f"<body><h1>{html.escape(content['title'])}</h1><p>{path}</p><ul>{items}</ul>"
        f'<a href="{root}/">Home</a> <a href="{root}/about/">About</a></body></html>'
    )


def _rest(install: Document, request: "Request") -> "Response":
    content = install["database"]
    headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-cache"}
    parts = request.path.strip("/").split("/")
    if parts == ["wp-json"]:
        home = f"http://{content['home']}"
        added = [namespace for kind in content.get("live", ()) for namespace in PLUGINS[kind]]
        index = {"name": content["title"], "home": home, "url": home, "namespaces": [*CORE, *added]}
        return Response(200, headers, json.dumps(index).encode())
    if len(parts) != 4 or parts[1:3] != ["wp", "v2"] or parts[3] not in ("posts", "pages", "media", "comments"):
        return Response(404, headers, b'{"code": "rest_no_route", "message": "No route was found"}')
    rows = list(content[parts[3]])
    rows.sort(key=lambda item: float(item["modified"]), reverse=request.query.get("order", "desc") == "desc")
    size = max(1, min(100, int(request.query.get("per_page", "10") or 10)))
    stamp = "date_gmt" if parts[3] == "comments" else "modified_gmt"
    texts = "content" in request.query.get("_fields", "") and parts[3] in ("posts", "pages")
    shown = [_item(content, item, stamp) | (_text(content, item) if texts else {}) for item in rows[:size]]
    totals = {"x-wp-total": str(len(rows)), "x-wp-totalpages": str(-(-len(rows) // size))}
    return Response(200, headers | totals, json.dumps(shown).encode())


def _item(content: Document, item: Document, stamp: str) -> Document:
    guid = f"http://{content.get('born', content['home'])}/?p={item['id']}"
    return {"id": item["id"], stamp: _moment(item["modified"]), "guid": {"rendered": guid}}


def _text(content: Document, item: Document) -> Document:
    link = f"http://{content['home']}/?p={item['id']}"
    return {"link": link, "content": {"rendered": f"<p>{html.escape(item['title'])} <a href='{link}'>more</a></p>"}}


def _moment(seconds: float) -> str:
    """As WordPress writes it: UTC, without a zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="seconds")
