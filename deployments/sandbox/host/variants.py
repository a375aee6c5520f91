"""Named variants of an emulated website: what healthy sites do, and what broken ones do.

Each is a function of the plain answer, and several can be on. `HEALTHY`: no check may fail. `BROKEN`: a check must fail if the
site was not so before the copy. `HIDDEN` is right for staging, and for production only if it was hidden before. `PREPARED`
prepares an install for its variant, for example with domains, which stay when the variant is switched off.
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

from deployments.sandbox.host.document_store import Store, add_domain
from deployments.sandbox.host.feeds import serve_surface
from deployments.sandbox.host.http_messages import Request, Response

Document = dict[str, Any]
Variant = Callable[[Document, Request, Response], Response]
LOGIN = ("visitor", "s3same")  # of a protected site
SECOND_HOST = "elsewhere.example"
WRONG_SITE = "vereinprod"  # whose pages answer where the variant `wrong-site` is on
NETWORK = 29  # sites of a multisite install in addition to its main site


def _page(request: Request, response: Response) -> bool:
    return response.status == 200 and "html" in response.headers.get("content-type", "")


def _in_pages(change: Callable[[Document, bytes], bytes]) -> Variant:
    """Change the body of every page."""

    def vary(install: Document, request: Request, response: Response) -> Response:
        return replace(response, body=change(install, response.body)) if _page(request, response) else response

    return vary


def _in_body(make: Callable[[], str]) -> Variant:
    return _in_pages(lambda _, body: body.replace(b"</body>", make().encode() + b"</body>"))


def _in_head(make: Callable[[Document], str]) -> Variant:
    return _in_pages(lambda install, body: body.replace(b"</head>", make(install).encode() + b"</head>"))


def _with_header(name: str, make: Callable[[Document], str]) -> Variant:
    return lambda install, _, response: replace(response, headers=response.headers | {name: make(install)})


def _front_page_of_another(install: Document, request: Request, response: Response) -> Response:
    """Each page comes from another site: its header and its head name the REST surface of that one."""
    if not _page(request, response):
        return response
    theirs = "http://www.verein.example/wp-json/"
    body = re.sub(rb"http://[^/\"]+/wp-json/", theirs.encode(), response.body)
    return replace(response, body=body, headers=response.headers | {"link": f'<{theirs}>; rel="https://api.w.org/"'})


def _rest_closed(install: Document, request: Request, response: Response) -> Response:
    if not request.path.startswith("/wp-json"):
        return response
    return Response(401, {"content-type": "application/json"}, b'{"code":"rest_forbidden"}')


def _versions(make: Callable[[], str]) -> Variant:
    """Replace the version of each asset."""
    return _in_pages(lambda _, body: re.sub(rb"\?ver=[^\"']+", make().encode(), body))


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


def _redirecting(wanted: Callable[[str], str]) -> Variant:
    """Redirect each request to the wanted form of the primary domain."""

    def vary(install: Document, request: Request, response: Response) -> Response:
        host = wanted(install["primary_domain"])
        if request.host == host:
            return response
        query = "&".join(f"{key}={value}" for key, value in request.query.items())
        return Response(301, {"location": f"http://{host}{request.path}{'?' + query if query else ''}"})

    return vary


def _bare(host: str) -> str:
    return host.removeprefix("www.")


def _with_www(host: str) -> str:
    return f"www.{_bare(host)}"


def _both_forms(store: Store, install: Document) -> None:
    for host in (_bare(install["primary_domain"]), _with_www(install["primary_domain"])):
        if host != install["primary_domain"]:
            add_domain(store, install, host, primary=False)


def _umlauts(store: Store, install: Document) -> None:
    """Give the install a primary domain with umlauts, as its database and its pages write it."""
    host = install["primary_domain"].replace("u", "ü", 1)
    add_domain(store, install, host, primary=True)
    install |= {"primary_domain": host, "database": install["database"] | {"home": host}, "cached": {}}
    store.put("installs", install)


def _in_ascii(install: Document, request: Request, response: Response) -> Response:
    """Pages show the host as people write it, the REST surface in its ASCII form."""
    if not request.path.startswith("/wp-json"):
        return response
    host = install["primary_domain"]
    escaped = json.dumps(host).strip('"')
    ascii_form = host.encode("idna").decode()
    return replace(response, body=response.body.replace(escaped.encode(), ascii_form.encode()))


def _become_network(store: Store, install: Document) -> None:
    hosts = [f"ort-{number}.{_bare(install['primary_domain'])}" for number in range(1, NETWORK + 1)]
    for host in hosts:
        add_domain(store, install, host, primary=False)
    store.put("installs", install | {"is_multisite": True, "network": hosts})


def _network(install: Document, request: Request, response: Response) -> Response:
    links = "".join(f"<a href='http://{host}/'>{host}</a>" for host in install.get("network", ()))
    return _in_body(lambda: links)(install, request, response)


def _upper_case_headers(install: Document, request: Request, response: Response) -> Response:
    return replace(response, headers={name.upper(): value for name, value in response.headers.items()})


def _moved_front_page(install: Document, request: Request, response: Response) -> Response:
    """The front page is another page of the same site."""
    return Response(302, {"location": "/about/"}) if request.path == "/" and response.status == 200 else response


def _hops(install: Document, request: Request, response: Response) -> Response:
    """To the other side, in three steps of which none needs JavaScript."""
    steps = {
        "/": Response(301, {"location": "/hop/"}),
        "/hop/": Response(302, {"location": "/hop/hop/"}),
        "/hop/hop/": Response(200, {"content-type": "text/html"}, _refresh_to(_other(install)).encode()),
    }
    return steps.get(request.path, response)


def _refresh_to(host: str) -> str:
    return f'<meta http-equiv="Refresh" content="0; url=http://{host}/">'


def _loop(install: Document, request: Request, response: Response) -> Response:
    return Response(302, {"location": "/?again=1"}) if request.path == "/" else response


def _cached_redirect(install: Document, request: Request, response: Response) -> Response:
    """Only the page cache has it: a request past the cache shows the site."""
    return _to(_other)(install, request, response) if not request.query else response


def _page_left_out(install: Document, request: Request, response: Response) -> Response:
    """Search-and-replace left one page out."""
    if request.path != "/about/":
        return response
    return _in_body(lambda: f"<a href='http://{_other(install)}/contact/'>Contact</a>")(install, request, response)


def _post_left_out(install: Document, request: Request, response: Response) -> Response:
    """Search-and-replace left one old post out, to which no page links."""
    if request.path != "/wp-json/wp/v2/posts" or response.status != 200:
        return response
    posts = json.loads(response.body)
    if posts and "content" in posts[-1]:
        posts[-1]["content"]["rendered"] += f"<img src='//{_other(install)}/wp-content/uploads/old.jpg'>"
    return replace(response, body=json.dumps(posts).encode())


def _robots_txt(install: Document, request: Request, response: Response) -> Response:
    if request.path != "/robots.txt":
        return response
    return Response(200, {"content-type": "text/plain"}, b"User-agent: *\nDisallow: /\n")


def _wrong_site(install: Document, request: Request, response: Response) -> Response:
    return response  # `serve_site` answers with the other site


def _gzip(install: Document, request: Request, response: Response) -> Response:
    return replace(response, body=gzip.compress(response.body), headers=response.headers | {"content-encoding": "gzip"})


def _feed(install: Document, request: Request, response: Response) -> Response:
    """A stock WordPress feed, whatever else the site answers: its guid keeps the address of the first publication."""
    return (serve_surface(install, request) or response) if request.path == "/feed/" else response


def _to(host: Callable[[Document], str]) -> Variant:
    def vary(install: Document, request: Request, response: Response) -> Response:
        return Response(301, {"location": f"http://{host(install)}/"}) if request.path == "/" else response

    return vary


def _answering(status: int, **headers: str) -> Variant:
    answer_headers = {"content-type": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda install, request, response: Response(status, answer_headers, b"<h1>Error</h1>")


def _other(install: Document) -> str:
    """The primary domain of the other side of the seeded pair."""
    return "schulstage.wpengine.example" if install["environment"] == "production" else "www.schulfest.example"


def _wrong_home(install: Document, request: Request, response: Response) -> Response:
    """The option home is another host that has the site's own name in it."""
    if request.path.strip("/") != "wp-json" or response.status != 200:
        return response
    index = json.loads(response.body) | {"home": f"https://{install['primary_domain']}.{SECOND_HOST}"}
    return replace(response, body=json.dumps(index).encode())


