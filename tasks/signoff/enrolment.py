"""Enrolment: a new lead, or a new secret, key or passkey for one, in the two files of the leads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp
import yaml
from pydantic import ValidationError

from tasks.configuration.reviewed_files import NewText, replace_files
from tasks.estate.errors import Misconfigured
from tasks.signoff.leads import Lead, LeadKey, Leads, load_leads, plain_name
from tasks.signoff.passkey_entries import Passkey

ISSUER = "Understudy"  # the name that the authenticator on the phone shows


@dataclass(frozen=True)
class Enrolment:
    """An enrolled lead. `secret` (base32) and `uri` (otpauth://, for a QR code) are for the lead only, and "" without a new one."""

    lead: Lead
    secret: str
    uri: str


def enrol(
    leads_file: Path, codes_file: Path, *, name: str, email: str, key: str = "", passkey: str = "", codes: bool = True
) -> Enrolment:
    """Add a lead, or replace the secret of an existing one; add `key` and `passkey`, a line of YAML. Writes both files.

    `codes=False` makes no secret: for another key or passkey, or for leads who always sign. A suspended lead stays suspended.
    Comments at the head of the leads file are kept, others are lost. Raises `Misconfigured`, before anything is written, if a
    file would be wrong or the name is enrolled with another e-mail, because that may be another person.
    """
    leads, made = enrolled(
        load_leads(leads_file, codes_file), name=name, email=email, key=key, passkey=passkey, codes=codes
    )
    codes_text = NewText(codes_file, text_of_codes(leads), 0o600)
    replace_files(NewText(leads_file, text_of_leads(leads, leads_file), 0o644), *([codes_text] if made.secret else []))
    return made


def enrolled(
    before: Leads, *, name: str, email: str, key: str = "", passkey: str = "", codes: bool = True
) -> tuple[Leads, Enrolment]:
    """Return the leads with one more, or with a new secret, key or passkey for one. Raise as `enrol`; nothing is written."""
    known = next((lead for lead in before.everybody if plain_name(lead.name) == plain_name(name)), None)
    if known is not None and known.email.casefold() != email.casefold():
        raise Misconfigured(f"{known.name} is enrolled with another e-mail; expected that one, or another name.")
    lead = _with_keys(known, name=" ".join(name.split()), email=email, key=key, passkey=passkey)
    secret = pyotp.random_base32() if codes else ""
    everybody = [lead if each is known else each for each in before.everybody] + ([] if known else [lead])
    secrets = _secrets(before) | ({lead.name: secret} if secret else {})
    uri = pyotp.TOTP(secret).provisioning_uri(name=lead.email, issuer_name=ISSUER) if secret else ""
    return Leads(everybody, secrets), Enrolment(lead, secret, uri)


def text_of_leads(leads: Leads, path: Path) -> str:
    """Return the text of a leads file, with the comments at the head of the one that it replaces."""
    return _head(path) + _as_yaml([_entry(each) for each in leads.everybody])


def text_of_codes(leads: Leads) -> str:
    """Return the text of a codes file."""
    return _as_yaml(_secrets(leads))


def _secrets(leads: Leads) -> dict[str, str]:
    return {each.name: held for each in leads.everybody if (held := leads.secret(each))}


def _with_keys(known: Lead | None, *, name: str, email: str, key: str, passkey: str) -> Lead:
    """Return the lead with this key and this passkey, unless it has them already."""
    try:
        lead = known or Lead(name=name, email=email)
        added = Lead(
            name=lead.name,
            email=lead.email,
            keys=(LeadKey(key=key),) if key else (),
            passkeys=(Passkey.model_validate(_line(passkey)),) if passkey else (),
        )
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        raise Misconfigured(
            f"{(wrong['loc'] or ['passkey'])[0]}: {wrong['msg'].removeprefix('Value error, ')}."
        ) from None
    keys = [each for each in added.keys if ("key", each.blob) not in lead.proofs]
    passkeys = [each for each in added.passkeys if ("passkey", each.id) not in lead.proofs]
    return lead.model_copy(update={"keys": (*lead.keys, *keys), "passkeys": (*lead.passkeys, *passkeys)})


def _line(passkey: str) -> Any:
    """Return what the line of a passkey contains, with or without the dash of a list."""
    try:
        return yaml.safe_load(passkey.strip().removeprefix("- "))
    except yaml.YAMLError:
        raise Misconfigured("The line of the passkey is not YAML; expected the line that the desk shows.") from None


def _entry(lead: Lead) -> dict[str, Any]:
    fields = lead.model_dump(exclude_defaults=True)
    return fields | {name: list(fields[name]) for name in ("keys", "passkeys") if name in fields}


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)  # a key stays on its line


def _head(path: Path) -> str:
    """Return the comments before the first entry."""
    if not path.exists():
        return ""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            break
        kept.append(line)
    return "\n".join([*kept, ""]) if kept else ""
