"""Decode the text of a page with its real character set, even if its header names another one."""

import codecs
import re

TEXT = re.compile(r"html|xml|json|^text/plain|^$", re.IGNORECASE)
IN_HEADER = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
IN_BODY = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# Character sets of browsers. Python has codecs that are no character sets, and some that are slow on hostile input.
KNOWN = re.compile(
    r"utf-?(16|32)(-?[lb]e)?|(iso-?8859-?|latin-?|windows-?|cp)\d{1,4}|koi8-?[ru]|gb(k|2312|18030)|big5(-hkscs)?|euc-?(jp|kr)"
    r"|shift[_-]?jis|macintosh|us-ascii",
    re.IGNORECASE,
)
HEAD = 1024  # bytes at the beginning in which a page names its character set


def to_utf8(body: bytes, content_type: str, *, cut: bool = False) -> bytes:
    """Return a text in UTF-8. What is not text, or already UTF-8, is returned unchanged. `cut`: the last character may be cut.

    UTF-8 is tried first: a header that names something else is a common mistake, and no other text is valid UTF-8.
    """
    if not TEXT.search(content_type):
        return body
    if b"\0" not in body and _decoded(body, "utf-8", final=not cut) is not None:
        return body
    named = [*IN_HEADER.findall(content_type), *(name.decode() for name in IN_BODY.findall(body[:HEAD])[:1])]
    marked = [charset for mark, charset in MARKS if body.startswith(mark)]
    likely = ["utf-16-be" if body[:1] == b"\0" else "utf-16-le"] if b"\0" in body[:HEAD] else []
    for charset in [*marked, *(name for name in named if KNOWN.fullmatch(name)), *likely, "cp1252"]:
        text = _decoded(body, charset, final=not cut)
        if text is not None:
            return text.encode("utf-8", errors="replace")
    return body


def _decoded(body: bytes, charset: str, *, final: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(charset)().decode(body, final)
    except (LookupError, UnicodeError):
        return None
