"""Proofs from a terminal: six digits that are never shown, or an SSH signature made on this machine."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from deployments.cli.output import print_aside, prompt
from tasks.estate.errors import Misconfigured
from tasks.signoff.proofs import NAMESPACE, sign

DIGITS = re.compile("[0-9]{6}")


@dataclass(frozen=True)
class Credentials:
    """How a lead proves who they are: six digits or an SSH key. Without either, the digits are asked for."""

    code: str = ""
    key: Path | None = None

    def __post_init__(self) -> None:
        if self.code and self.key:
            raise typer.BadParameter("Use --code or --key, not both.")
        if self.code and (why := not_digits(self.code)):
            raise typer.BadParameter(f"--code: {why}")
        if self.key is not None and not self.key.expanduser().exists():
            raise typer.BadParameter(f"--key: {self.key} does not exist.")

    @property
    def given(self) -> bool:
        """Whether a code or key was given as an option."""
        return bool(self.code or self.key)

    def prove(self, message: bytes) -> str:
        """Return the digits, or the signature of the message on one line."""
        if self.key is not None:
            return sign_with(self.key, message, namespace=NAMESPACE)
        return self.code or prompt("Six digits of your authenticator", hidden=True, refused=not_digits)


def not_digits(typed: str) -> str:
    """Return why this is no one-time code, or an empty string. The text is not repeated: it may be a secret."""
    return "" if DIGITS.fullmatch("".join(typed.split())) else "This is not a code; expected six digits."


def sign_with(key: Path, message: bytes, *, namespace: str) -> str:
    """Return the body of an SSH signature, on one line. Raise `Misconfigured` if the key cannot sign.

    `ssh-keygen` signs, so that agents, hardware keys and passphrases work and the key is not read here. Without it, an
    Ed25519 key without a passphrase is required.
    """
    path = key.expanduser()
    program = shutil.which("ssh-keygen")
    if program is None:
        return sign(_read(path), message, namespace=namespace)
    print_aside(f"Signing with {path} …")
    # Its standard error is the terminal's, where a hardware key asks to be touched. Neither message nor key is in argv.
    made = subprocess.run(  # noqa: S603  # the program that the lead's own PATH names, with a path that the lead typed
        [program, "-q", "-Y", "sign", "-n", namespace, "-f", str(path)],
        input=message,
        stdout=subprocess.PIPE,
        check=False,
    )
    if made.returncode != 0:
        raise Misconfigured(
            f"ssh-keygen did not sign with {path} (exit code {made.returncode}).",
            next_step="Nothing was sent. Check the path, the passphrase and the agent, or use --code.",
        )
    return "".join(line for line in made.stdout.decode("ascii").splitlines() if not line.startswith("-----"))


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it has a passphrase
        raise _unusable(path, type(error).__name__) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, type(key).__name__)
    return key


def _unusable(path: Path, found: str) -> Misconfigured:
    return Misconfigured(
        f"{path} cannot sign here ({found}); without ssh-keygen, an Ed25519 key without a passphrase is expected.",
        next_step="Nothing was sent. Install OpenSSH's ssh-keygen, or use --code.",
    )
