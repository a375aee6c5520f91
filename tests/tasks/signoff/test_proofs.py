"""Proofs: a code or signature counts for one lead, one statement and one moment only."""

import base64
from datetime import UTC, date, datetime, timedelta

import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.signoff.leads import Lead, LeadKey, Leads
from tasks.signoff.proofs import BadProof, Proof, new_key, sign, statement, verify
from tasks.signoff.signatures import BEGIN, END, LONGEST

NOW = datetime(2026, 11, 21, 12, 0, 10, tzinfo=UTC)
FINGERPRINT = "1f" * 32
SECRET, OTHER = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK"
# A fixed key: names of tests contain what it signs, and must be the same in every process.
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
ANNA = Lead(name="Anna Lead", email="a@x.example", keys=(LeadKey(key=PUBLIC),))
BEN = Lead(name="Ben Lead", email="b@x.example")
LEADS = Leads([ANNA, BEN], {"Anna Lead": SECRET, "Ben Lead": OTHER})
MESSAGE = statement("approve", FINGERPRINT, NOW)
BODY = sign(PRIVATE, MESSAGE)


def prove(typed: str, *, lead: Lead = ANNA, message: bytes = MESSAGE, given_at: datetime = NOW) -> Proof:
    """Verify what was typed, a few seconds after it was given."""
    return verify(LEADS, lead, typed, message=message, given_at=given_at, now=given_at + timedelta(seconds=9))


def code(seconds: int = 0, secret: str = SECRET) -> str:
    """Return the code that the phone shows that many seconds from now."""
    return pyotp.TOTP(secret).at(NOW + timedelta(seconds=seconds))


def test_the_statement_contains_decision_plan_and_deadline() -> None:
    """A fixed first line is followed by the decision, the whole fingerprint and the deadline."""
    deadline = datetime.fromisoformat("2026-11-21T20:00:00.123456+01:00")
    assert (
        statement("approve", FINGERPRINT, deadline)
        == f"understudy approval 1\napprove {FINGERPRINT} 2026-11-21T19:00:00Z\n".encode()
    )
    assert statement("arrived:anna@x.example", "f", deadline).split()[3] == b"arrived:anna@x.example"


ANY = st.text(st.characters(exclude_categories=()))  # halves of surrogate pairs too: JSON can carry them


@example("\ud800", "\udc00")
@given(ANY, ANY)
def test_no_two_decisions_have_one_statement(one: str, two: str) -> None:
    """Any decision is a single word of the second line, and different for different decisions."""
    first, second = (statement(decision, FINGERPRINT, NOW) for decision in (one, two))
    assert (first == second) == (one == two)
    assert first.count(b"\n") == 2
    assert first.splitlines()[1].count(b" ") == 2


@pytest.mark.parametrize("offset", [-30, 0, 30])
@pytest.mark.parametrize("spaced", [False, True])
def test_a_present_code_is_accepted(offset: int, spaced: bool) -> None:
    """Six digits, with or without spaces, may be one step off; the proof contains the step."""
    digits = code(offset)
    proof = prove(f" {digits[:3]} {digits[3:]}\n" if spaced else digits)
    assert proof == Proof("code", f"code:anna lead:{int(NOW.timestamp()) // 30 + offset // 30}")


@given(st.integers(-100, 100).filter(lambda step: abs(step) > 1))
def test_a_code_of_another_time_is_refused(step: int) -> None:
    """Old and future codes are refused, unless a present code has the same digits by chance."""
    if code(step * 30) not in {code(-30), code(), code(30)}:
        with pytest.raises(BadProof, match="not the one that the lead's phone showed"):
            prove(code(step * 30))


def test_a_code_is_compared_with_the_time_of_the_answer() -> None:
    """A worker that reads the answer hours later compares the code with that time."""
    late = NOW + timedelta(hours=5)
    assert verify(LEADS, ANNA, code(), message=MESSAGE, given_at=NOW, now=late).kind == "code"
    with pytest.raises(BadProof):
        verify(LEADS, ANNA, code(), message=MESSAGE, given_at=late, now=late)


@pytest.mark.parametrize("typed", [code(), BODY])
def test_an_answer_from_the_future_is_refused(typed: str) -> None:
    """A date in the future is refused, so that nobody can choose the time for a code."""
    with pytest.raises(BadProof, match="is in the future"):
        verify(LEADS, ANNA, typed, message=MESSAGE, given_at=NOW, now=NOW - timedelta(seconds=31))
    assert verify(LEADS, ANNA, typed, message=MESSAGE, given_at=NOW, now=NOW - timedelta(seconds=29))


def test_the_proof_of_another_lead_is_refused() -> None:
    """A code or signature of another lead proves nothing."""
    for typed, lead in ((code(secret=OTHER), ANNA), (code(), BEN), (BODY, BEN), (sign(new_key()[0], MESSAGE), ANNA)):
        with pytest.raises(BadProof) as caught:
            prove(typed, lead=lead)
        assert typed not in str(caught.value)


def test_a_lead_without_codes_must_sign() -> None:
    """Without a secret on this worker, every code is refused."""
    with pytest.raises(BadProof, match="no one-time codes enrolled"):
        verify(Leads([ANNA]), ANNA, code(), message=MESSAGE, given_at=NOW, now=NOW)


@pytest.mark.parametrize(("at", "good"), [(datetime(2026, 11, 20, 23, 59, 59), True), (datetime(2026, 11, 21), False)])
def test_a_key_expires(at: datetime, good: bool) -> None:
    """From the day `valid_before` (UTC) a key does not count; the later of answer and check decides."""
    anna = ANNA.model_copy(update={"keys": (LeadKey(key=PUBLIC, valid_before=date(2026, 11, 21)),)})
    given_at, now = datetime(2026, 11, 19, tzinfo=UTC), at.replace(tzinfo=UTC)
    if good:
        assert verify(LEADS, anna, BODY, message=MESSAGE, given_at=given_at, now=now).kind == "signature"
    else:
        with pytest.raises(BadProof, match="counted until 2026-11-21"):
            verify(LEADS, anna, BODY, message=MESSAGE, given_at=given_at, now=now)


@given(st.one_of(ANY, st.binary().map(lambda raw: base64.b64encode(b"SSHSIG\0\0\0\1" + raw).decode())))
def test_any_other_text_is_refused(typed: str) -> None:
    """Any text and bytes raise `BadProof`, whose message does not contain them."""
    with pytest.raises(BadProof) as caught:
        prove(typed)
    assert len(typed) < 8 or typed not in str(caught.value)


@pytest.mark.parametrize(
    "typed",
    [
        "", "12345", "1234567", "٣٤٥٦٧٨", "12345a", BODY[:-4], BODY + "AAAA", BODY + BODY, "A" * (LONGEST + 1),
        base64.b64encode(base64.b64decode(BODY) + b"\0").decode(), BODY.rstrip("=") + "====", BEGIN, BEGIN + END,
    ],
)  # fmt: skip
def test_text_that_is_neither_code_nor_signature_is_reported(typed: str) -> None:
    """Too few or too many digits, digits of another script and incomplete signatures have one message."""
    with pytest.raises(BadProof, match="neither six digits nor a whole SSH signature"):
        prove(typed)
