"""Encryption of a whole dump with age. It keeps the content secret and does not prove the origin.

age authenticates each 64 KiB before it returns them, and detects a truncated file. Encryption to recipients (X25519)
streams. With a passphrase, pyrage works on bytes in memory only, so that dumps must be small. Source: age-encryption.org/v1.
"""

import os
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any, BinaryIO, Protocol

import pyrage

from tasks.estate.errors import DumpRefused, Misconfigured

MAGIC = b"age-encryption.org/v1\n"
SCRYPT = b"-> scrypt "  # follows `MAGIC` in a file that is encrypted with a passphrase
START_BYTES = len(MAGIC) + len(SCRYPT)  # how many first bytes `decrypted` needs
PASSPHRASE_LIMIT = 1 << 28  # bytes: 256 MiB, twice in memory


class Reader(Protocol):
    """The part of a file's interface that age and this module need."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        ...


def encrypt(source: Reader, target: BinaryIO, *, recipients: Sequence[str] = (), passphrase: str | None = None) -> None:
    """Encrypt to every recipient (`age1…`), or with a passphrase. Raise `Misconfigured` if there are both or neither."""
    if bool(recipients) == (passphrase is not None):
        raise Misconfigured("An encrypted dump needs recipients or a passphrase, and not both.")
    if passphrase is None:
        watched = _Watched(source)
        try:
            pyrage.encrypt_io(watched, target, require_recipients(recipients))
        except (pyrage.EncryptError, OSError):
            watched.raise_failure()
            raise
        return
    if not passphrase:
        raise Misconfigured("The passphrase of an encrypted dump is empty.")
    clear = _whole(source, PASSPHRASE_LIMIT)
    if clear is None:
        raise Misconfigured(
            f"A dump of more than {PASSPHRASE_LIMIT:,} bytes cannot be encrypted with a passphrase; expected recipients.",
            next_step="No dump was written. Make a key pair with age-keygen and name its public key.",
        )
    target.write(pyrage.passphrase.encrypt(clear, passphrase))


class _Watched:
    """A source that keeps the exception that it raised: of one that passes through it, pyrage keeps only the text."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._failure: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end. An exception is kept and raised again."""
        try:
            return self._source.read(size)
        except Exception as error:
            self._failure = error
            raise

    def raise_failure(self) -> None:
        """Raise the exception of the source, if there was one: pyrage's own does not have its type."""
        if self._failure is not None:
            raise self._failure


def _whole(source: Reader, limit: int) -> bytes | None:
    """Return the whole content, or None if it has more than `limit` bytes."""
    pieces, size = [], 0
    while size <= limit and (piece := source.read(1 << 20)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces) if size <= limit else None


def require_recipients(recipients: Sequence[str]) -> list[Any]:
    """Return the parsed public keys. Raise `Misconfigured` with the position of a wrong one."""
    parsed = []
    for position, recipient in enumerate(recipients, start=1):
        try:
            parsed.append(pyrage.x25519.Recipient.from_str(recipient))
        except pyrage.RecipientError as error:
            raise Misconfigured(f"Recipient {position} is not an age public key; expected age1….") from error
    return parsed


def decrypted(
    name: str, start: bytes, source: Reader, *, identities: Sequence[str] = (), passphrase: str | None = None
) -> Generator[bytes, None, None]:
    """Yield the clear, authenticated bytes of an encrypted dump whose first bytes, `start`, were read already.

    Raise `DumpRefused` with `name` if it is for other keys, altered or truncated, or if no key was given; `Misconfigured`
    if an identity is malformed.
    """
    whole = _Joined(start, source)
    if start[len(MAGIC) :].startswith(SCRYPT):
        yield _by_passphrase(name, whole, passphrase)
    else:
        yield from _by_identities(name, whole, _require_identities(name, identities))


def is_encrypted(start: bytes) -> bool:
    """Return whether these are the first bytes of an age file."""
    return start.startswith(MAGIC)


class _Joined:
    """A source whose first bytes were read already."""

    def __init__(self, start: bytes, source: Reader) -> None:
        self._start, self._source = start, source

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, first those that were read already."""
        if not self._start:
            return self._source.read(size)
        if size < 0:
            start, self._start = self._start, b""
            return start + self._source.read()
        start, self._start = self._start[:size], self._start[size:]
        return start


def _by_passphrase(name: str, source: Reader, passphrase: str | None) -> bytes:
    if passphrase is None:
        raise DumpRefused(f"The dump {name} is encrypted with a passphrase; expected one to be given.")
    sealed = _whole(source, 2 * PASSPHRASE_LIMIT)
    if sealed is None:
        raise DumpRefused(f"The dump {name} is encrypted with a passphrase and too large to open in memory.")
    try:
        return bytes(pyrage.passphrase.decrypt(sealed, passphrase))
    except (pyrage.DecryptError, OSError) as error:
        raise _refused(name, error) from error


def _require_identities(name: str, identities: Sequence[str]) -> list[Any]:
    if not identities:
        raise DumpRefused(f"The dump {name} is encrypted; expected an identity (AGE-SECRET-KEY-…) to open it.")
    try:
        return [pyrage.x25519.Identity.from_str(identity) for identity in identities]
    except pyrage.IdentityError as error:
        # `from None`: the parser's error may quote its input, which is a secret key.
        raise Misconfigured(f"An identity is not an age secret key ({type(error).__name__}).") from None


def _by_identities(name: str, source: Reader, identities: list[Any]) -> Iterator[bytes]:
    """Yield the clear bytes. pyrage writes to a file, so a thread decrypts into a pipe, which makes it wait for the reader."""
    read_end, write_end = os.pipe()
    watched = _Watched(source)
    failures: list[Exception] = []

    def decrypt() -> None:
        try:
            with os.fdopen(write_end, "wb") as pipe:
                pyrage.decrypt_io(watched, pipe, identities)
        except (pyrage.DecryptError, OSError) as error:
            failures.append(error)

    thread = threading.Thread(target=decrypt, name="decrypting", daemon=True)
    thread.start()
    try:
        with os.fdopen(read_end, "rb", buffering=0) as clear:
            while chunk := clear.read(1 << 16):
                yield chunk
    finally:
        thread.join()  # the closed pipe ends it, also if the reader stops early
    if failures:
        watched.raise_failure()
        raise _refused(name, failures[0]) from failures[0]


def _refused(name: str, error: Exception) -> DumpRefused:
    return DumpRefused(
        f"The dump {name} cannot be opened ({error}); expected a complete age file for the given key.",
        next_step="Nothing was loaded. Check the identity or passphrase; if it is right, fetch the dump again.",
    )
