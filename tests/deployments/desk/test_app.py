"""The pages of the desk: what they show, what they send to Prefect, and what they show if something is missing."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from deployments.desk.deciding import SOMEBODY
from tasks.estate.pictures import PicturePair
from tasks.estate.plans import Approval
from tasks.estate.polling import utc_now
from tasks.ledger.facts import Pictured
from tasks.ledger.picture_files import keep_picture
from tasks.signoff.answers import Answer
from tasks.signoff.form_fields import read_choice
from tasks.signoff.gate import Waiting
from tasks.signoff.proofs import statement
from tests.deployments.cli.asking_flow import ANSWER_BY, RED
from tests.deployments.desk.conftest import ANNA, Office
from tests.eventually import eventually
from tests.raw_facts import raw_fact

REASON = "release day"


def answered(office: Office, sheet: object, fields: dict[str, str]) -> Approval | Waiting:
    """Let the worker's gate evaluate what the desk sent."""
    decision, code, restore = read_choice(fields["decision"])
    answer = Answer(
        decision=decision, approver=fields["approver"], plan=code, destination=fields.get("destination", ""),
        proof=fields["proof"], reason=fields["reason"], given_at=datetime.now(UTC), restore=restore,
    )  # fmt: skip
    return office.gate.evaluate(sheet.plan, answer, now=datetime.now(UTC))  # type: ignore[attr-defined]  # a sheet


def test_a_request_is_a_card_and_a_page(office: Office) -> None:
    """Destination, colour, loss, difference, backup and requester, from the sheet; the loss is on the card already."""
    sheet = office.ask()
    card = office.page("/")
    page = office.page(f"/runs/{sheet.plan.run_id}/decide")
    for text in (card, page):
        assert "schulprod (production, schulprod.example) is overwritten with schulstage (staging)" in text
        assert "two posts of production" in text
        assert "yellow" in text
    for words in ("One approval decides", "schulprod is newer than schulstage", "PHP", "Ada Admin", sheet.plan.code):
        assert words in page, words
    assert (
        len(re.findall('<input(?! type="hidden")', page.partition('id="comments"')[0])) == 4
    )  # reason, permission to undo, and a code's name and digits
    assert "Type the name" not in page


def test_pictures_and_links_to_the_sites_are_shown(office: Office) -> None:
    """A picture that is not on this machine is a 404; without pictures the page shows why, and the links."""
    sheet = office.ask()
    path = f"/runs/{sheet.plan.run_id}/decide"
    page = office.page(path)
    assert "No pictures were taken." in page
    assert 'href="https://schulstage.example/" rel="noreferrer noopener"' in page
    where = {"run_id": sheet.plan.run_id, "plan": sheet.plan.fingerprint}
    office.ledger.record(Pictured(why="UNDERSTUDY_BROWSER is off."), **where)
    assert "No pictures were taken: UNDERSTUDY_BROWSER is off." in office.page(path)
    source, destination = (keep_picture(office.sources.pictures, each) for each in (b"RIFFa", b"RIFFb"))
    for width, share in ((1280, 0.3), (390, 0.0)):
        pair = PicturePair(path="/", width=width, source=source, destination=destination, share=share)
        office.ledger.record(Pictured(pairs=(pair,)), **where)
        page = office.page(path)
        assert (f"{width} px: 30 % of the height differs" in page) == (share > 0)
        assert (f"{width} px: no difference" in page) == (share == 0)
        assert f'src="/pictures/{source}" alt="Front page of schulstage at {width} pixels"' in page
    found = office.browser.get(f"/pictures/{destination}")
    assert (found.content, found.headers["content-type"]) == (b"RIFFb", "image/webp")
    for missing in ("0" * 64, "..%2Fledger.db", "ledger.db"):
        assert office.browser.get(f"/pictures/{missing}").status_code == 404


def test_a_passkey_approves_through_the_form_of_prefect(office: Office) -> None:
    """The desk names the owner of the passkey, plan and destination; the gate of the worker accepts the answer."""
    sheet = office.ask()
    proof = office.phone.sign(statement("approve", sheet.plan.fingerprint, ANSWER_BY))
    credential = office.phone.fields["credential"]
    path = f"/runs/{sheet.plan.run_id}/decide"
    sent = office.send(path, decision="approve", reason=REASON, proof=proof, credential=credential)
    assert (sent.status_code, sent.headers["location"]) == (303, f"/runs/{sheet.plan.run_id}")
    (fields,) = office.prefect.answers
    assert fields == {
        "decision": f"approve {sheet.plan.code}", "approver": ANNA, "proof": proof, "reason": REASON,
    }  # fmt: skip
    assert isinstance(answered(office, sheet, fields), Approval)


