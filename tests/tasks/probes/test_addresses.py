"""Hosts are compared as hosts, and URLs are found however they are written."""

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.probes.addresses import Names, Sides, hosts_in, to_host

SIDES = Sides(
    Names.of(["staging.example.org", "bücher.example"]), Names.of(["example.org", "www.example.org", "shop.example"])
)
ESCAPES = [
    lambda url: url, html.escape, lambda url: quote(url, safe=""), lambda url: json.dumps(url).replace("/", "\\/"), str.upper,
    lambda url: url.replace("/", "\\u002f"), lambda url: url.replace("/", "&#x2F;"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://Example.ORG./x", "example.org"), ("//u:p@example.org:8080/", "example.org"), ("example.org", "example.org"),
        ("https://BÜCHER.example", "xn--bcher-kva.example"), ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("https://example.org@evil.example/", "evil.example"), ("", None), ("no host", None), ("https://", None), (None, None),
    ],
)  # fmt: skip
def test_a_host_has_one_form(text: str | None, host: str | None) -> None:
    """Case, port, login, trailing dot and IDNA make no difference."""
    assert to_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["mailto:info@example.org", "https://example.org.uk/", "https://notexample.org", "https://staging.example.org/", "example.org",
     "<guid isPermaLink='false'>https://example.org/?p=1</guid>", "https://medium.example/@example.org", "https://cdn.example.org/"],
)  # fmt: skip
def test_what_is_no_leak_is_not_found(text: str) -> None:
    """E-mail addresses, similar names, own names and guids are no URLs of the other side."""
    assert [host for host in hosts_in(text.encode()) if SIDES.is_other(host)] == []


@pytest.mark.parametrize(
    "text",
    ["https%3A%2F%2Fexample.org", "//www.example.org", "HTTPS://EXAMPLE.ORG", r"https:\/\/example.org", "//example.org:443/",
     "&quot;https:&#47;&#47;shop.example&quot;", r"https:\\\/\\\/example.org", "https%253A%252F%252Fexample.org", "//a@example.org"],
)  # fmt: skip
def test_a_leak_is_found_however_it_is_written(text: str) -> None:
    """Each way to write a URL of the other side is found."""
    assert any(SIDES.is_other(host) for host in hosts_in(text.encode()))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(ESCAPES), max_size=3), st.sampled_from(["example.org", "www.example.org", "shop.example"])
)
def test_nested_escapes_hide_nothing(escapes: list, host: str) -> None:  # type: ignore[type-arg]  # functions
    """Any escapes in any order, three deep."""
    text = f"https://{host}/path"
    for escape in escapes:
        text = escape(text)
    assert host in hosts_in(f'<a data-x="{text}">'.encode())


def test_names_below_the_other_side_are_told_apart() -> None:
    """An unlisted name below is neither own nor other; a wildcard covers one level."""
    assert SIDES.is_below_other("cdn.example.org")
    assert not SIDES.is_below_other("staging.example.org")
    wild = Sides(Names.of(["example.org", "*.example.org"]))
    assert wild.is_own("a.example.org")
    assert not wild.is_own("a.b.example.org")
    assert wild.is_own("www.example.org")
