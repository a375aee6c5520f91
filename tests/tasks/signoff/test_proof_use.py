"""The use of proofs: what is recorded once, and which counters of a passkey fit together."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from tasks.ledger.facts import PasskeyUsed
from tasks.ledger.ledger import AlreadyRecorded, Ledger
from tasks.signoff.passkeys import CounterWentBack, read_assertion
from tasks.signoff.proof_use import require_counted_up, used_before, used_up_by
from tasks.signoff.proofs import Proof
from tests.passkey_device import Device

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def proof(counter: int, name: str = "phone") -> Proof:
    """Return the proof of a passkey with this counter."""
    body = Device(name, counts=0, counter=counter).sign(b"message")
    return Proof("passkey", read_assertion(body).used, body)


def use(ledger: Ledger, counter: int, at: datetime, name: str = "phone") -> None:
    """Check a counter and record its use, as the approval gate does."""
    made = proof(counter, name)
    require_counted_up(ledger, made, at)
    ledger.record_together("run", used_up_by(made, at))


def test_a_code_and_a_counter_are_used_up_and_a_signature_is_not() -> None:
    """A code under its own key, a passkey with its counter; an authenticator that reports 0 leaves no fact."""
    code = Proof("code", "code:anna lead:58")
    assert [(each.fact.KIND, each.once) for each in used_up_by(code, NOW)] == [("code-used", "code:anna lead:58")]
    (entry,) = used_up_by(proof(7), NOW)
    credential = Device("phone").entry().credential
    assert entry.fact == PasskeyUsed(credential=credential, counter=7, given_at=NOW)
    assert entry.once == f"passkey:{credential}:7"
    assert used_up_by(Proof("signature", "", "U1NIU0lH"), NOW) == used_up_by(proof(0), NOW) == ()


@pytest.mark.parametrize("order", permutations((1, 2, 3)))
def test_answers_may_be_read_in_any_order(order: tuple[int, ...]) -> None:
    """Counters that rise with the times of their answers are accepted, whichever worker is first."""
    ledger = Ledger("sqlite://")
    for counter in order:
        use(ledger, counter, NOW + timedelta(seconds=counter))
    assert len(ledger.facts(kind="passkey-used")) == 3


@pytest.mark.parametrize(
    ("counter", "seconds", "good"),
    [(4, 0, False), (5, 0, False), (6, 0, True), (0, 1, False), (4, -1, True), (5, -1, False), (6, -1, False)],
)  # fmt: skip
def test_a_counter_must_fit_the_time_of_its_answer(counter: int, seconds: int, good: bool) -> None:
    """After an answer with counter 5 only higher ones are accepted, before it only lower ones; another passkey is not compared."""
    ledger = Ledger("sqlite://")
    use(ledger, 5, NOW)
    use(ledger, 3, NOW + timedelta(seconds=9), "another")
    if good:
        use(ledger, counter, NOW + timedelta(seconds=seconds))
    else:
        with pytest.raises(CounterWentBack, match="was seen before"):
            use(ledger, counter, NOW + timedelta(seconds=seconds))


def test_other_proofs_have_no_counter() -> None:
    """Neither a code nor a signature is compared with anything here."""
    for other in (Proof("code", "code:anna lead:58"), Proof("signature", "", "U1NIU0lH")):
        require_counted_up(Ledger("sqlite://"), other, NOW)


def test_a_proof_that_was_used_has_its_reason() -> None:
    """A code and a passkey have their own; what was recorded before and is no proof has none."""
    assert "code was used before" in used_before(AlreadyRecorded("code:anna lead:58"))
    assert "passkey was used before" in used_before(AlreadyRecorded("passkey:AAAA:7"))
    assert used_before(AlreadyRecorded("answer:run:plan")) == ""
