"""Passkeys: an answer counts for one lead, one statement, one desk, and only if a person was verified."""

import json
import struct
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.signoff.leads import Lead, Leads
from tasks.signoff.passkey_entries import decoded, encoded
from tasks.signoff.passkeys import LONGEST, PREFIX, CounterWentBack, body_of, challenge, read_assertion
from tasks.signoff.proofs import BadProof, Proof, statement, verify
from tests.passkey_device import HOST, ORIGIN, PRESENT, VERIFIED, Device, url64

NOW = datetime(2026, 11, 21, 12, 0, 10, tzinfo=UTC)
FINGERPRINT = "1f" * 32
MESSAGE = statement("approve", FINGERPRINT, NOW)
PHONE = Device("Anna's phone")
ANNA = Lead(name="Anna Lead", email="a@x.example", passkeys=(PHONE.entry(),))
BODY = PHONE.sign(MESSAGE)


def prove(typed: str, *, lead: Lead = ANNA, message: bytes = MESSAGE, now: datetime = NOW) -> Proof:
    """Verify what the page sent, as a worker does."""
    return verify(Leads([lead]), lead, typed, message=message, given_at=now, now=now)


def refusal(typed: str, **more: Any) -> str:
    """Return why this answer proves nothing."""
    with pytest.raises(BadProof) as caught:
        prove(typed, **more)
    return str(caught.value)


def owner(device: Device, **instead: Any) -> Lead:
    """Return a lead with this passkey."""
    return Lead(name="Ben Lead", email="b@x.example", passkeys=(device.entry(**instead),))


@pytest.mark.parametrize("algorithm", [-7, -8, -257])
def test_an_answer_to_the_statement_is_a_proof(algorithm: int) -> None:
    """For each algorithm; the proof contains the answer, and the ledger's key of the counter."""
    device = Device("a phone", algorithm)
    lead, body = owner(device), device.sign(MESSAGE)
    assert prove(f" {body}\n", lead=lead) == Proof("passkey", f"passkey:{url64(device.id)}:1", body)


def test_an_authenticator_that_does_not_count_is_accepted() -> None:
    """Phones that synchronise passkeys report 0 always; there is nothing to use up then."""
    device = Device("synchronised", counts=0)
    for _ in range(2):
        assert prove(device.sign(MESSAGE), lead=owner(device)).used == ""


@pytest.mark.parametrize(
    "message",
    [
        statement("reject", FINGERPRINT, NOW), statement("approve+restore", FINGERPRINT, NOW),
        statement("approve", "2f" * 32, NOW), statement("approve", FINGERPRINT, NOW + timedelta(seconds=1)),
    ],
)  # fmt: skip
def test_an_answer_to_another_statement_is_refused(message: bytes) -> None:
    """Another decision, another plan or another deadline is something else."""
    assert "answered something else" in refusal(PHONE.sign(message))


def test_the_passkey_of_somebody_else_is_refused() -> None:
    """It is not listed for this lead, whoever has it."""
    other = Device("Ben's phone")
    assert refusal(other.sign(MESSAGE)) == "The passkey is not one that is listed for Anna Lead in the leads file."
    assert "listed for Ben Lead" in refusal(BODY, lead=owner(other))


def test_another_key_under_a_listed_id_is_refused() -> None:
    """The id is public; the key decides."""
    forged = list(read_assertion(Device("Mallory's key").sign(MESSAGE)).parts)
    forged[0] = PHONE.id
    assert "does not verify" in refusal(body_of(*forged))


@pytest.mark.parametrize(
    ("client", "why"),
    [
        ({"origin": "https://desk.schulfest.example.evil.example"}, "on another page than that of the desk"),
        ({"origin": f"{ORIGIN}:8443"}, "on another page than that of the desk"),
        ({"origin": "http://desk.schulfest.example"}, "on another page than that of the desk"),
        ({"crossOrigin": True}, "on another page than that of the desk"),
        ({"type": "webauthn.create"}, "another kind of request"), ({"challenge": ""}, "answered something else"),
        ({"challenge": url64(challenge(MESSAGE)[:-1])}, "answered something else"),
    ],
)  # fmt: skip
def test_what_the_browser_reports_must_fit(client: dict[str, Any], why: str) -> None:
    """A copy of the page, a page within another page, and an enrolment are refused, each with its reason."""
    assert why in refusal(PHONE.sign(MESSAGE, **client))


def test_an_answer_for_another_host_is_refused() -> None:
    """The authenticator itself signs for which host it answered."""
    device = Device("Anna's phone", relying_party="evil.example")
    assert refusal(device.sign(MESSAGE)) == f"The passkey answered for another host than {HOST}."


@pytest.mark.parametrize("flags", [0, PRESENT, VERIFIED, 0xFA])
def test_a_person_must_have_been_verified(flags: int) -> None:
    """A touch is not enough: a stolen key can be touched."""
    body = Device("Anna's phone", flags=flags & 0x1F).sign(MESSAGE)
    assert "did not check who used it" in refusal(body)


