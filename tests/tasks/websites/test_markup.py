"""What pages tell: only tags that a browser would see, however they are written, and in a time that grows with the page."""

import time

import pytest

from tasks.websites import markup

NOINDEX = "<meta name='robots' content='noindex'>"


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ('<meta http-equiv="refresh" content="0; url=https://b.example/">', "https://b.example/"),
        ("<META content='5;URL=\"/en/\"' HTTP-EQUIV=Refresh>", "/en/"),
        ('<meta http-equiv="refresh" content="0, //b.example/a?b=1;2">', "//b.example/a?b=1;2"),
        ('<meta http-equiv="refresh" content="0;https://b.example/">', "https://b.example/"),
        ('<meta\nhttp-equiv=refresh\ncontent="0;url=&#x2F;&#x2F;b.example">', "//b.example"),
        ("<meta data-x='a > b' http-equiv=refresh content='0;url=/x'>", "/x"),
        ('<!--><meta http-equiv="refresh" content="0;url=/x">-->', "/x"),
        ('<meta http-equiv="refresh" content="30">', None),
        ('<noscript><meta http-equiv="refresh" content="0;url=/no-js"></noscript>', None),
        ("<script>var x = '<meta http-equiv=refresh content=\"0;url=/x\">'</script>", None),
        ('<textarea><meta http-equiv="refresh" content="0;url=/x"></textarea>', None),
        ('<!-- <meta http-equiv="refresh" content="0;url=/x"> -->', None),
        ('<!-- never closed <meta http-equiv="refresh" content="0;url=/x">', None),
        ('<meta name="refresh" content="0;url=/x">', None),
        ('<meta http-equiv="refresh" http-equiv="x" content="" content="0;url=/x">', None),
    ],
)
def test_a_refresh_is_what_a_browser_follows(body: str, target: str | None) -> None:
    """With and without `url=`, quotes, entities and delay; not in comments, scripts and what is for browsers without them."""
    assert markup.meta_refresh(body.encode()) == target


@pytest.mark.parametrize(
    ("body", "header", "hidden"),
    [
        (NOINDEX, "", True), ("<META CONTENT=none NAME=Robots />", "", True),
        ("<meta name=robots content='noindex nofollow'>", "", True),
        ("<meta name='googlebot' content='nofollow, NOINDEX'>", "", True), ("", "noindex", True), ("", "googlebot: noindex", True),
        ("", "unavailable_after: Sat, 25-Aug-2027 15:00:00 GMT, noindex", True), ("", "BadBot: noindex\nnoindex", True),
        ("", "BadBot: nofollow, googlebot: noindex", True), ("", "*: none", True), ("<title>x</title>" + NOINDEX, "", True),
        (f"<!--noindex-->{'menu'}<!--/noindex-->", "", False), (f"<!-- {NOINDEX} -->", "", False),
        (f"<noscript>{NOINDEX}</noscript>", "", False),
        ("<meta name='robots' content='index, follow, max-image-preview:large, max-snippet:-1'>", "", False),
        ("<meta name='robots' content='max-image-preview: none'>", "", False), ("", "max-image-preview:none", False),
        ("", "BadBot: noindex, nofollow", False), ("<meta name='badbot' content='noindex'>", "", False),
        ("", "noindexed, no-index", False),
        ("<meta name='description' content=\"how to use name='robots' content='noindex'\">", "", False), ("", "", False),
    ],
)  # fmt: skip
def test_noindex_is_what_search_engines_obey(body: str, header: str, hidden: bool) -> None:
    """Tags and headers, for big search engines; values of other directives and rules for other crawlers hide nothing."""
    assert markup.hides_from_search(body.encode(), header) is hidden


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [
        ("User-agent: *\nDisallow: /", True), ("\ufeffuser-agent: googlebot\r\ndisallow: /\r\n", True),
        ("User-agent: *\nDisallow: /wp-admin/\nAllow: /wp-admin/admin-ajax.php", False), ("", False), ("<html>", False),
        ("User-agent: BadBot\nDisallow: /", False), ("User-agent: *\nDisallow:", False),
    ],
)  # fmt: skip
def test_a_robots_txt_forbids_the_whole_site_or_not(text: str, forbidden: bool) -> None:
    """Only what keeps search engines from the front page."""
    assert markup.forbids_search(text.encode()) is forbidden


def test_links_to_pages_are_found_however_they_are_written() -> None:
    """Without quotes, with entities, with a suffix; not files, forms of login, queries that may do something, or broken ones."""
    body = """<a href=/about/>a</a><a class='x' href='/a.html'>b</a><A HREF="?p=5&amp;x">c</A><a href="/?p=5">d</a><a href="//[">e</a>
    <a href="/shop/?add-to-cart=3">f</a><a href="/wp-login.php">g</a><a href="/x.pdf">h</a><a href="mailto:a@b.example">i</a>
    <!-- <a href="/hidden/">j</a> --><a-b href="/custom/">k</a-b><a href="/about/#team">l</a><abbr href="/abbr/">m</abbr><a>n</a>"""
    base = "https://a.example/"
    assert markup.page_links(body.encode(), base) == [f"{base}about/", f"{base}a.html", f"{base}?p=5"]


def test_feeds_and_sitemaps_of_any_shape_are_read() -> None:
    """CDATA, name spaces, and dates that are malformed or out of range."""
    feed = b"<rss><channel><title/><link>https://a.example</link><item><pubDate>never</pubDate></item><item></channel></rss>"
    assert markup.feed_items(feed) == (2, None)
    assert markup.feed_home(feed) == "https://a.example"
    assert markup.feed_items(b"<feed><entry><updated>0001-01-01T00:00:00+14:00</updated></entry></feed>") == (1, None)
    listed = markup.sitemap(
        b"<urlset><url><x:loc><![CDATA[ https://a.example/1 ]]></x:loc></url><loc>https://a.example/2</loc></urlset>"
    )
    assert listed == (["https://a.example/1", "https://a.example/2"], None, False)


@pytest.mark.parametrize(
    "part",
    ["<!--", "<meta ", "<a '\"", "<script>", "<item>", "<channel>", "<link>", "<loc>", '<a "', "<title", "<a href=x "],
)
def test_a_hostile_page_takes_no_long_time(part: str) -> None:
    """A megabyte of what is opened and never closed; a pattern whose time grows with the square would take hours."""
    body = part.encode() * (1_000_000 // len(part))
    started = time.process_time()
    markup.meta_refresh(body)
    markup.asset_versions(body)
    markup.page_links(body, "https://a.example/")
    markup.feed_items(b"<rss>" + body)
    markup.feed_home(body)
    markup.sitemap(b"<urlset>" + body)
    assert time.process_time() - started < 20
