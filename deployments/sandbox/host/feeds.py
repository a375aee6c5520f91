"""Feed, sitemap and robots.txt of each website, as WordPress 6 writes them."""

import html
import time
from datetime import UTC, datetime
from typing import Any

from deployments.sandbox.host.http_messages import Request, Response

Document = dict[str, Any]
IN_FEED = 10
SITEMAPS = {"wp-sitemap-posts-post-1.xml": "posts", "wp-sitemap-posts-page-1.xml": "pages"}


def serve_surface(install: Document, request: Request) -> Response | None:
    """Answer for a feed, a sitemap or robots.txt; None for any other path."""
    content, path = install["database"], request.path.strip("/")
    if path == "feed":
        return _xml("application/rss+xml", feed(content))
    if path == "robots.txt":
        text = f"User-agent: *\nDisallow: /wp-admin/\n\nSitemap: http://{content['home']}/wp-sitemap.xml\n"
        return Response(200, {"content-type": "text/plain; charset=utf-8"}, text.encode())
    if path == "wp-sitemap.xml":
        parts = "".join(f"<sitemap><loc>http://{content['home']}/{part}</loc></sitemap>" for part in SITEMAPS)
        return _xml("application/xml", f'<sitemapindex xmlns="{NAMESPACE}">{parts}</sitemapindex>')
    if path in SITEMAPS:
        return _xml("application/xml", _urlset(content, SITEMAPS[path]))
    return None


NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


def feed(content: Document) -> str:
    """The newest posts as RSS. The guid keeps the address under which each was first published."""
    home = content["home"]
    items = "".join(
        f"<item><title>{html.escape(post['title'])}</title><link>http://{home}/?p={post['id']}</link>"
        f"<pubDate>{time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime(post['modified']))}</pubDate>"
        f'<guid isPermaLink="false">http://{content.get("born", home)}/?p={post["id"]}</guid></item>'
        for post in sorted(content["posts"], key=lambda post: -float(post["modified"]))[:IN_FEED]
    )
    title = html.escape(content["title"])
    return f'<rss version="2.0"><channel><title>{title}</title><link>http://{home}</link>{items}</channel></rss>'


def _urlset(content: Document, kind: str) -> str:
    urls = "".join(
        f"<url><loc>http://{content['home']}/?p={item['id']}</loc>"
        f"<lastmod>{datetime.fromtimestamp(item['modified'], UTC).isoformat(timespec='seconds')}</lastmod></url>"
        for item in content[kind]
    )
    return f'<urlset xmlns="{NAMESPACE}">{urls}</urlset>'


def _xml(kind: str, text: str) -> Response:
    return Response(
        200, {"content-type": f"{kind}; charset=UTF-8"}, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
    )
