"""A cached page is fresh by its headers first; only what is provably older than the purge and differs is stale."""

import pytest

from tasks.websites.cache_freshness import freshness, same_but_for_noise
from tasks.websites.fetcher import Page

OLD, NEW = b"<p>News of May</p><b>12.1 ms</b>", b"<p>News of June</p><b>14.7 ms</b>"


def page(body: bytes = NEW, **headers: str) -> Page:
    """A page with these headers; `_` in a name stands for `-`."""
    return Page("http://site.example/", 200, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("cached", "since", "fresh"),
    [
        (page(OLD, x_cache="HIT", age="500"), 60.0, False),
        (page(OLD, age="500"), 60.0, False),
        (page(OLD, x_cache="HIT", age="30"), 60.0, True),
        (page(OLD, x_cache="MISS"), 60.0, True),
        (page(OLD, cf_cache_status="DYNAMIC"), 60.0, True),
        (page(OLD), 60.0, None),
        (page(OLD, x_cache="HIT"), 60.0, None),
        (page(OLD, x_cache="HIT", age="500"), None, None),
        (page(x_cache="HIT", age="500"), 60.0, True),
        (page(OLD, x_cache="HIT", age="soon"), 60.0, None),
        (page(OLD, x_cache="HIT", age="\u00b2"), 60.0, None),
        (page(OLD, x_cache="HIT", age="9" * 5000), 60.0, None),
        (page(OLD, x_cache="HIT", age="-5"), 60.0, None),
        (page(OLD, x_cache="MISS, HIT"), 60.0, None),
        (page(OLD, x_cache="MISS, MISS"), 60.0, True),
        (page(OLD, x_cache="TCP_MISS from edge"), 60.0, True),
        (page(OLD, x_cache="MISS", x_cacheable="SHORT"), 60.0, True),
        (page(OLD, x_cache="HIT: 5", x_cacheable="SHORT"), 60.0, None),
        (page(OLD, age="500, 3"), 60.0, False),
    ],
)
def test_headers_decide_before_bodies(cached: Page, since: float | None, fresh: bool | None) -> None:
    """Each kind of answer has its result."""
    assert freshness(cached, (page(), page()), since)[0] is fresh


def test_a_cache_that_ignores_the_query_proves_nothing() -> None:
    """If the request past the cache is answered from it, equal bodies are no proof."""
    stale = page(OLD, x_cache="HIT", age="500")
    assert freshness(stale, (stale, stale), 60.0)[0] is None


@pytest.mark.parametrize(
    ("cached", "first", "second", "same"),
    [
        (b"<p>a</p><!-- in 0.2 s -->", b"<p>a</p><!-- in 0.3 s -->", b"<p>a</p><!-- in 0.4 s -->", True),
        (b"<i>3 ms</i> news", b"<i>5 ms</i> news", b"<i>7 ms</i> news", True),
        (b"x?ver=1.2.0", b"x?ver=1.3.0", b"x?ver=1.3.0", False),
        (b"one two", b"one", b"one", False),
        (b"one", b"one two", b"one two", False),
        (b"nonce='0123456789'", b"nonce='abcdef0123'", b"nonce='abcdef0123'", True),
    ],
)
def test_only_what_is_stable_is_compared(cached: bytes, first: bytes, second: bytes, same: bool) -> None:
    """Whatever varies between two fresh readings is taken out."""
    assert same_but_for_noise(cached, first, second) is same
