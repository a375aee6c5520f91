"""The leads of the sandbox: two approvers, enrolled at the first start, whose codes and keys are in the sandbox's folder.

A real lead's secret is on a phone and the key in an agent. Here a newcomer can answer with one command.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)

from tasks.signoff.enrolment import enrol
from tasks.signoff.leads import load_leads
from tasks.signoff.proofs import NAMESPACE, new_key, sign
from tasks.signoff.standing import NAMESPACE as STANDING
from tasks.signoff.standing import sign_standing, statement_of

LEAD, SECOND = "Demo Lead", "Second Lead"
LEAD_EMAIL = "demo@schulfest.example"
STEP = 30  # seconds of one code
MINUTE, MONTH = timedelta(minutes=1), timedelta(days=30)


class Leads:
    """Two enrolled leads in the folder `state`, created if they do not exist."""

    def __init__(self, state: Path) -> None:
        self.leads_file, self.codes_file = state / "leads.yaml", state / "codes.yaml"
        self.standing_file = state / "standing.yaml"
        self._keys = state / "keys"
        self._used: set[tuple[str, int]] = set()

    def enrol(self) -> None:
        """Enrol both leads and store their private keys."""
        self._keys.mkdir(mode=0o700, exist_ok=True)
        for name in (LEAD, SECOND):
            if self.key_file(name=name).exists():
                continue
            private, public = new_key()
            email = f"{name.split()[0].lower()}@schulfest.example"
            enrol(self.leads_file, self.codes_file, name=name, email=email, key=public)
            self.key_file(name=name).touch(mode=0o600)
            self.key_file(name=name).write_bytes(
                private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
            )

    def add_passkey(self, line: str) -> None:
        """Add the line of a passkey, as the desk shows it, to the demo lead's entry. Raise `Misconfigured` for any other text."""
        passkey = line.removeprefix("- ")
        enrol(self.leads_file, self.codes_file, name=LEAD, email=LEAD_EMAIL, passkey=passkey, codes=False)

    def sign_standing(self, template: Path) -> None:
        """Write the project's standing approvals for a month from today, signed by the demo lead.

        Their window is open all day but one minute. Each start writes new entries, because an entry allows one run a night.
        """
        now = datetime.now(UTC)
        entries: list[dict[str, Any]] = yaml.safe_load(template.read_text(encoding="utf-8"))
        for entry in entries:
            entry |= {
                "issuer": LEAD, "issued": now.date(), "until": now.date() + MONTH, "zone": "UTC",
                "window": {"from": f"{now:%H:%M}", "to": f"{now - MINUTE:%H:%M}"},
                "reason": f"{entry['reason']} Signed at {now:%H:%M:%S} UTC.",
            }  # fmt: skip
        self.standing_file.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")
        for number in range(1, len(entries) + 1):
            statement = statement_of(self.standing_file, number)
            sign_standing(self.standing_file, number, self.sign(statement, namespace=STANDING))

    def sign(self, message: bytes, *, name: str = LEAD, namespace: str = NAMESPACE) -> str:
        """Return the lead's SSH signature over a message, on one line."""
        private = load_ssh_private_key(self.key_file(name=name).read_bytes(), password=None)
        assert isinstance(private, Ed25519PrivateKey)  # noqa: S101  # it was made so, a few lines above
        return sign(private, message, namespace=namespace)

    def code(self, *, name: str = LEAD) -> tuple[str, float]:
        """Return the lead's current code, and the seconds until the next one."""
        leads = load_leads(self.leads_file, self.codes_file)
        lead = leads.find(name)
        secret = leads.secret(lead) if lead else None
        assert secret is not None  # noqa: S101  # enrolled at the start
        now = time.time()
        return pyotp.TOTP(secret, interval=STEP).at(int(now)), STEP - now % STEP

    def fresh_code(self, *, name: str = LEAD) -> str:
        """Return a code that was not used before; wait for the next one if necessary."""
        while (name, int(time.time()) // STEP) in self._used:
            time.sleep(0.5)
        self._used.add((name, int(time.time()) // STEP))
        return self.code(name=name)[0]

    def key_file(self, *, name: str = LEAD) -> Path:
        """Return the path of the lead's private SSH key, without a passphrase, for `understudy approve --key`."""
        return self._keys / f"{name.split()[0].lower()}_ed25519"
