"""What a site's REST index tells of the plugins that collect data of visitors."""

import json
from typing import Any

import httpx
import pytest

from deployments.sandbox.capi import Estate, Request
from tasks.estate.sites import Content
from tasks.probes.websites import Prober

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


@pytest.mark.parametrize("told", [{}, {"namespaces": None}, {"namespaces": "wc/v3"}, {"namespaces": ["wc/v3"]}])
def test_an_index_without_wordpress_own_namespaces_tells_nothing(told: dict[str, Any]) -> None:
    """A list that is absent or was thinned out is not the same as no plugins."""
    content, _ = look({"name": "Site"} | told)
    assert (content.reachable, content.live_data) == (True, None)


def test_content_of_an_older_ledger_is_still_read() -> None:
    """A survey that was kept before plugins were looked for has not told them."""
    assert Content.model_validate({"reachable": True, "totals": {"posts": 1}}).live_data is None


def test_the_sandbox_s_shop_is_seen() -> None:
    """Through the emulator, an install shows no plugin until its shop is switched on."""
    host = Estate()

    def answer(request: httpx.Request) -> httpx.Response:
        seen = host.handle(Request("GET", request.url.host, request.url.path, dict(request.url.params)))
        return httpx.Response(seen.status, headers=seen.headers, content=seen.body)

    with Prober("http", transport=httpx.MockTransport(answer)) as prober:
        assert prober.content(DOMAIN).live_data == ()
        host.publish("schulprod", "shop")
        assert prober.content(DOMAIN).live_data == ("WooCommerce",)
        assert json.loads(prober.page(DOMAIN, "/wp-json/").body)["namespaces"][:2] == WORDPRESS