def test_permission_to_undo_is_sent_and_signed(office: Office) -> None:
    """The page has both statements, so that the browser signs the one that was chosen."""
    sheet = office.ask()
    page = office.page(f"/runs/{sheet.plan.run_id}/decide")
    for decision in ("approve", "approve+restore"):
        text = statement(decision, sheet.plan.fingerprint, ANSWER_BY).decode().replace("+", "&#43;")
        assert text in page.replace("+", "&#43;"), decision


def test_a_rejection_is_a_reason_and_a_button(office: Office) -> None:
    """Without a proof or typed names, also for red; the reason may not be missing."""
    sheet = office.ask(RED)
    path = f"/runs/{sheet.plan.run_id}/decide"
    assert "The reason has 0 characters" in office.send(path, decision="reject", reason=" ").text
    assert office.send(path, decision="reject", reason="not before the fair").status_code == 303
    (fields,) = office.prefect.answers
    assert fields == {
        "decision": "reject", "reason": "not before the fair", "approver": SOMEBODY, "proof": "", "destination": "",
    }  # fmt: skip


def test_red_asks_for_the_destination_and_a_bound_proof(office: Office) -> None:
    """The name is typed for red only; the second person reads that they are the last, and that a code is not enough."""
    sheet = office.ask(RED)
    path = f"/runs/{sheet.plan.run_id}/decide"
    assert "2 different people must approve: nobody has yet" in office.page(path)
    proof = {"proof": office.phone.sign(b"x"), "credential": office.phone.fields["credential"], "decision": "approve"}
    wrong = office.send(path, reason=REASON, destination="schulstage", **proof)
    assert "The typed name is not schulprod" in wrong.text
    assert f'value="{REASON}"' in wrong.text
    assert office.prefect.answers == []
    office.ledger.record(
        raw_fact(
            "answered",
            {
                "name": ANNA, "proof": "code", "decision": "approve", "reason": REASON, "restore": False,
                "given_at": "2026-11-21T12:00:00+00:00", "statement": "s",
            },
        ),
        run_id=sheet.plan.run_id, plan=sheet.plan.fingerprint,
    )  # fmt: skip
    last = office.page(path)
    assert f"You are the last of 2 people: {ANNA} approved" in last
    assert "must be made with a passkey" in last
    assert "one-time code</summary>" not in last


def test_a_code_is_sent_as_it_was_typed(office: Office) -> None:
    """Name and six digits; anything else is refused before it is sent."""
    path = f"/runs/{office.ask().plan.run_id}/decide"
    for name, code in (("", "123456"), (ANNA, "12345"), (ANNA, "abcdef")):
        assert (
            "Neither a passkey answered"
            in office.send(path, decision="approve", reason=REASON, name=name, code=code).text
        )
    assert office.send(path, decision="approve", reason=REASON, name=ANNA, code="123 456").status_code == 303
    assert [(each["approver"], each["proof"]) for each in office.prefect.answers] == [(ANNA, "123456")]


def test_a_passkey_that_is_not_listed_is_not_sent(office: Office) -> None:
    """The owner comes from the leads file, so there is nobody to name."""
    path = f"/runs/{office.ask().plan.run_id}/decide"
    sent = office.send(path, decision="approve", reason=REASON, proof=office.phone.sign(b"x"), credential="AAAA")
    assert "This passkey is not in the leads file" in sent.text
    assert office.prefect.answers == []


@pytest.mark.parametrize("fake", ["no record", "another plan", "no sheet"])
def test_a_request_that_does_not_fit_the_ledger_cannot_be_approved(office: Office, fake: str) -> None:
    """Whoever writes to Prefect can make a request that looks right; the ledger has no such request."""
    sheet = office.ask(recorded=fake != "no record", sheet=office.ask() if fake == "another plan" else None)
    if fake == "no sheet":
        office.prefect.sheets.clear()
    path = f"/runs/{sheet.plan.run_id}/decide"
    page = office.page(path)
    assert 'value="approve"' not in page
    assert "data-passkey" not in page
    proof = office.phone.sign(statement("approve", sheet.plan.fingerprint, ANSWER_BY))
    sent = office.send(
        path, decision="approve", reason=REASON, proof=proof, credential=office.phone.fields["credential"]
    )
    assert sent.status_code in (400, 409), sent.text
    assert office.prefect.answers == []


def test_without_prefect_the_ledger_is_shown(office: Office) -> None:
    """The desk reports it, lists the open requests, and its other pages work."""
    sheet = office.ask()
    office.prefect.away = True
    page = office.page("/")
    assert "Prefect does not answer" in page
    assert sheet.plan.code in page
    assert "whole" in office.page("/ledger")
    assert "waits" in office.page("/places") or "schulprod" in office.page("/places")
    response = office.browser.get(f"/runs/{sheet.plan.run_id}/decide")
    assert (response.status_code, "cannot be reached" in response.text) == (503, True)