HEALTHY: dict[str, Variant] = {
    "token-in-script": _in_body(
        lambda: f"<script>window.__cf={{r:'{secrets.token_urlsafe(12)}',t:'{secrets.token_hex(16)}'}}</script>"
    ),
    "generated-in": _in_body(
        lambda: (
            f"<!-- page generated in 0.{secrets.randbelow(900) + 100} s --><i>{time.time_ns() % 997}.{secrets.randbelow(99)} ms</i>"
        )
    ),
    "timed-assets": _versions(lambda: f"?ver={time.time_ns() // 1_000_000}"),
    "no-versions": _versions(lambda: ""),
    "noindex-in-comment": _in_body(lambda: "<!--noindex--><nav>menu</nav><!--/noindex-->"),
    "email-and-similar-hosts": _in_body(
        lambda: "<a href='mailto:info@www.schulfest.example'>m</a> <a href='https://www.schulfest.example.uk/'>u</a>"
    ),
    "big-page": _in_body(lambda: "<p>" + "lorem ipsum " * 180_000 + "</p>"),
    "compressed": _gzip,
    "stock-feed": _feed,
    "upper-case-headers": _upper_case_headers,
    "www-to-bare": _redirecting(_bare),
    "bare-to-www": _redirecting(_with_www),
    "front-page-moved": _moved_front_page,
    "umlaut-domain": _in_ascii,
    "thirty-domains": _network,
    "rules-for-other-crawlers": _with_header("x-robots-tag", lambda _: "BadBot: noindex"),
}
UNPROVABLE: dict[str, Variant] = {
    "maintenance": _maintenance,
    "protected": _basic,
    "too-many-requests": _answering(429, retry_after="30"),
    "challenge": _answering(403, cf_mitigated="challenge"),
}
CLOSED: dict[str, Variant] = {"rest-closed": lambda i, q, r: _feed(i, q, _rest_closed(i, q, r))}
BROKEN: dict[str, Variant] = {
    "redirect-to-other-side": _to(_other),
    "redirect-elsewhere": _to(lambda install: SECOND_HOST),
    "refresh-to-other-side": _in_head(lambda i: _refresh_to(_other(i))),
    "refresh-header": _with_header("refresh", lambda install: f"0; url=http://{_other(install)}/"),
    "hops-to-other-side": _hops,
    "redirect-loop": _loop,
    "cached-redirect": _cached_redirect,
    "blank-page": _in_pages(lambda install, body: b""),
    "wrong-site": _wrong_site,
    "front-page-of-another-site": _front_page_of_another,
    "canonical-of-other-side": _in_head(lambda i: f'<link rel="canonical" href="http://{_other(i)}/">'),
    "page-left-out": _page_left_out,
    "post-left-out": _post_left_out,
    "home-elsewhere": _wrong_home,
    "server-error": _answering(500),
    "gone": _answering(404),
    "strangers-forbidden": _answering(403),
    "leak-encoded": _in_head(lambda i: f'<link href="https://share.example/?u=https%3A%2F%2F{_other(i)}%2F">'),
    "leak-json": _in_head(lambda i: rf'<script>{{"u":"https:\/\/{_other(i).upper()}\/"}}</script>'),
    "leak-entities": _in_head(
        lambda i: f"<b data-x='{{&quot;u&quot;:&quot;https:&#92;/&#92;/{_other(i)}&quot;}}'></b>"
    ),
}
HIDDEN: dict[str, Variant] = {
    "noindex-tag": _in_head(lambda i: "<meta content='noindex,follow' name='robots'>"),
    "noindex-header": _with_header("x-robots-tag", lambda _: "noindex, nofollow"),
    "robots-txt": _robots_txt,
}
VARIANTS: dict[str, Variant] = {**HEALTHY, **CLOSED, **UNPROVABLE, **HIDDEN, **BROKEN}
PREPARED: dict[str, Callable[[Store, Document], None]] = {
    "www-to-bare": _both_forms,
    "bare-to-www": _both_forms,
    "umlaut-domain": _umlauts,
    "thirty-domains": _become_network,
}


def vary(names: list[str], install: Document, request: Request, response: Response) -> Response:
    """Apply the variants that are on, in their order."""
    for name in names:
        response = VARIANTS[name](install, request, response)
    return response
