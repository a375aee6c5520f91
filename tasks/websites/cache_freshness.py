"""Whether a cached page is newer than the purge.

A page that comes from no cache, or was made after the purge, is fresh. If headers do not decide, bodies are compared in
what two fresh pages have in common.
"""

import re
from collections import Counter

from tasks.websites.fetcher import Page

UNCACHED = re.compile(r"(?:\b|_)(miss|bypass|dynamic|expired|pass|revalidated)\b", re.IGNORECASE)
CACHE_HEADERS = ("x-cache", "cf-cache-status", "x-cache-status", "x-proxy-cache")  # not x-cacheable: what may be cached
SECONDS = re.compile(r"\d{1,10}", re.ASCII)
OURS = re.compile(r"understudy(=|%3D)[0-9a-f]{32}")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
TOKEN = re.compile(r"""[^\s<>"'=&?,;]+""")
CLOCK_SLACK = 2.0  # seconds: `Age` is in whole seconds


def age_of(page: Page) -> int | None:
    """Return the seconds that the page was in a cache, from its `Age` header."""
    age = page.headers.get("age", "").split(",")[0].strip()
    return int(age) if SECONDS.fullmatch(age) else None


def uncached(page: Page) -> bool:
    """Return whether the answer was made for this request, according to its headers."""
    values = [page.headers[name] for name in CACHE_HEADERS if name in page.headers]
    states = [state for value in values for state in value.split(",")]  # one for each cache on the way
    return bool(states) and all(UNCACHED.search(state) for state in states) and not age_of(page)


def freshness(cached: Page, fresh: tuple[Page, Page], since_purge: float | None) -> tuple[bool | None, str]:
    """Return whether the cached page is newer than the purge (None: not known), and the details.

    `since_purge`: seconds of the host since the purge, or None without a purge. `fresh`: two pages that bypassed all caches.
    A page that differs fails only if its age proves that it is older than the purge.
    """
    age = age_of(cached)
    seen = f"x-cache {cached.headers.get('x-cache', 'absent')}, age {cached.headers.get('age', 'absent')}"
    if uncached(cached):
        return True, f"from no cache ({seen})"
    if age is not None and since_purge is not None and age <= since_purge + CLOCK_SLACK:
        return True, f"made after the purge ({seen})"
    if any(_was_cached(page, since_purge) for page in fresh):
        return None, f"no page could be read without the cache ({seen})"
    if same_but_for_noise(cached.body, fresh[0].body, fresh[1].body):
        return True, f"equal to a fresh page ({seen})"
    if since_purge is None:
        return None, f"the cached page differs from a fresh one; nothing was purged ({seen})"
    if age is None:
        return None, f"the cached page differs from a fresh one; its age is unknown ({seen})"
    return False, f"the cached page is older than the purge and differs from a fresh one ({seen})"


def _was_cached(page: Page, since_purge: float | None) -> bool:
    age = age_of(page)
    return not uncached(page) and bool(age) and (since_purge is None or (age or 0) > since_purge + CLOCK_SLACK)


def same_but_for_noise(cached: bytes, first: bytes, second: bytes) -> bool:
    """Return whether the cached page has all that the two fresh ones have in common, and apart from it only such noise."""
    one, two, old = _tokens(first), _tokens(second), _tokens(cached)
    stable, shapes = one & two, {_shape(token) for token in (one - two) + (two - one)}
    odd = (stable - old) + (old - one)
    return all(_shape(token) in shapes or _is_random(token) for token in odd)


def _tokens(body: bytes) -> Counter[str]:
    text = COMMENT.sub("", OURS.sub("", body.decode("utf-8", errors="replace")))
    return Counter(TOKEN.findall(text))


def _shape(token: str) -> str:
    """Return the token without its random parts and numbers."""
    return "~" if _is_random(token) else re.sub(r"\d+", "0", token)


def _is_random(token: str) -> bool:
    """Return whether the token is a nonce, hash, identifier or time in seconds, which is not content."""
    bare = re.sub(r"[^A-Za-z0-9]", "", token)
    return bool(re.fullmatch(r"[0-9a-f]{10,}|1\d{9,12}", bare)) or (
        len(bare) >= 16
        and "/" not in token.strip("/")
        and any(c.isdigit() for c in bare)
        and any(c.isalpha() for c in bare)
    )
