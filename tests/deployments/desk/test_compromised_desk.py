"""A compromised desk: with everything that the desk reads and may send, it approves nothing.

What it can do is lie: a lead who touches a key in front of a page that shows one plan and asks for another signs the other. That
is why red needs a second person, a notice names each decision, and `understudy approve` does not believe any page.
"""

from datetime import timedelta
from itertools import product

import pytest

from tasks.estate.approval_sheet import Sheet
from tasks.estate.errors import Rejected
from tasks.estate.plans import Approval
from tasks.estate.polling import utc_now
from tasks.ledger.facts import Answered
from tasks.signoff.answers import Answer
from tasks.signoff.proofs import new_key, sign, statement
from tests.deployments.cli.asking_flow import ANSWER_BY, RED, YELLOW
from tests.deployments.desk.conftest import ANNA, ORIGIN, Office
from tests.passkey_device import Device


def post(office: Office, sheet: Sheet, **fields: object) -> object:
    """Post an answer past all of the desk's own checks, and let the worker's gate evaluate it."""
    plan, now = sheet.plan, utc_now()
    given = {"decision": "approve", "approver": ANNA, "plan": plan.code, "destination": plan.destination_name}
    answer = Answer(**{**given, "reason": "because I can", "proof": "", "given_at": now, **fields})  # type: ignore[arg-type]  # hostile
    return office.gate.evaluate(plan, answer, now=now)


def seen(office: Office) -> list[str]:
    """Return every proof that the desk has ever seen: those that passed through it, and those in the ledger that it reads."""
    answers = [fact.as_(Answered) for fact in office.sources.ledger.facts(kind="answered")]
    return [answer.signature for answer in answers]


def test_what_it_invents_is_no_proof(office: Office) -> None:
    """Its own keys, its own passkeys on the right page, guessed codes, and nothing at all."""
    own = Device("of the desk", relying_party="localhost", origin=ORIGIN)
    forged = Device("Anna's phone", relying_party="localhost", origin=ORIGIN)
    forged.__dict__["private"] = own.private  # the listed id, another key
    for make in (
        lambda text: own.sign(text), lambda text: forged.sign(text), lambda text: sign(new_key()[0], text),
        lambda _: "000000", lambda _: "",
    ):  # fmt: skip
        sheet = office.ask()
        text = statement("approve", sheet.plan.fingerprint, ANSWER_BY)
        assert not isinstance(post(office, sheet, proof=make(text)), Approval)
    assert office.ledger.facts(kind="approved") == []


def test_what_it_saw_opens_nothing_else(office: Office) -> None:
    """The proof of one approval, of a rejection and of a promotion without permission to undo, for every other request."""
    first = office.ask()
    real = office.phone.sign(statement("approve", first.plan.fingerprint, ANSWER_BY))
    assert isinstance(post(office, first, proof=real), Approval)
    rejected = office.ask()
    no = office.phone.sign(statement("reject", rejected.plan.fingerprint, ANSWER_BY))
    with pytest.raises(Rejected):
        post(office, rejected, decision="reject", proof=no)
    with pytest.raises(Rejected):  # it turns the answer around, and sends it again
        post(office, rejected, proof=no)
    for proof, restore in product((*seen(office), no), (False, True)):
        for risk in (YELLOW, RED):
            assert not isinstance(post(office, office.ask(risk), proof=proof, restore=restore), Approval)
    assert len(office.ledger.facts(kind="approved")) == 1


def test_one_person_stays_one(office: Office) -> None:
    """The second answer to a red plan needs a second person, under whatever name the first one's proof is sent again."""
    sheet = office.ask(RED)
    proof = office.phone.sign(statement("approve", sheet.plan.fingerprint, ANSWER_BY))
    assert not isinstance(post(office, sheet, proof=proof), Approval)
    for name in (ANNA, "anna  lead", "Ben Lead", "The gate"):
        assert not isinstance(post(office, sheet, proof=proof, approver=name), Approval)


def test_a_page_elsewhere_gets_nothing_that_counts(office: Office) -> None:
    """A browser signs where it is; a desk that sends people to another host gets answers for that host."""
    copy = Device("Anna's phone", relying_party="desk.evil.example", origin="https://desk.evil.example", counter=7)
    sheet = office.ask()
    proof = copy.sign(statement("approve", sheet.plan.fingerprint, ANSWER_BY))
    assert not isinstance(post(office, sheet, proof=proof), Approval)
    (refused,) = office.ledger.facts(kind="answer-refused")
    assert "on another page than that of the desk" in refused.detail["why"]


def test_a_longer_deadline_is_another_statement(office: Office) -> None:
    """It shows people a later end, so that an answer counts when nobody expects it any more: nothing counts."""
    sheet = office.ask()
    proof = office.phone.sign(statement("approve", sheet.plan.fingerprint, ANSWER_BY + timedelta(days=1)))
    assert not isinstance(post(office, sheet, proof=proof), Approval)
