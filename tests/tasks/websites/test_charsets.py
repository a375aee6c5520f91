"""Pages are read in the character set in which they are written."""

import pytest

from tasks.websites.charsets import to_utf8
from tasks.websites.hosts_and_urls import hosts_in

PAGE = "<a href='https://bücher.example/'>Bücher</a>"


CONTENT_TYPES = {
    "utf-8": [f"text/html; charset={named}" for named in ("utf-8", "iso-8859-1", "utf-16", "utf8mb4")],
    "iso-8859-1": ["", *(f"text/html; charset={named}" for named in ("ISO-8859-1", '"latin1"', "utf-8"))],
    "utf-16-le": ["text/html", "text/html; charset=utf-16le"],
    "utf-16-be": ["application/xhtml+xml"],
} | {charset: ["text/html"] for charset in ("utf-8-sig", "cp437", "utf-16", "utf-32")}


@pytest.mark.parametrize(
    ("charset", "content_type"), [(charset, each) for charset, types in CONTENT_TYPES.items() for each in types]
)
def test_a_host_is_found_in_every_character_set(charset: str, content_type: str) -> None:
    """By the mark at the beginning, the header, the page itself, or the look of its bytes."""
    head = "<meta charset=cp437>" if charset == "cp437" else ""
    assert list(hosts_in(to_utf8((head + PAGE).encode(charset), content_type))) == ["xn--bcher-kva.example"]


@pytest.mark.parametrize(
    "content_type", ["text/html; charset=punycode", "text/html; charset=zip", "text/html; charset=unicode_escape"]
)
def test_codecs_that_are_no_character_set_are_not_used(content_type: str) -> None:
    """A header cannot select a codec that is not a character set."""
    assert to_utf8("ü \\u0041".encode("latin-1"), content_type) == "ü \\u0041".encode()


def test_what_is_no_text_stays_as_it_is() -> None:
    """Bytes of files are compared, so they are not changed; a page that was cut within a character is still UTF-8."""
    assert to_utf8(b"\xff\x00a", "text/css") == b"\xff\x00a"
    cut = "Bücher".encode()[:2]
    assert to_utf8(cut, "text/html", cut=True) == cut
    assert to_utf8(b"", "text/html; charset=utf-16") == b""
