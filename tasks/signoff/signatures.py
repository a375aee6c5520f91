"""SSH signatures: parsed strictly, and verified with the keys of one lead. The format is OpenSSH's PROTOCOL.sshsig."""

import base64
import hashlib
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sshsig
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tasks.signoff.leads import Lead, LeadKey

NAMESPACE = "understudy-approval"  # the purpose: a signature for e-mail or git is not accepted
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
LONGEST = 8192  # characters; a signature by RSA of 16384 bits has fewer
CHECKED_WITHIN = 20  # seconds for ssh-keygen
NEITHER = "The proof is neither six digits nor a whole SSH signature."

MAGIC, VERSION = b"SSHSIG", 1
HASHES = (b"sha256", b"sha512")
# Key types that are verified here, with the signature algorithms that belong to them. RSA with SHA-1 is not one.
OURS = {"ssh-ed25519": (b"ssh-ed25519",), "ssh-rsa": (b"rsa-sha2-512", b"rsa-sha2-256")}
TOUCHED = 0x01  # flag of a security key: somebody touched it


class BadProof(Exception):
    """The proof does not show that the named lead gave this answer. The message contains the reason, never what was typed."""


@dataclass(frozen=True)
class _Signature:
    """The parts of an SSH signature. `rest` is what a security key adds after the signature proper."""

    public_key: bytes
    namespace: bytes
    algorithm: bytes
    rest: bytes


def one_line(typed: str) -> str:
    """Return the body of an SSH signature on one line, from its armoured text or its body, with any white space.

    Raises `BadProof` for anything else, and for a second spelling of the same bytes.
    """
    if len(typed) > LONGEST:
        raise BadProof(NEITHER)
    body = " ".join(typed.split()).removeprefix(BEGIN).removesuffix(END).replace(" ", "")
    try:
        raw = base64.b64decode(body, validate=True)
    except ValueError:
        raise BadProof(NEITHER) from None
    # Base64 ignores bits at the end; with them, one signature would have many bodies.
    if not raw.startswith(MAGIC) or base64.b64encode(raw).decode() != body:
        raise BadProof(NEITHER)
    return body


def verify_signature(lead: Lead, body: str, message: bytes, *, namespace: str, at: datetime) -> None:
    """Require that `body` is a signature over `message` by a key that is listed for this lead and counts at `at` (aware).

    Ed25519 and RSA are verified here, other types by ssh-keygen if this worker has it. Raises `BadProof`.
    """
    body = one_line(body)
    try:
        parts = _parse(base64.b64decode(body))
    except (ValueError, struct.error):
        raise BadProof(NEITHER) from None
    key = next((key for key in lead.keys if key.blob == parts.public_key), None)
    if key is None:
        raise BadProof(f"The signature is not by a key that is listed for {lead.name} in the leads file.")
    if not key.valid_at(at):
        raise BadProof(f"The key that signed counted until {key.valid_before}; list a newer one in the leads file.")
    if parts.namespace != namespace.encode():
        raise BadProof(f"The signature is for another purpose; sign with `-n {namespace}`.")
    good = (
        _verify(key, body, message, namespace)
        if key.kind in OURS
        else _verify_with_ssh_keygen(key, parts, body, message, namespace)
    )
    if not good:
        raise BadProof("The signature is over something else: sign this decision on this plan, as the sheet shows it.")


def _parse(raw: bytes) -> _Signature:
    """Parse a signature, and refuse what the library does not check. Raises `ValueError` and `struct.error`."""
    if raw[: len(MAGIC)] != MAGIC or struct.unpack_from(">I", raw, len(MAGIC)) != (VERSION,):
        raise ValueError("not an SSH signature of version 1")
    (public_key, namespace, reserved, hashed, signature), rest = _strings(raw[len(MAGIC) + 4 :], 5)
    if reserved or rest or hashed not in HASHES:
        raise ValueError("reserved bytes, bytes at the end, or a hash that is not part of SSHSIG")
    (algorithm, _), rest = _strings(signature, 2)
    (kind,), _ = _strings(public_key, 1)
    if kind.decode() in OURS and (rest or algorithm not in OURS[kind.decode()]):
        raise ValueError("bytes at the end, or an algorithm of another type of key")
    return _Signature(public_key, namespace, algorithm, rest)


def _strings(data: bytes, count: int) -> tuple[list[bytes], bytes]:
    """Return the first strings of SSH's wire format (RFC 4251), and the rest of the data."""
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from(">I", data)
        if len(data) < 4 + length:
            raise ValueError("a string ends too early")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found, data


def _verify(key: LeadKey, body: str, message: bytes, namespace: str) -> bool:
    try:
        sshsig.verify(message, _armoured(body), [sshsig.PublicKey.from_openssh_str(key.key)], namespace)
    except (sshsig.InvalidSignature, NotImplementedError, ValueError):
        return False
    return True


def _verify_with_ssh_keygen(key: LeadKey, parts: _Signature, body: str, message: bytes, namespace: str) -> bool:
    """Return whether ssh-keygen verifies it. A security key must have been touched, or a program on the machine could sign."""
    if key.kind.startswith("sk-") and not (parts.rest and parts.rest[0] & TOUCHED):
        raise BadProof("The security key signed without being touched; use a key that requires a touch.")
    program = shutil.which("ssh-keygen")
    if program is None:
        raise BadProof(
            f"This worker cannot check {key.kind}: it has no ssh-keygen. Use an Ed25519 or RSA key, or a code."
        )
    with tempfile.TemporaryDirectory(prefix="understudy-") as folder:
        allowed, file = Path(folder, "allowed"), Path(folder, "signature")
        allowed.write_text(f'lead namespaces="{namespace}" {" ".join(key.key.split()[:2])}\n', encoding="ascii")
        file.write_text(_armoured(body), encoding="ascii")
        command = [program, "-Y", "verify", "-f", str(allowed), "-I", "lead", "-n", namespace, "-s", str(file)]
        try:
            checked = subprocess.run(  # noqa: S603  # a list of arguments, nothing typed among them, and no shell
                command, input=message, capture_output=True, timeout=CHECKED_WITHIN, check=False, env={"LC_ALL": "C"}
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BadProof(f"ssh-keygen could not check the signature ({type(error).__name__}); try again.") from None
    return checked.returncode == 0


def _armoured(body: str) -> str:
    lines = (body[start : start + 70] for start in range(0, len(body), 70))  # as ssh-keygen breaks them
    return "\n".join([BEGIN, *lines, END, ""])


def sign(private_key: Ed25519PrivateKey, message: bytes, *, namespace: str = NAMESPACE) -> str:
    """The signature that `ssh-keygen -Y sign` would make, as its body on one line: for the sandbox and for tests."""
    purpose, hashed = namespace.encode(), hashlib.sha512(message).digest()
    signature = private_key.sign(MAGIC + b"".join(map(_string, (purpose, b"", b"sha512", hashed))))
    wrapped = _string(b"ssh-ed25519") + _string(signature)
    blob = base64.b64decode(_public(private_key).split()[1])
    raw = MAGIC + struct.pack(">I", VERSION) + b"".join(map(_string, (blob, purpose, b"", b"sha512", wrapped)))
    return base64.b64encode(raw).decode()


def new_key() -> tuple[Ed25519PrivateKey, str]:
    """Return a new Ed25519 key, and its public key as a line for the leads file."""
    private_key = Ed25519PrivateKey.generate()
    return private_key, _public(private_key)


def _public(private_key: Ed25519PrivateKey) -> str:
    return private_key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
