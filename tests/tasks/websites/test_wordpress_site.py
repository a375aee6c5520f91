"""Reading a site: plugins that collect data of visitors, content, feeds and sitemaps."""

import json
from typing import Any

import httpx
import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request
from tasks.estate.sites import Content
from tasks.websites.wordpress_site import Prober

DOMAIN = "www.schulfest.example"
WORDPRESS = ["oembed/1.0", "wp/v2"]


def look(index: dict[str, Any]) -> tuple[Content, list[str]]:
    """The content of a site with this index and empty collections, and the paths that were asked."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json=index if request.url.path == "/wp-json/" else [])

    with Prober("http", transport=httpx.MockTransport(answer)) as prober:
        return prober.content("site.example"), asked


@pytest.mark.parametrize(
    ("namespaces", "seen"),
    [
        ([], ()),
        (["wc/v3", "wc/store/v1"], ("WooCommerce",)),
        (["wc-telemetry", "wcs", "gfx/v1", "tribe/events/v1"], ()),
        (["mailpoet/v1", "gf/v2", "contact-form-7/v1"], ("Contact Form 7", "Gravity Forms", "MailPoet")),
        (["ninja-forms-submissions", "tribe/tickets/v1"], ("Event Tickets", "Ninja Forms")),
        (["mp/v1", "ldlms/v2", 7, None], ("LearnDash", "MemberPress")),
    ],
)
def test_plugins_are_known_by_their_namespaces(namespaces: list[Any], seen: tuple[str, ...]) -> None:
    """Each namespace has its plugin, sorted and once; similar names and other plugins are not seen."""
    content, asked = look({"name": "Site", "namespaces": [*WORDPRESS, *namespaces]})
    assert content.live_data == seen
    assert asked.count("/wp-json/") == 1


@pytest.mark.parametrize("listed", [{}, {"namespaces": None}, {"namespaces": "wc/v3"}, {"namespaces": ["wc/v3"]}])
def test_an_index_without_the_namespaces_of_wordpress_is_unknown(listed: dict[str, Any]) -> None:
    """A list that is absent or was thinned out is not the same as no plugins."""
    content, _ = look({"name": "Site"} | listed)
    assert (content.reachable, content.live_data) == (True, None)


def test_content_of_an_older_ledger_is_still_read() -> None:
    """The plugins of a survey that was stored by an older version are unknown."""
    assert Content.model_validate({"reachable": True, "totals": {"posts": 1}}).live_data is None


def test_the_sandbox_s_shop_is_seen() -> None:
    """Through the emulator, an install shows no plugin until its shop is switched on."""
    host = Host()

    def answer(request: httpx.Request) -> httpx.Response:
        seen = host.handle(Request("GET", request.url.host, request.url.path, dict(request.url.params)))
        return httpx.Response(seen.status, headers=seen.headers, content=seen.body)

    with Prober("http", transport=httpx.MockTransport(answer)) as prober:
        assert prober.content(DOMAIN).live_data == ()
        host.publish("schulprod", "shop")
        assert prober.content(DOMAIN).live_data == ("WooCommerce",)
        assert json.loads(prober.page(DOMAIN, "/wp-json/").body)["namespaces"][:2] == WORDPRESS


ROOT = "http://site.example"
SITEMAP = f"<urlset><url><loc>{ROOT}/1</loc></url><url><loc>{ROOT}/2</loc></url></urlset>"
FEED = f"<rss><channel><link>{ROOT}</link><item/></channel></rss>"


def looking(pages: dict[str, str | httpx.Response]) -> Prober:
    """A prober of a site with these pages, by path and query."""

    def answer(request: httpx.Request) -> httpx.Response:
        query = "&".join(f"{k}={v}" for k, v in request.url.params.items() if k != "understudy")
        seen = pages.get(f"{request.url.path}{'?' + query if query else ''}", httpx.Response(404))
        return seen if isinstance(seen, httpx.Response) else httpx.Response(200, html=seen)

    return Prober("http", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("pages", "totals"),
    [
        ({"/feed/": FEED, "/wp-sitemap.xml": SITEMAP}, {"feed items": 1, "sitemap entries": 2}),
        ({"/?feed=rss2": FEED, "/?sitemap=index": SITEMAP}, {"feed items": 1, "sitemap entries": 2}),
        ({"/wp-sitemap.xml": f"<sitemapindex><loc>{ROOT}/?sitemap=posts&amp;paged=1</loc></sitemapindex>",
        "/?sitemap=posts&paged=1": SITEMAP},
         {"sitemap entries": 2}),
        ({"/wp-sitemap.xml": f"<sitemapindex><loc>{ROOT}/gone.xml</loc></sitemapindex>", "/sitemap.xml": SITEMAP},
        {"sitemap entries": 2}),
        ({"/wp-sitemap.xml": "<sitemapindex><loc>http://[/</loc></sitemapindex>"}, {}),
        ({"/wp-sitemap.xml": "<urlset></urlset>", "/feed/": "<html>no feed</html>"}, {}),
        ({"/feed/": httpx.Response(429), "/wp-sitemap.xml": httpx.Response(503)}, {}),
    ],
)  # fmt: skip
def test_content_is_read_from_what_the_site_offers(
    pages: dict[str, str | httpx.Response], totals: dict[str, int]
) -> None:
    """Pretty permalinks or plain, one sitemap or many; an unreadable one is not a count of zero."""
    with looking({"/": "<h1>Home</h1>", **pages}) as prober:
        assert prober.content("site.example").totals == totals


@pytest.mark.parametrize(
    ("listed", "kept"), [("7", {"posts": 7}), ("\u00b2", {}), ("9" * 5000, {}), ("-1", {}), ("", {})]
)
def test_a_count_is_a_number_or_unknown(listed: str, kept: dict[str, int]) -> None:
    """A header that is no number ends no look."""
    query = "per_page=1&orderby=modified&order=desc"
    posts = httpx.Response(
        200, headers={"x-wp-total": listed.encode("latin-1")}, json=[{"modified_gmt": "0000-00-00T00:00:00"}]
    )  # type: ignore[dict-item]  # bytes, as a server sends them
    with looking({"/wp-json/": '{"name": "x"}', f"/wp-json/wp/v2/posts?{query}": posts}) as prober:
        assert prober.content("site.example").totals == kept


def test_a_login_in_an_address_is_not_kept() -> None:
    """A home with a login in it goes to reports and to the ledger: without the login."""
    index = {
        "name": "x",
        "home": "https://admin:s3same@site.example/?token=s3same",
        "url": "https://admin@site.example",
    }
    with looking({"/wp-json/": json.dumps(index)}) as prober:
        seen = prober.content("site.example")
    assert (seen.home, seen.site_url) == ("https://site.example/", "https://site.example")


def test_an_index_with_a_byte_order_mark_is_read() -> None:
    """A plugin's file that was saved with one puts it before each answer."""
    with looking({"/wp-json/": "\ufeff" + json.dumps({"name": "x", "home": ROOT})}) as prober:
        assert prober.content("site.example").home == ROOT


