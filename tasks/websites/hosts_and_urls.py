"""Hosts and URLs, compared as hosts and never as text: in lower case and ASCII (IDNA), without port, login and trailing dot."""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urljoin

import idna

DECODINGS = 5  # a URL in JSON in an attribute in a query is decoded four times
START = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?[/\\]{2,}", re.IGNORECASE)
NO_HOST = re.compile(r"[a-z][a-z0-9+.-]*:(?!\d*(?:[/\\?#]|$))", re.IGNORECASE)  # mailto:…, not example.org:443
# Typographic quotes and dashes, which may follow a URL in running text, are not part of a host.
AUTHORITY = re.compile(r"""(?<!mailto:)(?://|\\\\)([^\s/\\?#"'<>&%,;(){}|^`\[\]*=!$~+“”„«»‹›‘’‚…–—]+)""", re.IGNORECASE)
ESCAPE = re.compile(r"\\(?:u\{0*([0-9a-f]{1,5})\}|u([0-9a-f]{4})|x([0-9a-f]{2}))", re.IGNORECASE)
NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+|localhost")
QUOTE = r"(?:(?<!\\)\\*+\"|&quot;|&#0?34;)"
# WordPress never changes a guid, the address of the first publication: in RSS, Atom and JSON.
GUID = re.compile(
    rf"<guid\b[^<>]*>(?:[^<]|<!\[CDATA\[[^<]*\]\]>)*</guid>|<id>[^<]*</id>"
    rf"|{QUOTE}guid{QUOTE}\s*:\s*(?:\{{[^{{}}]*\}}|{QUOTE}[^\"&]*{QUOTE})",
    re.IGNORECASE,
)


def to_host(text: str | None) -> str | None:
    """Return the host in a URL, in `//host/path` or in a host name, or None."""
    if not text:
        return None
    stripped = text.strip()
    started = START.match(stripped)
    if started is None and NO_HOST.match(stripped):
        return None
    rest = stripped[started.end() :] if started else stripped
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    name = unquote(re.sub(r":[0-9]*$", "", authority.rpartition("@")[2]))  # browsers decode a host too
    return _ascii(name.rstrip("."))


def _ascii(name: str) -> str | None:
    """Return the ASCII form of a host in lower case, or None if it is not a host."""
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except (idna.IDNAError, UnicodeError):
            try:
                name = name.encode("idna").decode()  # symbols, which IDNA 2008 refuses and browsers accept
            except UnicodeError:
                return None
    name = name.lower().rstrip(".")
    return name if NAME.fullmatch(name) else None


def joined(base: str, target: str) -> str | None:
    """Return the absolute URL that a browser opens for a redirect or link on the page `base`, or None.

    Browsers drop tabs and line ends, and read a backslash before the query as a slash.
    """
    cleaned = re.sub(r"[\t\r\n]", "", target).strip()
    path = re.split(r"[?#]", cleaned, maxsplit=1)[0]
    path = re.sub(r"^((?:https?:)?)/{2,}", r"\1//", path.replace("\\", "/"), flags=re.IGNORECASE)
    try:
        return urljoin(base, path + cleaned[len(re.split(r"[?#]", cleaned, maxsplit=1)[0]) :])
    except ValueError:
        return None


def www_variant(host: str) -> str:
    """Return the name without `www.`, or with it if it has none."""
    return host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"


@dataclass(frozen=True)
class Names:
    """The domains of one install, as hosts. A `*.` domain covers the names one level below it."""

    hosts: frozenset[str]
    wildcards: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str | None]) -> "Names":
        """Return the hosts among these names."""
        listed = [name.strip() for name in names if name]
        stars = frozenset(filter(None, (to_host(name[2:]) for name in listed if name.startswith("*."))))
        return cls(frozenset(filter(None, (to_host(name) for name in listed if "*" not in name))), stars)

    def lists(self, host: str) -> bool:
        """Return whether the host is listed by name."""
        return host in self.hosts

    def spans(self, host: str) -> bool:
        """Return whether a wildcard covers the host."""
        return host.partition(".")[2] in self.wildcards

    def has(self, host: str) -> bool:
        """Return whether the host is listed or covered by a wildcard."""
        return self.lists(host) or self.spans(host)

    def nearest(self, host: str) -> int:
        """Return the length of the longest of these domains that is a parent of the host, or 0."""
        return max((len(each) for each in self.hosts | self.wildcards if host.endswith(f".{each}")), default=0)


@dataclass(frozen=True)
class Sides:
    """The domains of the site that is checked, and those of the other install of the pair.

    A listed name takes precedence over a wildcard, and both over the `www.` variant of a listed name. A name that both sides
    list is the site's own.
    """

    own: Names
    other: Names = Names(frozenset())

    def _owner(self, host: str) -> Names | None:
        for name in (host, www_variant(host)):
            for covers in (Names.lists, Names.spans):
                for side in (self.own, self.other):
                    if covers(side, name):
                        return side
        return None

    def is_own(self, host: str) -> bool:
        """Return whether the host belongs to the site itself."""
        return self._owner(host) is self.own

    def is_other(self, host: str) -> bool:
        """Return whether the host belongs to the other install."""
        return self._owner(host) is self.other

    def is_below_other(self, host: str) -> bool:
        """Return whether the host is an unlisted name below a domain of the other install, which is not a leak."""
        return self._owner(host) is None and self.other.nearest(host) > self.own.nearest(host)


def hosts_in(body: bytes, *, decodings: int = DECODINGS) -> dict[str, bool]:
    """Return every host in URLs of this text, and whether it occurs only in an escaped form.

    Entities, percent encoding and JSON escapes are decoded, also nested. E-mail addresses and `guid`, which WordPress never
    changes, are ignored.
    """
    found: dict[str, bool] = {}
    for depth, authority in _authorities(body, decodings):
        host = to_host(f"//{authority}")
        if host is not None:
            found.setdefault(host, depth > 0)
    return found


def writings_of(host: str, body: bytes) -> list[tuple[str, str]]:
    """Return the forms of a host in URLs of this text: the two slashes as escaped, and the name.

    A text replacement finds a URL only with the same slashes and capital letters.
    """
    text = body.decode("utf-8", errors="replace")
    seen: dict[str, set[str]] = {}
    for depth, authority in _authorities(body, DECODINGS):
        if to_host(f"//{authority}") == host:
            name = re.sub(r":[0-9]*$", "", unquote(authority.rpartition("@")[2]))
            seen.setdefault(name, set()).update(["//", *([r"\/\/"] if depth else [])])
            seen[name].update(re.findall(rf"(%2f%2f){re.escape(name)}", text, re.IGNORECASE))
    return [(slashes, name) for name in sorted(seen) for slashes in sorted(seen[name])]


def _authorities(body: bytes, decodings: int) -> Iterator[tuple[int, str]]:
    """Yield the authority of each URL, with the number of decodings before it was found."""
    text = body.decode("utf-8", errors="replace")
    for depth in range(decodings):
        text = GUID.sub("", text)
        for authority in set(AUTHORITY.findall(text)):
            yield depth, authority.rstrip("-_.:")
        decoded = _decoded(text)
        if decoded == text:
            return
        text = decoded


def _decoded(text: str) -> str:
    """Decode one level of all escapes."""
    text = ESCAPE.sub(lambda match: chr(int(match[1] or match[2] or match[3], 16)), text)
    if re.search("[\ud800-\udfff]", text):  # JSON writes characters above 16 bits as two surrogates
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return unquote(html.unescape(text.replace("\\/", "/").replace("\\\\", "\\")), errors="replace")
