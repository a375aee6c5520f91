"""The emulated sites look like real ones to the same probes, so that what passes against the emulator means something."""

import json
import re
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from tasks.surveys.survey import survey_install
from tasks.websites import markup
from tasks.websites.wordpress_site import Prober
from tests.drills.wordpress.conftest import PRODUCTION, Pair
from tests.sites import reading

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]


@pytest.fixture(params=["real", "emulated"])
def host(request: pytest.FixtureRequest) -> Host:
    """A host with production: real, and emulated."""
    if request.param == "emulated":
        return Host(scale=1 / 240)
    pair: Pair = request.getfixturevalue("pair")
    return pair.host()


def document(prober: Prober, path: str) -> Any:
    """A JSON document of production."""
    page = prober.page(PRODUCTION, path, fresh=True)
    assert page.headers["content-type"].startswith("application/json"), page.headers
    return json.loads(page.body)


def test_the_rest_surface(host: Host) -> None:
    """Index, collections with their totals, dates without a zone, guids, texts, and the error of an unknown route."""
    with reading(host) as (_, prober):
        index = document(prober, "/wp-json/")
        assert {key: type(index[key]) for key in ("name", "home", "url", "namespaces")} == {
            "name": str, "home": str, "url": str, "namespaces": list,
        }  # fmt: skip
        assert {"wp/v2", "oembed/1.0"} <= set(index["namespaces"])
        assert index["home"] == index["url"] == f"http://{PRODUCTION}"
        for kind, stamp in (("posts", "modified_gmt"), ("pages", "modified_gmt"), ("comments", "date_gmt")):
            page = prober.page(PRODUCTION, f"/wp-json/wp/v2/{kind}?per_page=1", fresh=True)
            items = json.loads(page.body)
            assert page.headers["x-wp-total"].isdigit(), kind
            assert page.headers["x-wp-totalpages"].isdigit(), kind
            assert len(items) <= 1
            assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", item[stamp]) for item in items)
        (post,) = document(prober, "/wp-json/wp/v2/posts?per_page=1&_fields=guid,link,content")
        assert {key: type(post[key]) for key in ("guid", "link", "content")} == {
            "guid": dict, "link": str, "content": dict,
        }  # fmt: skip
        assert isinstance(post["content"]["rendered"], str)
        missing = prober.page(PRODUCTION, "/wp-json/wp/v2/nothing", fresh=True)
        assert (missing.status, json.loads(missing.body)["code"]) == (404, "rest_no_route")


def test_feed_sitemap_and_robots(host: Host) -> None:
    """RSS with a guid for each item, an index of sitemaps whose parts can be read, a robots.txt that forbids little."""
    with reading(host) as (_, prober):
        feed = prober.page(PRODUCTION, "/feed/", fresh=True)
        assert feed.headers["content-type"].startswith("application/rss+xml")
        items, newest = markup.feed_items(feed.body) or (0, None)
        assert items == len(re.findall(rb"<guid isPermaLink=\"false\">http://[^<]+</guid>", feed.body)) > 0
        assert newest is not None
        assert markup.feed_home(feed.body) == f"http://{PRODUCTION}"
        index = prober.page(PRODUCTION, "/wp-sitemap.xml", fresh=True)
        parts, _, is_index = markup.sitemap(index.body) or ([], None, False)
        assert is_index
        assert f"http://{PRODUCTION}/wp-sitemap-posts-post-1.xml" in parts
        listed = markup.sitemap(prober.page(PRODUCTION, "/wp-sitemap-posts-post-1.xml", fresh=True).body)
        assert listed is not None
        assert len(listed[0]) >= items
        robots = prober.page(PRODUCTION, "/robots.txt", fresh=True)
        assert robots.headers["content-type"].startswith("text/plain")
        assert not markup.forbids_search(robots.body)


def test_pages_and_their_files(host: Host) -> None:
    """HTML that names the REST surface and a versioned stylesheet, which is served as such; 404 for what is not there."""
    with reading(host) as (_, prober):
        front = prober.page(PRODUCTION, fresh=True)
        assert front.headers["content-type"] == "text/html; charset=UTF-8"
        rest = f"http://{PRODUCTION}/wp-json/"
        assert markup.api_root(front.body, "") == markup.api_root(b"", front.headers["link"]) == rest
        assert not markup.hides_from_search(front.body, front.headers.get("x-robots-tag", ""))
        versions = markup.asset_versions(front.body)
        style = next(path for path in versions if re.fullmatch(r"themes/[a-z]+/style\.css", path))
        assert re.fullmatch(r"\d+\.\d+\.\d+", versions[style])
        file = prober.page(PRODUCTION, f"/wp-content/{style}")
        assert (file.status, file.headers["content-type"].split(";")[0]) == (200, "text/css")
        assert markup.page_links(front.body, front.url)
        assert prober.page(PRODUCTION, "/nothing-here/", fresh=True).status == 404
        assert prober.page(PRODUCTION, "/wp-content/themes/nothing/style.css").status == 404


def test_the_survey_of_a_site(host: Host) -> None:
    """The same facts are known of both, and of the same kinds."""
    with reading(host) as (client, prober):
        production = next(install for install in client.installs() if install.name == "schulprod")
        survey = survey_install(client, prober, production.id)
    content = survey.content
    assert content.reachable
    assert content.home == content.site_url == f"http://{PRODUCTION}"
    assert set(content.totals) == {"posts", "pages", "media", "comments"}
    assert {"posts", "pages"} <= set(content.newest)
    assert all(moment.tzinfo is not None for moment in content.newest.values())
    assert content.live_data == ()
    assert content.feed_items == min(10, content.totals["posts"])
    assert content.feed_newest is not None
    assert content.files_marker
    assert content.assets
    assert survey.storage is not None
    assert survey.gaps == ()