@pytest.mark.parametrize(("counter", "good"), [(6, False), (7, False), (8, True), (2**32 - 1, True)])
def test_the_counter_must_be_higher_than_at_the_enrolment(counter: int, good: bool) -> None:
    """Equal or lower means that there are two of the passkey."""
    lead, device = owner(PHONE, counter=7), Device(PHONE.name, counter=counter - 1)
    if good:
        assert prove(device.sign(MESSAGE), lead=lead).kind == "passkey"
    else:
        with pytest.raises(CounterWentBack, match=f"is {counter}, and 7 was seen before"):
            prove(device.sign(MESSAGE), lead=lead)


def test_a_counter_that_disappears_went_back() -> None:
    """An authenticator that counted at its enrolment and reports 0 now is another one."""
    with pytest.raises(CounterWentBack):
        prove(Device(PHONE.name, counts=0).sign(MESSAGE), lead=owner(PHONE, counter=7))


@pytest.mark.parametrize(("at", "good"), [(datetime(2026, 11, 20, 23, 59, 59), True), (datetime(2026, 11, 21), False)])
def test_a_passkey_expires(at: datetime, good: bool) -> None:
    """From the day `valid_before` (UTC) it does not count."""
    lead, now = owner(PHONE, valid_before=date(2026, 11, 21)), at.replace(tzinfo=UTC)
    if good:
        assert prove(BODY, lead=lead, now=now).kind == "passkey"
    else:
        assert "counted until 2026-11-21" in refusal(BODY, lead=lead, now=now)


PARTS = read_assertion(BODY).parts


@given(st.integers(0, 3), st.data())
def test_no_changed_byte_is_accepted(part: int, data: st.DataObject) -> None:
    """Whichever bits of whichever part change, the answer is refused, and the reason does not contain it."""
    raw = bytearray(PARTS[part])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    changed = body_of(*(bytes(raw) if number == part else each for number, each in enumerate(PARTS)))
    assert changed not in refusal(changed)


@given(st.integers(0, len(BODY) - 1), st.characters(codec="utf-8"))
def test_no_changed_character_is_accepted(position: int, character: str) -> None:
    """There is one spelling of an answer: no other text is accepted for it."""
    changed = BODY[:position] + character + BODY[position + 1 :]
    if changed != BODY:
        refusal(changed)


@given(st.integers(0, 3), st.integers(0, 3), st.sampled_from([b"", b"\0", b"more"]))
def test_parts_of_two_answers_do_not_make_a_third(one: int, two: int, more: bytes) -> None:
    """Parts that change places, end early or are longer are refused."""
    parts = list(PARTS)
    parts[one], parts[two] = PARTS[two], PARTS[one] + more
    if tuple(parts) != PARTS:
        refusal(body_of(*parts))


@given(
    st.one_of(
        st.text(), st.binary().map(url64), st.just("[" * 2900).map(lambda deep: f"AA.{PARTS[1].hex()}.{deep}.AA"),
        st.lists(st.binary(), min_size=4, max_size=4).map(lambda parts: ".".join(map(url64, parts))),
        st.recursive(st.none() | st.text() | st.integers(), st.lists).map(
            lambda client: ".".join(map(url64, (PHONE.id, PARTS[1], json.dumps(client).encode(), b"x")))
        ),
    )
)  # fmt: skip
def test_any_other_text_is_refused(text: str) -> None:
    """Whatever follows the first word, the one error is `BadProof`, which does not contain it."""
    why = refusal(PREFIX + text)
    assert len(text) < 8 or text not in why


@pytest.mark.parametrize(
    "client",
    [
        b"[" * 2000, b"{}", b"[]", b"\xff", b'{"type": "webauthn.get", "challenge": 7, "origin": null}',
        b'{"type": {"a": 1}, "challenge": "AAAA", "origin": ["https://desk.schulfest.example"]}',
    ],
)  # fmt: skip
def test_client_data_of_any_shape_are_refused(client: bytes) -> None:
    """Also if they are signed, as a hostile page could have them."""
    refusal(PHONE.sign_raw(client))


def test_a_long_answer_is_refused() -> None:
    """Longer than the form, or with padding or white space within."""
    for typed in (BODY + "A" * LONGEST, BODY + "=", BODY.replace(".", ". ", 2), BODY + ".", BODY[:-1]):
        assert "not a whole answer" in refusal(typed) or "does not verify" in refusal(typed)


def test_more_authenticator_data_than_the_flags_announce_is_refused() -> None:
    """The data end with the counter, unless a flag announces more."""
    long = body_of(PARTS[0], PARTS[1] + b"\0", *PARTS[2:])
    flagged = body_of(PARTS[0], PARTS[1][:32] + b"\xc5" + struct.pack(">I", 1), *PARTS[2:])
    for typed in (long, flagged):
        assert "not a whole answer" in refusal(typed)


@given(st.binary(max_size=80))
def test_base64url_has_one_spelling(raw: bytes) -> None:
    """What is encoded is decoded, and no other spelling is."""
    text = encoded(raw)
    assert decoded(text) == raw
    for other in (text + "=", text + "\n", f" {text}", text + "+"):
        with pytest.raises(ValueError, match="without padding"):
            decoded(other)