def test_a_broken_ledger_is_an_alert(office: Office) -> None:
    """With the first problem; nobody should approve then."""
    office.ask()
    with office.ledger._engine.begin() as connection:  # as whoever owns the database
        for trigger in (
            connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
        ):
            connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        connection.exec_driver_sql("UPDATE facts SET run_id = 'changed' WHERE seq = 1")
    assert "The ledger was changed: do not approve anything" in office.page("/ledger")


def test_an_old_verification_is_shown_while_the_next_is_made(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page does not wait for the chain each minute; the next one has the new result. One of ten minutes ago is not shown."""
    office.ask()
    assert "whole" in office.page("/ledger")
    with office.ledger._engine.begin() as connection:
        for trigger in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars():
            connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        connection.exec_driver_sql("UPDATE facts SET run_id = 'changed' WHERE seq = 1")
    assert "whole" in office.page("/ledger"), "it is less than a minute old"
    began, result, head = office.sources._verified or pytest.fail("nothing was verified")
    office.sources._verified = (began - 61, result, head)
    office.page("/ledger")
    assert eventually(lambda: office.sources._verified != (began - 61, result, head))
    assert "The ledger was changed" in office.page("/ledger")
    office.sources._verified = (began - 601, (), head)
    assert "The ledger was changed" in office.page("/ledger")


def test_a_hold_is_shown_until_it_is_over(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places are made again only if a fact is new, and a hold ends without a fact."""
    now = utc_now()
    end = now + timedelta(hours=1)
    held = {"destination": "schulstage", "until": end.isoformat(), "by": "Ada Admin", "reason": "rehearsal"}
    office.ledger.record(raw_fact("hold", held), run_id="r")
    assert "held by Ada Admin" in office.page("/places")
    assert "rehearsal" in office.page("/places/schulstage")
    for module in ("app", "reading"):
        monkeypatch.setattr(f"deployments.desk.{module}.utc_now", lambda: end)
    assert "held by" not in office.page("/places")
    assert "rehearsal" not in office.page("/places/schulstage")


def test_places_have_their_history(office: Office) -> None:
    """Last verified, last outcome and holds, from the ledger alone."""
    sheet = office.ask()
    where = {"run_id": sheet.plan.run_id, "plan": sheet.plan.fingerprint}
    office.ledger.record(raw_fact("planned", sheet.plan.model_dump(mode="json")), **where)
    assert "waits for an answer" in office.page("/places")
    office.ledger.record(raw_fact("sending"), **where)
    report = {"outcome": "Verified", "verb": "promote", "message": "It arrived.", "next_step": "Nothing."}
    office.ledger.record(raw_fact("outcome", report), **where)
    page = office.page("/places")
    assert "Verified" in page
    assert "less than a minute ago" in page
    assert "Ada Admin" in office.page("/places/schulprod")
    assert office.browser.get("/places/elsewhere").status_code == 404
    for path in ("", "/live"):  # whoever waits on the page sees it too
        after = office.page(f"/runs/{sheet.plan.run_id}{path}")
        for words in ("It arrived.", "Next step", f"understudy plan restore {sheet.plan.run_id}"):
            assert words in after, words


def test_a_run_that_waits_again_shows_why(office: Office) -> None:
    """A refused answer leads back to the request."""
    sheet = office.ask()
    office.ledger.record(
        raw_fact("answer-refused", {"name": ANNA, "kind": "proof", "why": "The passkey answered something else."}),
        run_id=sheet.plan.run_id, plan=sheet.plan.fingerprint,
    )  # fmt: skip
    for path in ("", "/live", "/decide"):
        assert "answered something else" in office.page(f"/runs/{sheet.plan.run_id}{path}")
    assert office.browser.get("/runs/11111111-1111-4111-8111-111111111111").status_code == 404


def test_text_from_outside_is_escaped(office: Office) -> None:
    """Names and reasons are text, whatever they contain."""
    sheet = office.ask()
    hostile = "<script>alert(1)</script>"
    where = {"run_id": sheet.plan.run_id, "plan": sheet.plan.fingerprint}
    office.ledger.record(raw_fact("planned", sheet.plan.model_dump(mode="json") | {"requested_by": hostile}), **where)
    office.ledger.record(raw_fact("outcome", {"outcome": hostile, "verb": "promote", "message": hostile}), **where)
    sent = office.send(f"/runs/{sheet.plan.run_id}/decide", decision="approve", reason=hostile, name=hostile, code="1")
    for text in (
        sent.text,
        office.page("/places"),
        office.page("/places/schulprod"),
        office.page(f"/runs/{sheet.plan.run_id}"),
    ):
        assert "<script>" not in re.sub(r'<script src="/static/desk.js[^>]*></script>', "", text)
        assert not re.search(r"\son\w+=", text), "no handler in the markup: the policy forbids it"
