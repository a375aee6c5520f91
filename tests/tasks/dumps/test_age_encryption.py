"""Encrypted dumps: readable with the named keys only, complete or refused, and no key is in a message."""

import io
import os
import threading
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tasks.dumps import age_encryption
from tasks.dumps.age_encryption import decrypted, encrypt, require_recipients
from tasks.dumps.dump_reader import Segment, check, read
from tasks.estate.errors import DumpRefused, Misconfigured
from tasks.estate.schema import Name


@pytest.fixture
def pair() -> tuple[str, str]:
    """A secret key and its public key."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def test_a_recipient_reads_it(make_dump: Any, pair: tuple[str, str]) -> None:
    """A dump for two recipients opens with the key of either, and nothing of it is readable without a key."""
    secret, public = pair
    other = pyrage.x25519.Identity.generate()
    facts = make_dump(recipients=[str(other.to_public()), public])
    assert facts.encrypted
    assert check(facts.url, identities=[secret]) == check(facts.url, identities=[str(other)]) == facts
    assert Path(facts.url).read_bytes().startswith(b"age-encryption.org/v1\n")


def test_a_passphrase_opens_it(make_dump: Any) -> None:
    """A small dump may be encrypted with a passphrase."""
    facts = make_dump(passphrase="open sesame")
    assert check(facts.url, passphrase="open sesame") == facts
    with pytest.raises(DumpRefused, match="cannot be opened"):
        check(facts.url, passphrase="wrong")
    with pytest.raises(DumpRefused, match="expected one to be given"):
        check(facts.url)


def test_others_do_not_read_it(make_dump: Any, pair: tuple[str, str]) -> None:
    """Without an identity, with another or with a malformed one the dump is refused, and no message contains a key."""
    facts = make_dump(recipients=[pair[1]])
    stranger = str(pyrage.x25519.Identity.generate())
    with pytest.raises(DumpRefused, match="expected an identity"):
        check(facts.url)
    with pytest.raises(DumpRefused, match="cannot be opened") as refused:
        check(facts.url, identities=[stranger])
    with pytest.raises(Misconfigured, match="not an age secret key") as misconfigured:
        check(facts.url, identities=[stranger[:-1]])
    assert "AGE-SECRET-KEY-1" not in f"{refused.value}{misconfigured.value}"
    assert misconfigured.value.__suppress_context__


def test_a_changed_or_cut_file_is_refused(make_dump: Any, pair: tuple[str, str]) -> None:
    """A changed, missing or added byte anywhere in an encrypted dump is detected."""
    facts = make_dump(recipients=[pair[1]])
    path = Path(facts.url)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        for broken in (
            whole[:at],
            whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
            whole[:at] + b"x" + whole[at:],
        ):
            path.write_bytes(broken)
            with pytest.raises(DumpRefused):
                check(facts.url, identities=[pair[0]])
    path.write_bytes(whole + b"x")
    with pytest.raises(DumpRefused):
        check(facts.url, identities=[pair[0]])


def test_the_clear_dump_is_inside(make_dump: Any, pair: tuple[str, str]) -> None:
    """Any age tool decrypts the dump to the file that the format describes."""
    sealed, clear = make_dump(recipients=[pair[1]]), make_dump()
    identity = pyrage.x25519.Identity.from_str(pair[0])
    assert pyrage.decrypt(Path(sealed.url).read_bytes(), [identity]) == Path(clear.url).read_bytes()


def test_whoever_stops_early_leaves_no_thread(pair: tuple[str, str], make_dump: Any) -> None:
    """The thread that decrypts ends with its reader, also if the reader stops early."""
    users = Name(schema_name="public", name="users")
    rows = b"".join(os.urandom(500).hex().encode() + b"\n" for _ in range(3000))  # more than a pipe takes
    facts = make_dump({users: (1, [rows])}, recipients=[pair[1]])
    events = read(facts.url, identities=[pair[0]])
    assert not isinstance(next(events), Segment)
    events.close()  # type: ignore[attr-defined]  # it is a generator
    assert "decrypting" not in {thread.name for thread in threading.enumerate()}


def test_large_data_streams(pair: tuple[str, str]) -> None:
    """Data larger than any buffer passes through, and stopping in the middle does not hang."""
    clear = os.urandom(3_000_000)
    sealed = io.BytesIO()
    encrypt(io.BytesIO(clear), sealed, recipients=[pair[1]])
    data = sealed.getvalue()
    start, rest = data[: age_encryption.START_BYTES], data[age_encryption.START_BYTES :]
    assert b"".join(decrypted("x", start, io.BytesIO(rest), identities=[pair[0]])) == clear
    stopped = decrypted("x", start, io.BytesIO(rest), identities=[pair[0]])
    assert clear.startswith(next(stopped))
    stopped.close()


class Broken:
    """A source whose disk fails."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        if not (data := self._data.read(size)):
            raise ConnectionResetError("the disk is gone")
        return data


def test_a_failing_source_is_not_called_a_bad_dump(pair: tuple[str, str]) -> None:
    """An error of the storage is raised as it is in both directions, and is not reported as a wrong key."""
    with pytest.raises(ConnectionResetError):
        encrypt(Broken(b"abc"), io.BytesIO(), recipients=[pair[1]])
    sealed = io.BytesIO()
    encrypt(io.BytesIO(b"abc" * 100_000), sealed, recipients=[pair[1]])
    start = sealed.getvalue()[: age_encryption.START_BYTES]
    cut = Broken(sealed.getvalue()[age_encryption.START_BYTES : -1])
    with pytest.raises(ConnectionResetError):
        list(decrypted("x", start, cut, identities=[pair[0]]))


def test_settings_that_make_no_sense_are_named(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A malformed recipient, no key, two kinds of key, an empty passphrase and too large a dump for one are misconfigured."""
    with pytest.raises(Misconfigured, match="Recipient 2 is not an age public key"):
        require_recipients([pair[1], "age1nonsense"])
    for options in ({}, {"recipients": [pair[1]], "passphrase": "x"}, {"passphrase": ""}):
        with pytest.raises(Misconfigured):
            encrypt(io.BytesIO(b"abc"), io.BytesIO(), **options)  # type: ignore[arg-type]  # one of each kind
    monkeypatch.setattr(age_encryption, "PASSPHRASE_LIMIT", 2)
    with pytest.raises(Misconfigured, match="more than 2 bytes"):
        encrypt(io.BytesIO(b"abc"), io.BytesIO(), passphrase="x")


def test_a_large_sealed_file_is_not_taken_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase file is opened in memory, so a huge one is refused before that."""
    monkeypatch.setattr(age_encryption, "PASSPHRASE_LIMIT", 100)
    with pytest.raises(DumpRefused, match="too large"):
        list(decrypted("x", age_encryption.MAGIC + age_encryption.SCRYPT, io.BytesIO(bytes(1000)), passphrase="x"))
