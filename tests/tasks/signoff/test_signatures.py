"""SSH signatures: only one by a lead's key, over this statement and for this purpose, is accepted."""

import base64
import hashlib
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.signoff.leads import Lead, LeadKey
from tasks.signoff.proofs import statement
from tasks.signoff.signatures import BEGIN, END, NAMESPACE, BadProof, new_key, one_line, sign, verify_signature

NOW = datetime(2026, 11, 21, 12, 0, 10, tzinfo=UTC)
FINGERPRINT = "1f" * 32
# A fixed key: names of tests contain what it signs, and must be the same in every process.
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
ANNA = Lead(name="Anna Lead", email="a@x.example", keys=(LeadKey(key=PUBLIC),))
MESSAGE = statement("approve", FINGERPRINT, NOW)
BODY = sign(PRIVATE, MESSAGE)


def require_good(typed: str, *, lead: Lead = ANNA, message: bytes = MESSAGE) -> None:
    """Raise `BadProof` unless this is the lead's signature over this message."""
    verify_signature(lead, typed, message, namespace=NAMESPACE, at=NOW)


def wrapped(body: str, width: int, between: str) -> str:
    """Return the armoured text with lines of this width and this separator."""
    lines = [body[start : start + width] for start in range(0, len(body), width)]
    return between.join([BEGIN, *lines, END])


@pytest.mark.parametrize(
    "typed",
    [
        BODY, f"  {BODY}\n", wrapped(BODY, 70, "\n"), wrapped(BODY, 76, "\r\n"), wrapped(BODY, 70, " "), wrapped(BODY, 70, ""),
    ],
)  # fmt: skip
def test_a_signature_may_have_any_layout(typed: str) -> None:
    """It may be armoured or not, with any white space; its body on one line is stored."""
    assert one_line(typed) == BODY
    require_good(typed)


@settings(max_examples=50)
@given(st.integers(0, len(MESSAGE) - 1), st.integers(1, 255))
def test_any_altered_byte_of_the_statement_is_refused(position: int, change: int) -> None:
    """A signature does not verify over a statement with another byte."""
    altered = bytearray(MESSAGE)
    altered[position] ^= change
    with pytest.raises(BadProof, match="over something else"):
        require_good(BODY, message=bytes(altered))


@settings(max_examples=50)
@given(
    st.sampled_from(["approve", "reject", "arrived:a@x.example"]),
    st.sampled_from([FINGERPRINT, FINGERPRINT[:-1] + "0"]),
    st.integers(-(10**6), 10**6),
)
def test_a_signature_covers_one_decision_on_one_plan_until_one_moment(
    decision: str, fingerprint: str, seconds: int
) -> None:
    """It does not verify with another decision, plan or deadline."""
    message = statement(decision, fingerprint, NOW + timedelta(seconds=seconds))
    if message == MESSAGE:
        require_good(BODY, message=message)
    else:
        with pytest.raises(BadProof, match="over something else"):
            require_good(BODY, message=message)


@given(st.integers(0, len(base64.b64decode(BODY)) - 1), st.integers(1, 255))
def test_any_altered_byte_of_the_signature_is_refused(position: int, change: int) -> None:
    """Every byte of its parts and lengths is checked."""
    altered = bytearray(base64.b64decode(BODY))
    altered[position] ^= change
    with pytest.raises(BadProof):
        require_good(base64.b64encode(altered).decode())


@given(st.integers(0, len(BODY) - 1), st.characters(min_codepoint=33, max_codepoint=0x2FF))
def test_a_signature_has_one_body(position: int, letter: str) -> None:
    """Unused bits of base64 and ignored characters do not make another accepted body."""
    if letter.isspace() or letter == BODY[position]:
        return
    with pytest.raises(BadProof):
        require_good(BODY[:position] + letter + BODY[position + 1 :])


@pytest.mark.parametrize("namespace", ["git", "file", "understudy-standing", NAMESPACE + "x"])
def test_a_signature_for_another_purpose_is_refused(namespace: str) -> None:
    """The error contains the option with which to sign."""
    other = sign(PRIVATE, MESSAGE, namespace=namespace)
    with pytest.raises(BadProof, match=f"sign with `-n {NAMESPACE}`"):
        require_good(other)
    verify_signature(ANNA, other, MESSAGE, namespace=namespace, at=NOW)


def test_each_key_of_a_lead_may_sign() -> None:
    """A lead may have several keys."""
    private, public = new_key()
    anna = ANNA.model_copy(update={"keys": (*ANNA.keys, LeadKey(key=public))})
    require_good(sign(private, MESSAGE), lead=anna)


def parts(body: str) -> list[bytes]:
    """Return the five strings of a signature."""
    raw, found = base64.b64decode(body)[10:], []
    while raw:
        length = int.from_bytes(raw[:4], "big")
        found.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    return found


