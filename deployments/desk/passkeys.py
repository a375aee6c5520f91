"""Enrolment of a passkey: check what the browser made, and show the line of the leads file that another lead reviews."""

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from deployments.desk.reading import Sources
from tasks.estate.errors import Misconfigured
from tasks.signoff.passkey_entries import ALGORITHMS, Passkey, encoded

AGAIN = "Nothing was enrolled. Try again on this page."


@dataclass(frozen=True)
class Enrolled:
    """A new passkey: its line of the leads file, and the command that adds it."""

    line: str
    command: str


def challenge_of(token: str) -> str:
    """Return the challenge of an enrolment in base64url: that of the browser to which the token was given."""
    return encoded(hashlib.sha256(b"enrol " + token.encode()).digest())


def enrolled(given: Mapping[str, str], token: str, sources: Sources) -> Enrolled:
    """Return the line of the passkey that a browser made. Raises `Misconfigured` if it is not one that could be used here."""
    from webauthn import verify_registration_response
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    response = {"clientDataJSON": given.get("client", ""), "attestationObject": given.get("attestation", "")}
    raw = given.get("credential", "")
    try:
        made = verify_registration_response(
            credential={"id": raw, "rawId": raw, "type": "public-key", "response": response},
            expected_challenge=base64url_to_bytes(challenge_of(token)),
            expected_rp_id=sources.host,
            expected_origin=sources.origin,
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(each) for each in ALGORITHMS],
        )
        passkey = Passkey(
            credential=encoded(made.credential_id),
            public_key=encoded(made.credential_public_key),
            relying_party=sources.host,
            origin=sources.origin,
            counter=made.sign_count,
        )
    except Exception:  # what a browser sent: the library lets out whatever its parsers raise
        raise Misconfigured("The browser made no passkey that this desk can use.", next_step=AGAIN) from None
    line = json.dumps(
        passkey.model_dump(exclude_none=True)
    )  # which is YAML too, and has no quotes that a shell would read
    names = f"{shlex.quote(given.get('name', ''))} --email {shlex.quote(given.get('email', ''))}"
    return Enrolled(f"- {line}", f"understudy leads enrol {names} --no-codes --passkey {shlex.quote(line)}")
