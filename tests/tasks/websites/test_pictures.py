"""Pictures of hostile and healthy sites, drawn by a real Chromium that has no network, no login and no scripts."""

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tasks.websites import pictures
from tasks.websites.chromium import NAMES, Chromium, NoPicture, find_browser
from tasks.websites.pictures import DrawnPair, draw_pairs
from tasks.websites.wordpress_site import Prober

BROWSER = next(filter(None, map(shutil.which, NAMES)), "")
drawn = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
LOGIN = ("visitor", "opensesame")
STYLE = "body{margin:0;font:20px sans-serif}div{height:300px;background:#ddd}"
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def one_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """One width is enough here, and draws twice as fast."""
    monkeypatch.setattr(pictures, "WIDTHS", {390: 844})


def page(body: str) -> httpx.Response:
    """A page with the style sheet of its site."""
    return httpx.Response(200, html=f'<!doctype html><link rel="stylesheet" href="/style.css">{body}')


def drawing(left: str | Answer, right: str | Answer, seen: list[httpx.Request] | None = None) -> DrawnPair:
    """Draw the front pages of left.example and right.example."""

    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        if request.url.path == "/style.css":
            return httpx.Response(200, text=STYLE, headers={"content-type": "text/css"})
        given = left if request.url.host == "left.example" else right
        return page(given) if isinstance(given, str) else given(request)

    prober = Prober("http", transport=httpx.MockTransport(answer), logins={"left": LOGIN})
    for name in ("left", "right"):
        prober.add_domains(name, [f"{name}.example"])
    with prober:
        (pair,) = draw_pairs(BROWSER, prober, "left.example", "right.example", sandbox=os.geteuid() != 0)
    return pair


@pytest.fixture
def no_trace() -> Iterator[None]:
    """Nothing that the browser started is left, and no profile."""

    def traces() -> set[str]:
        found = {each.name for each in Path("/tmp").glob("understudy-*")}  # noqa: S108  # where tempfile makes folders
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = process.read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "remote-debugging-pipe" in text:
                found.add(process.parent.name)
        return found

    before = traces()
    yield
    assert traces() <= before


@drawn
def test_equal_pages_have_no_difference(no_trace: None) -> None:
    """The pictures are WebP, and nothing is marked."""
    pair = drawing("<div>The same</div>", "<div>The same</div>")
    assert pair.share == 0
    assert pair.source == pair.destination
    assert pair.source[8:12] == b"WEBP"


@drawn
def test_one_more_line_marks_itself_and_nothing_below_it() -> None:
    """Rows are aligned before they are compared: 100 of 1,000 rows are new, and the rest is equal."""
    rest = "<div></div><div style='background:#bbb'></div><div></div>"
    pair = drawing("<p style='margin:0;height:100px;background:red'>New</p>" + rest, rest)
    assert 0.09 < pair.share < 0.11


@drawn
def test_the_browser_gets_no_login_and_asks_nobody_else() -> None:
    """The fetcher logs in at the site; the browser's requests to other hosts, ports and addresses are answered by nobody."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.1)
        port, seen = trap.getsockname()[1], list[httpx.Request]()
        hostile = "".join(
            f'<img src="{url}"><link rel="preconnect" href="{url}"><iframe src="{url}"></iframe>'
            for url in (
                f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", f"http://left.example:{port}/",
                "http://169.254.169.254/latest/", "file:///etc/passwd", "http://cdn.example/a.png",
            )
        )  # fmt: skip
        script = f"<script>new WebSocket('ws://127.0.0.1:{port}/'); document.body.remove()</script>"
        pair = drawing(f"<div>Site</div>{hostile}{script}", "<div>Site</div>", seen)
        with pytest.raises(TimeoutError):
            trap.accept()
    assert {request.url.host for request in seen} == {"left.example", "right.example"}
    logins = {request.url.host: "authorization" in request.headers for request in seen}
    assert logins == {"left.example": True, "right.example": False}
    assert len(pair.source) > 100


@drawn
def test_files_that_move_within_the_site_are_drawn() -> None:
    """A redirect of a picture is followed if it stays on the site, and a red square is drawn."""
    square = '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="300"><rect width="300" height="300" fill="red"/></svg>'

    def moved(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/old.svg":
            return httpx.Response(302, headers={"location": "/new.svg"})
        if request.url.path == "/new.svg":
            return httpx.Response(200, text=square, headers={"content-type": "image/svg+xml"})
        return page('<img style="display:block" src="/old.svg" width="300" height="300">')

    pair = drawing(moved, '<img style="display:block" src="/none.svg" width="300" height="300">')
    assert 0.3 < pair.share < 0.4, "300 of 844 rows"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: httpx.Response(401), "left.example shows no front page: it requires a login"),
        (lambda _: httpx.Response(503), "HTTP 503"),
        (lambda _: httpx.Response(302, headers={"location": "http://10.0.0.1/"}), "redirects to 10.0.0.1"),
    ],
)
def test_a_site_without_a_front_page_is_not_drawn(answer: Answer, reason: str) -> None:
    """The reason is a sentence, and no browser is started."""
    with pytest.raises(NoPicture, match=reason):
        drawing(answer, "<p>Site</p>")


@drawn
def test_a_page_that_never_ends_is_ended(no_trace: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser has a time limit for everything, and is gone afterwards."""
    monkeypatch.setattr(pictures, "DRAWN_WITHIN", 0.01)
    with pytest.raises(NoPicture, match="took too long"):
        drawing("<p>Site</p>", "<p>Site</p>")


def test_a_program_that_is_no_browser_is_a_reason(tmp_path: Path) -> None:
    """It gets neither our environment nor our open files, and what it prints about a sandbox becomes a remedy."""
    program = tmp_path / "chromium"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\necho 'No usable sandbox!' >&2\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    os.environ["UNDERSTUDY_TEST_SECRET"] = "opensesame"
    try:
        with (
            pytest.raises(NoPicture, match="UNDERSTUDY_BROWSER_SANDBOX=false"),
            Chromium(str(program), sandbox=True, within=10, on_event=lambda event: None) as browser,
        ):
            browser.new_page()
    finally:
        del os.environ["UNDERSTUDY_TEST_SECRET"]
    assert "opensesame" not in (tmp_path / "environment").read_text()


def test_the_setting_names_the_browser(tmp_path: Path) -> None:
    """Off, one that is not there, and none at all are reasons."""
    for setting, reason in (("off", "UNDERSTUDY_BROWSER is off"), (str(tmp_path / "chrome"), "is not installed")):
        with pytest.raises(NoPicture, match=reason):
            find_browser(setting)
