"""Hosts are compared as hosts, and URLs are found however they are written."""

import html
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.websites.hosts_and_urls import Names, Sides, hosts_in, joined, to_host

SIDES = Sides(
    Names.of(["staging.example.org", "bücher.example"]),
    Names.of(["example.org", "www.example.org", "shop.example", "www.bare.example", "läden.example", "例子.example", "i❤.example",
              "😀.example"]),
)  # fmt: skip
ESCAPES = [
    lambda url: url, html.escape, lambda url: quote(url, safe=""), lambda url: json.dumps(url).replace("/", "\\/"), str.upper,
    lambda url: url.replace("/", "\\u002f"), lambda url: url.replace("/", "&#x2F;"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://Example.ORG./x", "example.org"), ("//u:p@example.org:8080/", "example.org"), ("example.org", "example.org"),
        ("https://BÜCHER.example", "xn--bcher-kva.example"), ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("https://example.org@evil.example/", "evil.example"), ("", None), ("example.org:8080/x//y.example/", "example.org"),
        ("example.org?next=//evil.example", "example.org"), ("HTTPS:\\\\Example.org\\x", "example.org"),
        ("https:///example.org/", "example.org"),
        ("https://ex%61mple.org/", "example.org"), ("mailto:info@example.org", None), ("javascript:alert(1)", None),
        ("https://BÜCHER。example。", "xn--bcher-kva.example"), ("https://i❤.example/", "xn--i-7iq.example"), ("https://[::1]/", None),
        ("XN--BCHER-KVA.EXAMPLE.", "xn--bcher-kva.example"), ("https://a..example.org/", None), ("tel:+49123", None),
        ("no host", None), ("https://", None), (None, None),
    ],
)  # fmt: skip
def test_a_host_has_one_form(text: str | None, host: str | None) -> None:
    """Case, port, login, trailing dot and IDNA make no difference."""
    assert to_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["mailto:info@example.org", "https://example.org.uk/", "https://notexample.org", "https://staging.example.org/", "example.org",
     "<guid isPermaLink='false'>https://example.org/?p=1</guid>", "https://medium.example/@example.org", "https://cdn.example.org/",
     "mailto://info@example.org", "MAILTO://info@example.org", "https://example.org.evil.example/", "https://my-example.org/",
     '{"guid":{"rendered":"https:\\/\\/example.org\\/?p=1"}}',
     "<b data-x='{&quot;guid&quot;:{&quot;rendered&quot;:&quot;https://example.org/?p=1&quot;}}'>",
     "<entry><id>https://example.org/?p=1</id></entry>", "<guid><![CDATA[https://example.org/?p=1]]></guid>",
     "https://www.staging.example.org/", "Content-Security-Policy: img-src https://*.example.org", "https://{{host}}.example.org"],
)  # fmt: skip
def test_what_is_no_leak_is_not_found(text: str) -> None:
    """E-mail addresses, similar names, own names and guids are no URLs of the other side."""
    assert [host for host in hosts_in(text.encode()) if SIDES.is_other(host)] == []


@pytest.mark.parametrize(
    "text",
    ["https%3A%2F%2Fexample.org", "//www.example.org", "HTTPS://EXAMPLE.ORG", r"https:\/\/example.org", "//example.org:443/",
     "&quot;https:&#47;&#47;shop.example&quot;", r"https:\\\/\\\/example.org", "https%253A%252F%252Fexample.org", "//a@example.org",
     "„https://example.org“", "https://example.org!", "see https://example.org.", "https://example.org…", "_https://example.org_",
     "//bare.example/", '<img srcset="//example.org/a.jpg 1x,//cdn.test/b.jpg 2x">', "url(//example.org/x.png)",
     "https:\\\\example.org",
     "https:&sol;&sol;example&period;org", "&amp;#x2F;&amp;#x2F;example.org", "https://u:p%40ss@example.org:8443/",
     "https://exampl%65.org",
     r"https:\u{2f}\u{2f}example.org", r"https:\/\/l\u00e4den.example", r"https:\/\/\u4f8b\u5b50.example",
     r"https:\/\/i\u2764.example",
     r"https:\/\/\ud83d\ude00.example", "<guid>x</guid><a href='https://example.org'>", '"guid":"x","link":"https://example.org"'],
)  # fmt: skip
def test_a_leak_is_found_however_it_is_written(text: str) -> None:
    """Each way to write a URL of the other side is found."""
    assert any(SIDES.is_other(host) for host in hosts_in(text.encode()))


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(ESCAPES), max_size=3), st.sampled_from(["example.org", "www.example.org", "shop.example"])
)
def test_nested_escapes_hide_nothing(escapes: list, host: str) -> None:  # type: ignore[type-arg]  # functions
    """Any escapes in any order, three deep."""
    text = f"https://{host}/path"
    for escape in escapes:
        text = escape(text)
    assert host in hosts_in(f'<a data-x="{text}">'.encode())


