"""Entries for passkeys in the leads file: what a reviewer can rely on, and what is refused when the file is read."""

from pathlib import Path
from typing import Any

import cbor2
import pytest
import yaml
from pydantic import ValidationError

from tasks.estate.errors import Misconfigured
from tasks.signoff.enrolment import enrol
from tasks.signoff.leads import Lead, Leads, load_leads
from tests.passkey_device import Device, url64

PHONE = Device("Anna's phone")
SHORT_RSA = cbor2.dumps({1: 3, 3: -257, -1: (2**1023 + 1).to_bytes(128, "big"), -2: b"\1\0\1"})
OTHER_ALGORITHM = cbor2.dumps({1: 2, 3: -35, -1: 2, -2: b"\1" * 48, -3: b"\1" * 48})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"credential": ""}, "id of a credential"),
        ({"credential": "AA=="}, "base64url"),
        ({"credential": url64(b"x" * 1024)}, "id of a credential"), ({"public_key": "AAAA"}, "not a whole COSE"),
        ({"public_key": ""}, "not a whole COSE"), ({"public_key": url64(b"\4" * 65)}, "not a whole COSE"),
        ({"public_key": url64(SHORT_RSA)}, "1024 bits is too short"), ({"public_key": url64(OTHER_ALGORITHM)}, "COSE|ES256"),
        ({"origin": "http://desk.schulfest.example"}, "expected https://"), ({"origin": "desk.example"}, "expected https://"),
        ({"origin": "https://desk.schulfest.example/"}, "without a path"),
        ({"origin": "https://a@desk.schulfest.example"}, "expected"),
        ({"origin": "https://evil.example"}, "does not belong"), ({"origin": "https://evildesk.schulfest.example"}, "does not belong"),
        ({"relying_party": "k.schulfest.example"}, "does not belong"), ({"counter": -1}, "greater than or equal to 0"),
        ({"counter": 2**32}, "less than"), ({"comment": "x"}, "not permitted"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_refused(changes: dict[str, Any], why: str) -> None:
    """Each field that cannot be right, with what was expected."""
    with pytest.raises(ValidationError, match=why):
        PHONE.entry(**changes)


@pytest.mark.parametrize(
    ("relying_party", "origin"),
    [
        ("localhost", "http://localhost:4300"), ("schulfest.example", "https://desk.schulfest.example"),
        ("desk.schulfest.example", "https://desk.schulfest.example:8443"),
    ],
)  # fmt: skip
def test_a_right_entry_is_accepted(relying_party: str, origin: str) -> None:
    """On the machine itself, for a whole domain, and on another port."""
    assert PHONE.entry(relying_party=relying_party, origin=origin).origin == origin


def test_a_passkey_has_one_owner() -> None:
    """Listed twice, it would be two people."""
    anna = Lead(name="Anna Lead", email="a@x.example", passkeys=(PHONE.entry(),))
    ben = Lead(name="Ben Lead", email="b@x.example", passkeys=(PHONE.entry(counter=3),))
    with pytest.raises(Misconfigured, match="A passkey of 'Ben Lead' occurs twice; it is also listed for 'Anna Lead'"):
        Leads([anna, ben])


def test_a_passkey_is_enrolled_from_the_line_that_the_desk_shows(tmp_path: Path) -> None:
    """With or without the dash of the list; the same one again changes nothing, and another enrolment keeps it."""
    files = tmp_path / "leads.yaml", tmp_path / "codes.yaml"
    line = yaml.safe_dump(PHONE.fields, default_flow_style=True, width=10_000).strip()
    anna = {"name": "Anna Lead", "email": "a@x.example", "codes": False}
    for given in (line, f"- {line}", ""):
        enrol(*files, passkey=given, **anna)
    found = load_leads(*files).find("Anna Lead")
    assert found is not None
    assert found.passkeys == (PHONE.entry(),)


@pytest.mark.parametrize("line", ["[", "{credential: AA", "hello", "{credential: AA}"])
def test_a_line_that_is_no_passkey_is_not_enrolled(tmp_path: Path, line: str) -> None:
    """Nothing is written then."""
    files = tmp_path / "leads.yaml", tmp_path / "codes.yaml"
    with pytest.raises(Misconfigured):
        enrol(*files, name="Anna Lead", email="a@x.example", passkey=line, codes=False)
    assert not files[0].exists()
