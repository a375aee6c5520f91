"""Leads: the people who may answer, from a reviewed file. The secrets of their one-time codes are in a file of the worker's own."""

import base64
import copy
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyotp
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from pydantic import Field, field_validator, model_validator

from tasks.configuration.reviewed_files import parse, read_entries
from tasks.estate.errors import Misconfigured
from tasks.estate.sites import Immutable
from tasks.signoff.passkey_entries import Passkey

SECRET = re.compile(r"[A-Z2-7]{26,128}")  # base32; RFC 4226 requires at least 128 bits, and 26 characters have 130
SHORTEST_RSA = 2048  # bits, as ssh-keygen requires
KINDS = (
    "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip


class LeadKey(Immutable):
    """One OpenSSH public key of a lead, as in a `.pub` file. It counts until the day `valid_before` begins (UTC)."""

    key: str
    valid_before: date | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_line(cls, given: Any) -> Any:
        return {"key": given} if isinstance(given, str) else given

    @field_validator("key")
    @classmethod
    def _usable(cls, line: str) -> str:
        words = line.split()
        if len(words) < 2 or words[0] not in KINDS:
            raise ValueError(f"expected the line of a .pub file; one of {', '.join(KINDS)}, then the key")
        try:
            public = load_ssh_public_key(" ".join(words[:2]).encode())
            base64.b64decode(words[1], validate=True)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(f"this is not a whole {words[0]} public key") from error
        if isinstance(public, RSAPublicKey) and public.key_size < SHORTEST_RSA:
            raise ValueError(f"an RSA key of {public.key_size} bits is too short; at least {SHORTEST_RSA}")
        return " ".join(words)

    @property
    def kind(self) -> str:
        """The key's type, like `ssh-ed25519`."""
        return self.key.split()[0]

    @property
    def blob(self) -> bytes:
        """The key in the form in which a signature contains it."""
        return base64.b64decode(self.key.split()[1])

    def valid_at(self, moment: datetime) -> bool:
        """Return whether the key counts at this moment (aware)."""
        return self.valid_before is None or moment.astimezone(UTC).date() < self.valid_before


class Lead(Immutable):
    """One person who may approve, unless `suspended`."""

    name: str = Field(min_length=3, max_length=80)
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    keys: tuple[LeadKey, ...] = ()
    passkeys: tuple[Passkey, ...] = ()
    suspended: bool = False

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.isprintable() or name != " ".join(name.split()):
            raise ValueError("expected one line without surplus spaces")
        return name

    @property
    def proofs(self) -> list[tuple[str, bytes]]:
        """What identifies the lead's keys and passkeys: none of these may be listed twice."""
        return [*(("key", each.blob) for each in self.keys), *(("passkey", each.id) for each in self.passkeys)]


class Leads:
    """All leads, by name. Names are compared as `plain_name` writes them.

    Raises `Misconfigured` if two leads have one name, a key or passkey occurs twice, or somebody who is not a lead has a secret.
    """

    def __init__(self, leads: Iterable[Lead] = (), codes: Mapping[str, str] | None = None) -> None:
        self._leads: dict[str, Lead] = {}
        owners: dict[tuple[str, bytes], str] = {}
        for lead in leads:
            if plain_name(lead.name) in self._leads:
                raise Misconfigured(f"Two leads have the name {lead.name!r}; expected different names.")
            self._leads[plain_name(lead.name)] = lead
            for one in lead.proofs:
                if one in owners:
                    raise Misconfigured(
                        f"A {one[0]} of {lead.name!r} occurs twice; it is also listed for {owners[one]!r}."
                    )
                owners[one] = lead.name
        self._codes: dict[str, str] = {}
        for name, secret in (codes or {}).items():
            if plain_name(name) not in self._leads:
                raise Misconfigured(f"{name!r} has a secret for codes and is not a lead; remove it, or enrol the lead.")
            if plain_name(name) in self._codes:
                raise Misconfigured(f"{name!r} has two secrets for codes; expected one.")
            self._codes[plain_name(name)] = secret
        self._suspended: dict[str, str] = {}

    def without(self, suspended: Mapping[str, str]) -> "Leads":
        """Return a copy in which these leads (name → why, like "is no user of …") may not answer. Unknown names are ignored."""
        leads = copy.copy(self)
        leads._suspended = {plain_name(name): why for name, why in suspended.items()}
        return leads

    def find(self, name: str) -> Lead | None:
        """Return the lead of that name who may answer. None if nobody has it or the lead is suspended; `why_not` explains which."""
        lead = self._leads.get(plain_name(name))
        return lead if lead is not None and self._may(lead) else None

    def why_not(self, name: str) -> str:
        """Return why `find` returns None, or "". Names no other lead, because a stranger may read it."""
        lead = self._leads.get(plain_name(name))
        if lead is None:
            return "Nobody is enrolled as a lead by that name; it is compared with the leads file."
        if lead.suspended:
            return f"{lead.name} is suspended in the leads file; another lead must answer."
        why = self._suspended.get(plain_name(name))
        return f"{lead.name} {why} and is suspended for it; another lead must answer." if why is not None else ""

    def _may(self, lead: Lead) -> bool:
        return not lead.suspended and plain_name(lead.name) not in self._suspended

    def secret(self, lead: Lead) -> str | None:
        """Return the lead's secret for one-time codes (base32), or None."""
        return self._codes.get(plain_name(lead.name))

    @property
    def everybody(self) -> tuple[Lead, ...]:
        """Every enrolled lead, suspended or not, in the order of the file."""
        return tuple(self._leads.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the leads who may answer, in the order of the file."""
        return tuple(lead.name for lead in self._leads.values() if self._may(lead))


def plain_name(name: str) -> str:
    """Return a name without differences in case, spaces and the encoding of accents, for comparison: people type names."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def load_leads(leads_file: Path, codes_file: Path) -> Leads:
    """Return the leads. Without the leads file nobody may answer; without the codes file nobody has codes.

    Raises `Misconfigured`, which names the file and the wrong entry, also if others can read the codes file.
    """
    leads = read_entries(leads_file, Lead, called="a lead")
    codes = _read_codes(codes_file)
    try:
        return Leads(leads, codes)
    except Misconfigured as wrong:
        raise Misconfigured(f"{leads_file} with {codes_file}: {wrong.message}") from None


def _read_codes(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)  # of the open file, not of its successor
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Misconfigured(
                    f"{path} contains the secrets of one-time codes and has mode {mode:04o}: others can read it.",
                    next_step=f"Run `chmod 600 {path}`, and enrol the leads again if somebody else may have read it.",
                )
            codes = parse(file.read(), path)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {type(error).__name__}.") from error
    if codes is None:
        return {}
    if not isinstance(codes, dict):
        raise Misconfigured(f"{path} contains a {type(codes).__name__}; expected one line per lead, `name: secret`.")
    for number, (name, secret) in enumerate(codes.items(), start=1):
        if not isinstance(name, str) or not isinstance(secret, str) or not _usable_secret(secret):
            raise Misconfigured(f"Entry {number} of {path} is not a name and a base32 secret; enrol that lead again.")
    return codes


def _usable_secret(secret: str) -> bool:
    try:
        return bool(SECRET.fullmatch(secret)) and bool(pyotp.TOTP(secret).byte_secret())
    except ValueError:  # right letters, impossible length
        return False