def test_pages_are_read_on_the_domain_to_which_they_belong() -> None:
    """A network's sites have domains of their own; links that lead elsewhere or are broken are not followed."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url.host}{request.url.path}")
        body = "<a href='//two.example/'>2</a><a href='/about/'>a</a><a href=/>h</a>"
        body += "<a href='//third.example/'>3</a><a href='//['>x</a>"
        return httpx.Response(200, html=body)

    with Prober("http", transport=httpx.MockTransport(answer)) as prober:
        prober.add_domains("network", ["one.example", "two.example"])
        prober.pages("one.example")
    assert sorted(set(asked)) == ["one.example/", "one.example/about/", "one.example/feed/", "two.example/"]


def test_texts_of_posts_are_read_without_their_guid() -> None:
    """From either address of the REST API; a closed API returns nothing."""
    asked = "per_page=30&_fields=link,title,excerpt,content"
    with looking({f"/?rest_route=/wp/v2/posts&{asked}": '[{"content":{"rendered":"x"}}]'}) as prober:
        assert [page.status for page in prober.texts("site.example")] == [200]
    with looking(
        {f"/wp-json/wp/v2/posts?{asked}": httpx.Response(401), f"/wp-json/wp/v2/pages?{asked}": "<html>"}
    ) as prober:
        assert prober.texts("site.example") == []
