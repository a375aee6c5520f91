"""Pictures of a page of two sites side by side, with what differs marked: evidence for people, never a verdict.

Chromium draws them without scripts and without a network. Every file that a page asks for is read by the fetcher, under its
limits and only from the site's own domains, so that the browser never has a login and reaches nothing else.
"""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.websites.chromium import Chromium, NoPicture
from tasks.websites.fetcher import Fetcher, Page

WIDTHS = {1280: 900, 390: 844}  # pixels: width and height of a desktop window and of a phone
TALLEST = 3000  # pixels of a page that are drawn; the alignment takes rows times rows
LOADED_WITHIN = 20.0  # seconds for the files of a page; then it is drawn as it is
DRAWN_WITHIN = 120.0  # seconds for all pictures
MOST_FILES = 300  # of one browser; a front page has 20 to 150
MOST_BYTES = 64 * 1024 * 1024  # of all files
LARGEST = 600_000  # bytes of one picture
AT_ONCE = 8  # files that are read at a time
PASSED_ON = ("content-type", "location", "access-control-allow-origin", "content-security-policy")
MARKS = (Path(__file__).parent / "picture_marks.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class DrawnPair:
    """Two pictures (WebP) of one page in one width, and the part of the rows that differ, from 0 to 1."""

    width: int
    source: bytes
    destination: bytes
    share: float


def draw_pairs(
    executable: str, fetcher: Fetcher, source: str, destination: str, *, sandbox: bool
) -> Iterator[DrawnPair]:
    """Yield the front pages of these domains in each width. Raises `NoPicture` with the reason."""
    fronts = {domain: _front_page(fetcher, domain) for domain in (source, destination)}
    files = _Files(fetcher, fronts)
    with (
        Chromium(executable, sandbox=sandbox, within=DRAWN_WITHIN, on_event=files.answer) as browser,
        ThreadPoolExecutor(AT_ONCE) as files.pool,
    ):
        files.browser = browser
        for width, height in WIDTHS.items():
            shots = [_draw(browser, files, page.url, width, height) for page in fronts.values()]
            yield _marked(browser, width, *shots)


def _front_page(fetcher: Fetcher, domain: str) -> Page:
    page = fetcher.visit(domain, fresh=True)
    if page.status != 200 or page.detail:
        why = page.detail or ("it requires a login" if page.protected else f"HTTP {page.status}")
        raise NoPicture(f"{domain} shows no front page: {why}.")
    return page


@dataclass
class _Files:
    """Answers the requests of the browser with what the fetcher reads."""

    fetcher: Fetcher
    fronts: dict[str, Page]
    browser: Chromium = field(init=False)
    pool: ThreadPoolExecutor = field(init=False)
    loaded: set[str] = field(default_factory=set)  # sessions whose page is complete
    kept: dict[str, Page] = field(default_factory=dict)
    count: int = 0
    size: int = 0

    def answer(self, event: dict[str, Any]) -> None:
        """Handle one event of the browser."""
        session = event.get("sessionId", "")
        if event["method"] == "Page.loadEventFired":
            self.loaded.add(session)
        elif event["method"] == "Fetch.requestPaused":
            self.pool.submit(self._answer, session, event["params"])

    def _answer(self, session: str, paused: dict[str, Any]) -> None:
        number, request = paused["requestId"], paused["request"]
        page = self._read(request["url"].partition("#")[0]) if request["method"] == "GET" else None
        with suppress(NoPicture):  # the browser has ended, or its page is closed
            if page is None or page.status is None:
                self.browser.send("Fetch.failRequest", session, requestId=number, errorReason="BlockedByClient")
                return
            headers = [{"name": name, "value": page.headers[name]} for name in PASSED_ON if name in page.headers]
            body = base64.b64encode(page.body).decode()
            self.browser.send(
                "Fetch.fulfillRequest", session, requestId=number, responseCode=page.status, responseHeaders=headers, body=body
            )  # fmt: skip

    def _read(self, url: str) -> Page | None:
        """Return a file, or None if there were too many already. Two widths of a site have the same files."""
        for front in self.fronts.values():
            if url == front.url:
                kind = front.headers.get("content-type", "text/html").partition(";")[0]
                return Page(url, 200, front.headers | {"content-type": f"{kind}; charset=utf-8"}, front.body)
        if url not in self.kept:
            if self.count >= MOST_FILES or self.size >= MOST_BYTES:
                return None
            self.count += 1
            page = self.fetcher.file(url)
            self.size += len(page.body)
            self.kept[url] = page
        return self.kept[url]


def _draw(browser: Chromium, files: _Files, url: str, width: int, height: int) -> bytes:
    """Return a page as a PNG, as tall as it is, but not taller than `TALLEST`."""
    session = browser.new_page()
    browser.call("Page.enable", session)
    browser.call("Emulation.setScriptExecutionDisabled", session, value=True)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", session, **size)
    browser.call("Fetch.enable", session, patterns=[{"urlPattern": "*"}])
    if browser.call("Page.navigate", session, url=url).get("errorText"):
        raise NoPicture(f"Chromium could not draw the front page of {url.split('/')[2]}.")
    browser.until(lambda: session in files.loaded, within=LOADED_WITHIN)
    content = browser.call("Page.getLayoutMetrics", session)["cssContentSize"]
    shot = browser.screenshot(session, width, min(max(int(content["height"]), height), TALLEST))
    files.loaded.discard(session)
    browser.call("Page.close", session)
    return shot


def _marked(browser: Chromium, width: int, source: bytes, destination: bytes) -> DrawnPair:
    """Return both pictures with marks. They are compared in a page of ours, which is given the pictures and nothing else."""
    session = browser.new_page()
    given = ", ".join(json.dumps(base64.b64encode(each).decode()) for each in (source, destination))
    done = browser.call(
        "Runtime.evaluate",
        session,
        expression=f"(\n{MARKS}\n)({given}, {LARGEST})",
        awaitPromise=True,
        returnByValue=True,
    )
    browser.call("Page.close", session)
    made = done.get("result", {}).get("value")
    if not made or not (made["first"] and made["second"]):
        raise NoPicture("The pictures could not be compared, or are too large.")
    first, second = (base64.b64decode(made[name]) for name in ("first", "second"))
    return DrawnPair(width, first, second, float(made["share"]))
