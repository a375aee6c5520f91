"""The use of a proof: the facts that make a code worthless, and that keep the counter of a passkey from going back."""

from datetime import datetime

from tasks.ledger.facts import CodeUsed, PasskeyUsed
from tasks.ledger.ledger import AlreadyRecorded, Entry, Ledger
from tasks.signoff.passkeys import USED, CounterWentBack, read_assertion
from tasks.signoff.proofs import Proof

CODE = "code:"  # how the ledger's key of a code begins


def used_up_by(proof: Proof, given_at: datetime) -> tuple[Entry, ...]:
    """Return the facts that use up this proof, of which each can be recorded once: none for a signature."""
    if not proof.used:
        return ()
    if proof.kind == "code":
        return (Entry(CodeUsed(), once=proof.used),)
    found = read_assertion(proof.signature)
    fact = PasskeyUsed(credential=found.credential, counter=found.counter, given_at=given_at)
    return (Entry(fact, once=proof.used),)


def require_counted_up(ledger: Ledger, proof: Proof, given_at: datetime) -> None:
    """Raise `CounterWentBack` unless the passkey's counter fits those of its other answers, by the times of the answers.

    By time, not by the order of evaluation: two workers may read two answers of one person in any order. An authenticator that
    always reports 0 does not count, and proves nothing by it.
    """
    if proof.kind != "passkey":
        return
    found = read_assertion(proof.signature)
    used = [fact.as_(PasskeyUsed) for fact in ledger.facts(kind=PasskeyUsed.KIND)]
    mine = [each for each in used if each.credential == found.credential]
    before = [each.counter for each in mine if each.given_at <= given_at]
    after = [each.counter for each in mine if each.given_at > given_at]
    if before and found.counter <= max(before):
        raise CounterWentBack(found.counter, max(before))
    if after and found.counter >= min(after):
        raise CounterWentBack(min(after), found.counter)


def used_before(taken: AlreadyRecorded) -> str:
    """Return why an answer does not count if its proof was used before, or "" if something else was recorded before."""
    if taken.once.startswith(CODE):
        return "This code was used before; wait for the next one."
    if taken.once.startswith(USED):
        return "This answer of a passkey was used before; answer again."
    return ""
