"""What real sites do, right and wrong: changes of a destination after a copy, by name. `SOURCE` and `OWN` are the two domains."""

import shutil
from collections.abc import Callable

from tests.drills.wordpress.conftest import PRODUCTION, STAGING
from tests.drills.wordpress.host import RealHost

DOMAIN = {"schulprod": PRODUCTION, "schulstage": STAGING}
Breaking = Callable[[RealHost, str, str], None]  # of a host, by the names of source and destination


def named(text: str, source: str, destination: str) -> str:
    """Put the domains of the two sites into a text."""
    return (
        text.replace("SOURCE", DOMAIN[source]).replace("OWN", DOMAIN[destination]).replace("DESTINATION", destination)
    )


def plugin(code: str) -> Breaking:
    """Something that the destination always runs."""

    def write(host: RealHost, source: str, destination: str) -> None:
        folder = host.sites.by_name[destination].content / "mu-plugins"
        folder.mkdir(exist_ok=True)
        name = f"changed{len(list(folder.iterdir()))}.php"
        (folder / name).write_text(f"<?php\n{named(code, source, destination)}")

    return write


def sql(statement: str) -> Breaking:
    """A statement on the destination's database."""

    def change(host: RealHost, source: str, destination: str) -> None:
        host.sites.ask(destination, named(statement, source, destination))

    return change


def option(value: str, *names: str) -> Breaking:
    """Options of the destination that have another value."""
    listed = ", ".join(f"'{name}'" for name in names)
    return sql(f"UPDATE wp_options SET option_value = '{value}' WHERE option_name IN ({listed})")  # noqa: S608  # our own words


def posts(text: str) -> Breaking:
    """The text of every post of the destination."""
    return sql(f"UPDATE wp_posts SET post_content = '{text}'")  # noqa: S608  # our own words


def file(name: str, text: str) -> Breaking:
    """A file in the root of the destination."""

    def write(host: RealHost, source: str, destination: str) -> None:
        (host.sites.by_name[destination].root / name).write_text(text)

    return write


def without(*parts: str) -> Breaking:
    """A file or folder of the theme that is gone."""

    def remove(host: RealHost, source: str, destination: str) -> None:
        path = host.sites.by_name[destination].content.joinpath("themes", "classic", *parts)
        path.unlink() if path.is_file() else shutil.rmtree(path)

    return remove


def every(*breakings: Breaking) -> Breaking:
    """All of these."""

    def do(host: RealHost, source: str, destination: str) -> None:
        for breaking in breakings:
            breaking(host, source, destination)

    return do


def in_footer(shown: str) -> Breaking:
    """Something at the end of each page, by a PHP expression."""
    return plugin("add_action('wp_footer', function () { echo %s; });" % shown)  # noqa: UP031  # PHP has braces itself


def on_pages(code: str) -> Breaking:
    """Something that happens instead of each page."""
    return plugin("add_action('template_redirect', function () { %s });" % code)  # noqa: UP031  # PHP has braces itself


def styles(changed: str) -> Breaking:
    """Another URL of each stylesheet, by a PHP expression of $s."""
    return plugin(f"add_filter('style_loader_src', fn($s) => {changed});")


REST_CLOSED = "add_filter('rest_authentication_errors', fn() => new WP_Error('no', 'no', ['status' => 401]));"
UNLINKED = "remove_action('wp_head', 'rest_output_link_wp_head'); remove_action('template_redirect', 'rest_output_link_header', 11);"
HEALTHY: dict[str, Breaking] = {
    "nothing special": every(),
    "a token in each page": in_footer("'<script>var t=\"' . bin2hex(random_bytes(8)) . '\"</script>'"),
    "a time in each page": in_footer("'<!-- ' . microtime() . ' --><i>' . mt_rand(1, 900) . ' ms</i>'"),
    "no versions": styles("remove_query_arg('ver', $s)"),
    "timed assets": styles("add_query_arg('ver', hrtime(true), $s)"),
    "an e-mail address of the source": in_footer("'<a href=\"mailto:info@SOURCE\">m</a> info@SOURCE'"),
    "similar hosts": in_footer('\'<a href="https://SOURCE.uk/">u</a> <a href="https://notSOURCE/">u</a>\''),
    "noindex in a comment": in_footer("'<!--noindex-->x<!--/noindex-->'"),
    "REST closed": plugin(REST_CLOSED),
    "REST closed, no link to it": plugin(REST_CLOSED + UNLINKED),
    "REST under another prefix": plugin("add_filter('rest_url_prefix', fn() => 'api');"),
    "no sitemap": plugin("add_filter('wp_sitemaps_enabled', '__return_false');"),
    "no feeds": plugin("add_action('do_feed_rss2', fn() => wp_die('no feed', '', 404), 1);"),
    "a static front page": every(option("page", "show_on_front"), option("2", "page_on_front")),
    "plain permalinks": option("", "permalink_structure"),
    "plain permalinks, REST closed": every(option("", "permalink_structure"), plugin(REST_CLOSED)),
    "relative URLs": plugin("ob_start(fn($b) => str_replace('http://OWN/', '/', $b));"),
    "minified": plugin("ob_start(fn($b) => preg_replace('/>\\s+</', '><', $b));"),
}
CURABLE: dict[str, tuple[str, Breaking]] = {
    "nothing replaced": ("none", every()),
    "nothing replaced, REST closed": ("none", plugin(REST_CLOSED)),
    "only the options replaced": ("half", every()),
    "only the posts replaced": ("whole", option("http://SOURCE", "home", "siteurl")),
    "the address of WordPress": ("whole", option("http://SOURCE", "siteurl")),
    "not to be indexed": ("whole", option("0", "blog_public")),
    "percent-encoded": ("whole", posts('<a href="https://share.example/?u=http%3A%2F%2FSOURCE%2F">s</a>')),
    "JSON-escaped": ("whole", posts(r"""<div data-x=\'{"u":"http:\\/\\/SOURCE\\/"}\'></div>""")),
    "capital letters": ("whole", posts("<i>http://WWW.Schulfest.example/x http://Schulstage.WPengine.example/</i>")),
    "without a scheme": ("whole", posts('<img src="//SOURCE/x.png">')),
}
BROKEN: dict[str, Breaking] = {
    "sends visitors to the source": on_pages("header('Location: http://SOURCE/', true, 302); exit;"),
    "sends visitors elsewhere": on_pages("header('Location: http://elsewhere.example/', true, 301); exit;"),
    "refreshes to the source": on_pages("header('Refresh: 0; url=http://SOURCE/');"),
    "a fatal error": on_pages("no_such_function();"),
    "a white page": on_pages("exit;"),
    "tables are gone": sql("DROP TABLE wp_options, wp_posts, wp_users"),
    "an empty database": sql("DROP DATABASE DESTINATION; CREATE DATABASE DESTINATION"),
    "no such page": on_pages("status_header(404);"),
    "the theme is gone": without(),
    "one file is gone": without("style.css"),
    "posts are lost": sql("DELETE FROM wp_posts WHERE post_title IN ('Post 1', 'Post 2')"),
}
NOT_KNOWN: dict[str, Breaking] = {
    "maintenance": file(".maintenance", "<?php $upgrading = time();"),
    "behind a login": file("site-password", "visitor:s3same"),
    "a login for every page": every(on_pages("if (!is_user_logged_in()) { auth_redirect(); }"), plugin(REST_CLOSED)),
}