@pytest.mark.parametrize("part", ["<guid>", '"guid":{', '"guid":"', "<id>", "//a", "\\\\", "&#", "//x@", "%25"])
def test_a_hostile_text_takes_no_long_time(part: str) -> None:
    """Two hundred kilobytes of what is opened and never closed."""
    started = time.process_time()
    hosts_in(part.encode() * (200_000 // len(part)))
    assert time.process_time() - started < 20


def test_names_below_the_other_side_are_distinguished() -> None:
    """An unlisted name below is neither own nor other; a wildcard covers one level."""
    assert SIDES.is_below_other("cdn.example.org")
    assert not SIDES.is_below_other("staging.example.org")
    wild = Sides(Names.of(["example.org", "*.example.org"]))
    assert wild.is_own("a.example.org")
    assert not wild.is_own("a.b.example.org")
    assert wild.is_own("www.example.org")


@pytest.mark.parametrize(
    ("own", "other", "host", "whose"),
    [
        (["*.example.org"], ["staging.example.org"], "staging.example.org", "other"),
        (["staging.example.org"], ["*.example.org"], "staging.example.org", "own"),
        (["*.example.org"], ["*.example.org"], "a.example.org", "own"),
        (["example.org"], ["www.example.org"], "www.example.org", "other"),
        (["a.example"], ["example.org"], "www.example.org", "other"),
        (["a.example"], ["www.example.org"], "example.org", "other"),
        (["www.example.org"], ["staging.example.org"], "example.org", "own"),
        (["staging.example.org"], ["example.org"], "img.staging.example.org", "neither"),
        (["staging.example.org"], ["example.org"], "img.example.org", "below"),
        (["example.org"], ["staging.example.org"], "img.staging.example.org", "below"),
        (["a.example"], ["b.example"], "c.example", "neither"),
    ],
)
def test_a_host_belongs_to_one_side(own: list[str], other: list[str], host: str, whose: str) -> None:
    """A listed name outranks a wildcard, and both the `www.` variant; a name nearer to the own site is not below the other one."""
    sides = Sides(Names.of(own), Names.of(other))
    seen = {"own": sides.is_own(host), "other": sides.is_other(host), "below": sides.is_below_other(host)}
    assert [name for name, holds in seen.items() if holds] == ([] if whose == "neither" else [whose])


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/a?b#c", "https://a.example/a?b#c"), ("//b.example/x", "https://b.example/x"), ("?page=2", "https://a.example/d/e?page=2"),
        ("\\\\b.example\\x", "https://b.example/x"), ("https:\\\\b.example", "https://b.example"), (" /a\n", "https://a.example/a"),
        ("///b.example/", "https://b.example/"), ("https:////b.example/", "https://b.example/"), ("../x", "https://a.example/x"),
        ("https://[bad/", None), ("/go?to=\\\\b.example", "https://a.example/go?to=\\\\b.example"),
    ],
)  # fmt: skip
def test_a_link_leads_where_a_browser_goes(target: str, url: str | None) -> None:
    """Relative targets, backslashes, too many slashes and line ends; what is no URL is None and no error."""
    assert joined("https://a.example/d/e", target) == url
