"""Sealing: a whole dump encrypted with age, so that it proves its origin to nobody but stays secret on its way.

age authenticates every 64 KiB before it gives them out, and notices a file cut short. Recipients (X25519) stream. A
passphrase does not: pyrage offers it on bytes in memory only, and so it is limited to small dumps. Source: age-encryption.org/v1.
"""

import os
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any, BinaryIO, Protocol

import pyrage

from tasks.estate.errors import DumpRefused, Misconfigured

MAGIC = b"age-encryption.org/v1\n"
PASSPHRASE_LIMIT = 1 << 28  # bytes: 256 MiB, held twice in memory
_STANZA = len(MAGIC) + len(b"-> scrypt ")  # the bytes that tell a passphrase from recipients


class Reader(Protocol):
    """What is read from: all that age and we need of a file."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, none at the end."""
        ...


def encrypt(source: Reader, target: BinaryIO, *, recipients: Sequence[str] = (), passphrase: str | None = None) -> None:
    """Encrypt to every recipient (`age1…`), or with a passphrase. Raises `Misconfigured` where they make no sense."""
    if bool(recipients) == (passphrase is not None):
        raise Misconfigured("A sealed dump needs recipients or a passphrase, and not both.")
    if passphrase is None:
        watched = _Watched(source)
        try:
            pyrage.encrypt_io(watched, target, require_recipients(recipients))
        except (pyrage.EncryptError, OSError):
            watched.raise_failure()
            raise
        return
    if not passphrase:
        raise Misconfigured("The passphrase of a sealed dump is empty.")
    clear = _whole(source, PASSPHRASE_LIMIT)
    if clear is None:
        raise Misconfigured(
            f"A dump of more than {PASSPHRASE_LIMIT:,} bytes cannot be sealed with a passphrase; expected recipients.",
            next_step="No dump was left behind. Make a key pair with age-keygen and name its public key.",
        )
    target.write(pyrage.passphrase.encrypt(clear, passphrase))


class _Watched:
    """A source that remembers why it failed: pyrage keeps only the text of an exception that passes through it."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._failure: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, none at the end; a failure passes through and is kept."""
        try:
            return self._source.read(size)
        except Exception as error:
            self._failure = error
            raise

    def raise_failure(self) -> None:
        """Raise what the source raised, if it did: what pyrage makes of it no longer has its type."""
        if self._failure is not None:
            raise self._failure


def _whole(source: Reader, limit: int) -> bytes | None:
    """Everything there is to read, or None where that is more than `limit` bytes."""
    pieces, size = [], 0
    while size <= limit and (piece := source.read(1 << 20)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces) if size <= limit else None


def require_recipients(recipients: Sequence[str]) -> list[Any]:
    """The public keys, parsed. Raises `Misconfigured` with the position of the wrong one: early, before an export."""
    parsed = []
    for position, recipient in enumerate(recipients, start=1):
        try:
            parsed.append(pyrage.x25519.Recipient.from_str(recipient))
        except pyrage.RecipientError as error:
            raise Misconfigured(f"Recipient {position} is no age public key; expected age1….") from error
    return parsed


def decrypted(
    name: str, start: bytes, source: Reader, *, identities: Sequence[str] = (), passphrase: str | None = None
) -> Generator[bytes, None, None]:
    """The clear bytes of a sealed dump whose first bytes, `start`, were read already; each authentic when it comes out.

    Raises `DumpRefused` naming `name`: not for us, altered, cut short, no identity given; `Misconfigured`: no identity at all.
    """
    whole = _Joined(start, source)
    if start[len(MAGIC) :].startswith(b"-> scrypt "):
        yield _by_passphrase(name, whole, passphrase)
    else:
        yield from _by_identities(name, whole, _require_identities(name, identities))


def is_encrypted(start: bytes) -> bool:
    """Whether these first bytes are those of an age file."""
    return start.startswith(MAGIC)


START_BYTES = _STANZA  # how many first bytes `decrypted` wants to see


class _Joined:
    """Bytes that were read to look at them, put back before the rest."""

    def __init__(self, start: bytes, source: Reader) -> None:
        self._start, self._source = start, source

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, first those that were put back."""
        if not self._start:
            return self._source.read(size)
        if size < 0:
            start, self._start = self._start, b""
            return start + self._source.read()
        start, self._start = self._start[:size], self._start[size:]
        return start


def _by_passphrase(name: str, source: Reader, passphrase: str | None) -> bytes:
    if passphrase is None:
        raise DumpRefused(f"The dump {name} is sealed with a passphrase; expected one to be given.")
    sealed = _whole(source, 2 * PASSPHRASE_LIMIT)
    if sealed is None:
        raise DumpRefused(f"The dump {name} is sealed with a passphrase and too large to open in memory.")
    try:
        return bytes(pyrage.passphrase.decrypt(sealed, passphrase))
    except (pyrage.DecryptError, OSError) as error:
        raise _refused(name, error) from error


def _require_identities(name: str, identities: Sequence[str]) -> list[Any]:
    if not identities:
        raise DumpRefused(f"The dump {name} is encrypted; expected an identity (AGE-SECRET-KEY-…) to open it with.")
    try:
        return [pyrage.x25519.Identity.from_str(identity) for identity in identities]
    except pyrage.IdentityError as error:
        # `from None`: the parser's own error may quote what it was given, and that is a secret key.
        raise Misconfigured(f"An identity is no age secret key ({type(error).__name__}).") from None


def _by_identities(name: str, source: Reader, identities: list[Any]) -> Iterator[bytes]:
    """pyrage pushes and we pull: a thread decrypts into a pipe, which makes it wait for whoever reads."""
    read_end, write_end = os.pipe()
    watched = _Watched(source)
    failures: list[Exception] = []

    def decrypt() -> None:
        try:
            with os.fdopen(write_end, "wb") as pipe:
                pyrage.decrypt_io(watched, pipe, identities)
        except (pyrage.DecryptError, OSError) as error:
            failures.append(error)

    thread = threading.Thread(target=decrypt, name="unsealing", daemon=True)
    thread.start()
    try:
        with os.fdopen(read_end, "rb", buffering=0) as clear:
            while chunk := clear.read(1 << 16):
                yield chunk
    finally:
        thread.join()  # the closed pipe ends it, whoever stopped reading
    if failures:
        watched.raise_failure()
        raise _refused(name, failures[0]) from failures[0]


def _refused(name: str, error: Exception) -> DumpRefused:
    return DumpRefused(
        f"The dump {name} cannot be opened ({error}); expected an age file, whole and for the given key.",
        next_step="Nothing was loaded. Check the identity or passphrase; if it is right, fetch the dump again.",
    )
