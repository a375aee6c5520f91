"""Hosts and URLs: parsed, decoded and compared as hosts, never as text.

A host is compared in lower case, as its ASCII form (IDNA), without port, login and trailing dot.
"""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

import idna

DECODINGS = 5  # a URL in JSON in an attribute in a query is decoded four times; the fifth finds nothing new
AUTHORITY = re.compile(r"""//([^\s/\\?#"'<>&%,;(){}|^`\[\]*=]+)""")
ESCAPE = re.compile(r"\\(?:u00|x)([0-9a-fA-F]{2})")
NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+|localhost")
GUID = re.compile(r"<guid\b[^>]*>.*?</guid>", re.IGNORECASE | re.DOTALL)


def to_host(text: str | None) -> str | None:
    """Return the host that a URL, `//host/path` or bare host names, or None if it names none."""
    if not text:
        return None
    rest = text.strip()
    rest = rest.split("//", 1)[1] if "//" in rest else rest
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    name = re.sub(r":\d*$", "", authority.rpartition("@")[2]).rstrip(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except (idna.IDNAError, UnicodeError):
            return None
    name = name.lower()
    return name if NAME.fullmatch(name) else None


def www_variant(host: str) -> str:
    """Return the same name with `www.` taken away or put before it."""
    return host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"


@dataclass(frozen=True)
class Names:
    """The domains of one install, as hosts. A `*.` domain covers the names one level below it."""

    hosts: frozenset[str]
    wildcards: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str | None]) -> "Names":
        """Return the hosts among these names; what is no host is left out."""
        listed = [name for name in names if name]
        stars = frozenset(filter(None, (to_host(name[2:]) for name in listed if name.startswith("*."))))
        return cls(frozenset(filter(None, (to_host(name) for name in listed if "*" not in name))), stars)

    def has(self, host: str) -> bool:
        """Return whether the host is one of these domains."""
        return host in self.hosts or host.partition(".")[2] in self.wildcards

    def above(self, host: str) -> bool:
        """Return whether the host is a name below one of these domains."""
        return any(host.endswith(f".{each}") for each in self.hosts | self.wildcards)


@dataclass(frozen=True)
class Sides:
    """The domains of the site that is looked at, and those of the other install of the pair.

    A name that both sides list is the site's own. The `www.` variant of an own domain is own, unless the other side lists it.
    """

    own: Names
    other: Names = Names(frozenset())

    def is_own(self, host: str) -> bool:
        """Return whether the host belongs to the site itself."""
        return self.own.has(host) or (not self.other.has(host) and self.own.has(www_variant(host)))

    def is_other(self, host: str) -> bool:
        """Return whether the host is a domain of the other install."""
        return self.other.has(host) and not self.own.has(host)

    def is_below_other(self, host: str) -> bool:
        """Return whether the host is an unlisted name below a domain of the other install: shown, but no leak."""
        return not self.is_own(host) and not self.is_other(host) and self.other.above(host)


def hosts_in(body: bytes, *, decodings: int = DECODINGS) -> dict[str, bool]:
    """Return every host that a URL in this text names, and whether it was seen only in an escaped form.

    Entities, percent signs and JSON escapes are decoded, nested too. E-mail addresses are no URLs. `<guid>` is left out:
    WordPress never changes a guid.
    """
    text = GUID.sub("", body.decode("utf-8", errors="replace"))
    found: dict[str, bool] = {}
    for depth in range(decodings):
        for authority in set(AUTHORITY.findall(text)):
            host = to_host(f"//{authority}")
            if host is not None:
                found.setdefault(host, depth > 0)
        decoded = _decoded(text)
        if decoded == text:
            break
        text = decoded
    return found


def _decoded(text: str) -> str:
    """Undo one level of every escape at once."""
    text = ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return unquote(html.unescape(text.replace("\\/", "/").replace("\\\\", "\\")), errors="replace")
