"""Proofs: one statement, one person, one moment. What is old, borrowed or meant for something else is refused."""

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
# One key for ever: the names of the tests below hold what it signs, and every process must find the same names.
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
ANNA = Lead(name="Anna Lead", email="a@x.example", keys=(LeadKey(key=PUBLIC),))
BEN = Lead(name="Ben Lead", email="b@x.example")
LEADS = Leads([ANNA, BEN], {"Anna Lead": SECRET, "Ben Lead": OTHER})
MESSAGE = statement("approve", FINGERPRINT, NOW)
BODY = sign(PRIVATE, MESSAGE)


def prove(typed: str, *, lead: Lead = ANNA, message: bytes = MESSAGE, given_at: datetime = NOW) -> Proof:
    """Verify what was typed, a little after it was given."""
    return verify(LEADS, lead, typed, message=message, given_at=given_at, now=given_at + timedelta(seconds=9))


def code(seconds: int = 0, secret: str = SECRET) -> str:
    """What the phone shows that many seconds from now."""
    return pyotp.TOTP(secret).at(NOW + timedelta(seconds=seconds))


def test_the_statement_says_everything_that_is_signed() -> None:
    """A fixed first line; then decision, whole fingerprint and deadline: so plain that a person can check it."""
    deadline = datetime.fromisoformat("2026-11-21T20:00:00.123456+01:00")
    said = statement("approve", FINGERPRINT, deadline)
    assert said == f"understudy approval 1\napprove {FINGERPRINT} 2026-11-21T19:00:00Z\n".encode()
    assert statement("arrived:anna@x.example", "f", deadline).split()[3] == b"arrived:anna@x.example"


ANY = st.text(st.characters(exclude_categories=()))  # halves of surrogate pairs too: JSON can carry them


@example("\ud800", "\udc00")
@given(ANY, ANY)
def test_no_two_decisions_have_one_statement(one: str, two: str) -> None:
    """Whatever is typed as a decision stays one word of the second line, and is told from every other."""
    said = [statement(decision, FINGERPRINT, NOW) for decision in (one, two)]
    assert (said[0] == said[1]) == (one == two)
    assert said[0].count(b"\n") == 2
    assert said[0].splitlines()[1].count(b" ") == 2


@pytest.mark.parametrize("offset", [-30, 0, 30])
@pytest.mark.parametrize("spaced", [False, True])
def test_a_code_of_its_moment_is_accepted(offset: int, spaced: bool) -> None:
    """Six digits, with or without spaces, one step to either side; the step is what is used up."""
    digits = code(offset)
    proof = prove(f" {digits[:3]} {digits[3:]}\n" if spaced else digits)
    assert proof == Proof("code", f"code:anna lead:{int(NOW.timestamp()) // 30 + offset // 30}")


@given(st.integers(-100, 100).filter(lambda step: abs(step) > 1))
def test_a_code_of_another_moment_is_refused(step: int) -> None:
    """Old steps and steps to come are refused, unless by chance a code of now has the same digits."""
    if code(step * 30) not in {code(-30), code(), code(30)}:
        with pytest.raises(BadProof, match="not the one that the lead's phone showed"):
            prove(code(step * 30))


def test_a_code_counts_at_the_moment_it_was_given() -> None:
    """A worker that takes the answer up hours later still compares with what the phone showed then."""
    late = NOW + timedelta(hours=5)
    assert verify(LEADS, ANNA, code(), message=MESSAGE, given_at=NOW, now=late).kind == "code"
    with pytest.raises(BadProof):
        verify(LEADS, ANNA, code(), message=MESSAGE, given_at=late, now=late)


@pytest.mark.parametrize("typed", [code(), BODY])
def test_an_answer_from_the_future_is_refused(typed: str) -> None:
    """Whoever can write a date into Prefect cannot choose the moment that suits a code."""
    with pytest.raises(BadProof, match="is in the future"):
        verify(LEADS, ANNA, typed, message=MESSAGE, given_at=NOW, now=NOW - timedelta(seconds=31))
    assert verify(LEADS, ANNA, typed, message=MESSAGE, given_at=NOW, now=NOW - timedelta(seconds=29))


def test_codes_and_keys_are_one_persons() -> None:
    """Another lead's code and another lead's signature prove nothing about this lead."""
    for typed, lead in ((code(secret=OTHER), ANNA), (code(), BEN), (BODY, BEN), (sign(new_key()[0], MESSAGE), ANNA)):
        with pytest.raises(BadProof) as caught:
            prove(typed, lead=lead)
        assert typed not in str(caught.value)


def test_a_lead_without_codes_must_sign() -> None:
    """No secret on this worker: no six digits are right."""
    with pytest.raises(BadProof, match="no one-time codes enrolled"):
        verify(Leads([ANNA]), ANNA, code(), message=MESSAGE, given_at=NOW, now=NOW)


@pytest.mark.parametrize(("at", "good"), [(datetime(2026, 11, 20, 23, 59, 59), True), (datetime(2026, 11, 21), False)])
def test_a_key_counts_until_its_last_day(at: datetime, good: bool) -> None:
    """`valid_before` is the first day, in UTC, on which it does not; the later of given and checked decides."""
    anna = ANNA.model_copy(update={"keys": (LeadKey(key=PUBLIC, valid_before=date(2026, 11, 21)),)})
    given_at, now = datetime(2026, 11, 19, tzinfo=UTC), at.replace(tzinfo=UTC)
    if good:
        assert verify(LEADS, anna, BODY, message=MESSAGE, given_at=given_at, now=now).kind == "signature"
    else:
        with pytest.raises(BadProof, match="counted until 2026-11-21"):
            verify(LEADS, anna, BODY, message=MESSAGE, given_at=given_at, now=now)


@given(st.one_of(ANY, st.binary().map(lambda raw: base64.b64encode(b"SSHSIG\0\0\0\1" + raw).decode())))
def test_whatever_is_typed_is_no_proof(typed: str) -> None:
    """Any text and any bytes end in `BadProof`, which never repeats them."""
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
def test_what_is_neither_is_said_to_be_neither(typed: str) -> None:
    """Too short, too long, digits of another script, bytes at the end: neither six digits nor a whole signature."""
    with pytest.raises(BadProof, match="neither six digits nor a whole SSH signature"):
        prove(typed)