def string(data: bytes) -> bytes:
    """Return bytes with their length before them."""
    return len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize(
    ("number", "value"),
    [(2, b"later"), (3, b"md5"), (3, b"SHA512"), (3, b"shake_128"), (4, None), (4, string(b"ssh-rsa") + string(b"x"))],
)
def test_what_the_library_does_not_check_is_refused(number: int, value: bytes | None) -> None:
    """Reserved bytes, a weak hash, bytes after the signature and the algorithm of another type are refused."""
    changed = parts(BODY)
    changed[number] = changed[number] + b"\0" if value is None else value
    raw = b"SSHSIG\0\0\0\1" + b"".join(map(string, changed))
    with pytest.raises(BadProof, match="neither"):
        require_good(base64.b64encode(raw).decode())


def test_joining_the_parts_makes_the_signature() -> None:
    """Splitting and joining a signature changes nothing, so the test above alters one part only."""
    assert base64.b64encode(b"SSHSIG\0\0\0\1" + b"".join(map(string, parts(BODY)))).decode() == BODY


def hardware_signature(private: Ed25519PrivateKey, message: bytes, *, flags: int = 1) -> tuple[LeadKey, str]:
    """Return a security key and the body of its signature. Source: OpenSSH, PROTOCOL.u2f."""
    kind, application = b"sk-ssh-ed25519@openssh.com", b"ssh:"
    blob = string(kind) + string(private.public_key().public_bytes_raw()) + string(application)
    tail = bytes([flags]) + (7).to_bytes(4, "big")
    head = (NAMESPACE.encode(), b"", b"sha512")
    signed = b"SSHSIG" + b"".join(map(string, (*head, hashlib.sha512(message).digest())))
    signature = private.sign(hashlib.sha256(application).digest() + tail + hashlib.sha256(signed).digest())
    whole = string(kind) + string(signature) + tail
    raw = b"SSHSIG\0\0\0\1" + b"".join(map(string, (blob, *head, whole)))
    key = LeadKey(key=f"{kind.decode()} {base64.b64encode(blob).decode()}")
    return key, base64.b64encode(raw).decode()


def holder(key: LeadKey) -> Lead:
    """Return a lead with this key."""
    return Lead(name="Cleo Lead", email="c@x.example", keys=(key,))


def test_without_ssh_keygen_some_keys_cannot_be_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without OpenSSH reports that for a security key, and accepts Ed25519."""
    monkeypatch.setenv("PATH", "")
    key, body = hardware_signature(PRIVATE, MESSAGE)
    with pytest.raises(BadProof, match=r"cannot check sk-ssh-ed25519@openssh\.com: it has no ssh-keygen"):
        require_good(body, lead=holder(key))
    require_good(BODY)


def test_a_proof_is_refused_if_ssh_keygen_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The time of ssh-keygen is limited."""
    slow = tmp_path / "ssh-keygen"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("tasks.signoff.signatures.CHECKED_WITHIN", 0.2)
    key, body = hardware_signature(PRIVATE, MESSAGE)
    with pytest.raises(BadProof, match="could not check the signature"):
        require_good(body, lead=holder(key))


openssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")


def ssh_keygen(*arguments: str, message: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen."""
    return subprocess.run(["ssh-keygen", *arguments], input=message, capture_output=True, check=False, timeout=30)


@openssh
@pytest.mark.parametrize("kind", [("ed25519",), ("rsa", "-b", "2048"), ("ecdsa",), ("ecdsa", "-b", "521")])
def test_signatures_by_ssh_keygen_are_accepted(kind: tuple[str, ...], tmp_path: Path) -> None:
    """Each type of key is accepted, and refused over another statement."""
    made = ssh_keygen("-q", "-t", *kind, "-N", "", "-C", "cleo@laptop", "-f", str(tmp_path / "key"))
    assert made.returncode == 0, made.stderr
    signed = ssh_keygen("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(tmp_path / "key"), message=MESSAGE)
    cleo = holder(LeadKey(key=(tmp_path / "key.pub").read_text().strip()))
    require_good(signed.stdout.decode(), lead=cleo)
    with pytest.raises(BadProof, match="over something else"):
        require_good(signed.stdout.decode(), lead=cleo, message=MESSAGE.replace(b"approve ", b"reject "))


@openssh
def test_ssh_keygen_accepts_our_signatures(tmp_path: Path) -> None:
    """Anybody can verify the ledger's signatures with OpenSSH and git."""
    (tmp_path / "allowed").write_text(f"anna {PUBLIC}\n")
    (tmp_path / "body").write_text(wrapped(BODY, 70, "\n") + "\n")
    ask = ("-Y", "verify", "-f", str(tmp_path / "allowed"), "-I", "anna", "-n", NAMESPACE, "-s", str(tmp_path / "body"))
    assert ssh_keygen(*ask, message=MESSAGE).returncode == 0
    assert ssh_keygen(*ask, message=MESSAGE + b"x").returncode != 0


@openssh
def test_a_security_key_must_be_touched() -> None:
    """A valid signature that was made without a touch is refused."""
    key, touched = hardware_signature(PRIVATE, MESSAGE)
    require_good(touched, lead=holder(key))
    with pytest.raises(BadProof, match="without being touched"):
        require_good(hardware_signature(PRIVATE, MESSAGE, flags=0)[1], lead=holder(key))
    with pytest.raises(BadProof, match="over something else"):
        require_good(hardware_signature(PRIVATE, MESSAGE + b"x")[1], lead=holder(key))
