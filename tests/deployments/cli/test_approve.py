"""`approve`, `reject`, `arrived`: exactly the fields of the form, signed over the plan, and no proof in the output."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.promote import promote
from tasks.configuration.settings import load_settings
from tasks.ledger.ledger import Ledger
from tasks.signoff.form_fields import approval_choice
from tasks.signoff.leads import load_leads
from tasks.signoff.proofs import NAMESPACE, BadProof, statement, verify_signature
from tests.deployments.cli.asking_flow import ANSWER_BY, answer_of, sheet_of
from tests.people import DEMO_LEAD

WHO = ("--name", DEMO_LEAD, "--reason", "release day", "--no-wait")  # no worker checks these answers


def require_signed(run: Any, proof: str, decision: str) -> None:
    """Raise `BadProof` unless the proof is the demo lead's signature over this decision on this run's plan."""
    settings = load_settings()
    lead = load_leads(settings.leads_file, settings.codes_file).find(DEMO_LEAD)
    assert lead is not None
    message = statement(decision, sheet_of(run.id).plan.fingerprint, ANSWER_BY)
    verify_signature(lead, proof, message, namespace=NAMESPACE, at=ANSWER_BY)


def test_a_promotion_that_was_approved_here_continues(
    start: Callable[..., Any], cli: Callable[..., Any], key: Path, ledger: Ledger
) -> None:
    """With our promotion, form and approval gate, the worker accepts the signature that was made here."""
    run = start(promote, source="schulstage", destination="schulprod")
    done = cli("approve", run.request.code, *WHO, "--key", key, "--destination", "schulprod")
    assert done.exit_code == 0, done.output
    run.restart().go()
    (answered,) = ledger.facts(run_id=run.id, kind="answered")
    assert (answered.detail["name"], answered.detail["proof"]) == (DEMO_LEAD, "signature")
    assert ledger.facts(run_id=run.id, kind="approved")


@pytest.mark.parametrize("by_code", [True, False])
def test_an_approval_fills_in_exactly_the_form(
    ask: Callable[..., Any], cli: Callable[..., Any], key: Path, by_code: bool
) -> None:
    """Found by run or by code, the answer has every field, signed by ssh-keygen over the plan's fingerprint."""
    run = ask()
    code = sheet_of(run.id).plan.code
    named, undo = (code, "--restore-if-failed") if by_code else (run.id, "--no-restore-if-failed")
    done = cli("approve", named, *WHO, "--key", key, "--destination", "schulprod", undo)
    assert done.exit_code == 0, done.output
    given = answer_of(run)
    require_signed(run, given.pop("proof"), "approve+restore" if by_code else "approve")
    assert given == {
        "decision": approval_choice(code, restore=by_code),
        "destination": "schulprod",
        "approver": DEMO_LEAD,
        "reason": "release day",
    }
    assert "Prefect accepted the answer" in done.stdout


def test_a_signature_is_for_one_decision(ask: Callable[..., Any], cli: Callable[..., Any], key: Path) -> None:
    """The signature of a rejection does not approve. A rejection requires no typed destination."""
    run = ask()
    done = cli("reject", run.id, *WHO, "--key", key)
    assert done.exit_code == 0, done.output
    given = answer_of(run)
    assert given["decision"] == "reject"
    require_signed(run, given["proof"], "reject")
    with pytest.raises(BadProof):
        require_signed(run, given["proof"], "approve")


def test_a_rejection_needs_a_reason_only(ask: Callable[..., Any], cli: Callable[..., Any]) -> None:
    """Neither name nor proof is asked for, also for a red plan; a reason that is too short is refused before it is sent."""
    run = ask()
    assert cli("reject", run.id, "--reason", "no").exit_code == 2
    done = cli("reject", run.id, "--no-wait", input="not before the fair\n")
    assert done.exit_code == 0, done.output
    assert answer_of(run) == {
        "decision": "reject", "reason": "not before the fair", "approver": "", "proof": "", "destination": "",
    }  # fmt: skip


def test_missing_options_are_asked_for(ask: Callable[..., Any], cli: Callable[..., Any]) -> None:
    """Destination, name, reason and digits are typed after the facts are shown; the digits are not printed."""
    run = ask()
    done = cli("approve", run.id, "--no-wait", input=f"schulprod\n{DEMO_LEAD}\nrelease day\n123456\n")
    assert done.exit_code == 0, done.output
    assert answer_of(run)["proof"] == "123456"
    assert done.stderr.index(sheet_of(run.id).plan.fingerprint) < done.stderr.index("Type the name of what will be")
    assert "123456" not in done.output


def test_what_does_not_fit_is_asked_again_before_the_code(ask: Callable[..., Any], cli: Callable[..., Any]) -> None:
    """A name or reason that the form would refuse, and digits that are no code, are asked for again before anything is sent."""
    run = ask()
    typed = f"schulprod\nA\n{DEMO_LEAD}\nok\nrelease day\n12345\n123456\n"
    done = cli("approve", run.id, "--no-wait", input=typed)
    assert done.exit_code == 0, done.output
    assert (
        done.stderr.index("'ok' has 2 characters") < done.stderr.index("Six digits") < done.stderr.index("not a code")
    )
    assert "12345" not in done.output
    assert (answer_of(run)["approver"], answer_of(run)["reason"]) == (DEMO_LEAD, "release day")


def test_an_approval_that_is_too_late_costs_no_code(
    asked: Any, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the deadline, the command ends before it asks for a code."""
    later = type("Later", (), {"now": staticmethod(lambda zone: ANSWER_BY.replace(year=2100))})
    monkeypatch.setattr("deployments.cli.approve.datetime", later)
    done = cli("approve", asked.id)
    assert done.exit_code == 1
    assert done.stderr.rstrip().splitlines()[-2].startswith("Expired: Plan ")


def test_a_missing_option_without_input_is_a_usage_error(asked: Any, cli: Callable[..., Any]) -> None:
    """In a script without the option, the command names it and sends nothing."""
    done = cli("approve", asked.id, *WHO, "--code", "123456")
    assert done.exit_code == 2
    assert "nothing was typed" in done.stderr
    assert asked.state == "Suspended"


def test_prompts_are_not_part_of_the_document(ask: Callable[..., Any], machine: Callable[..., Any]) -> None:
    """With --json, prompts and facts are not printed on standard output."""
    code, document = machine("approve", ask().id, *WHO, input="schulprod\n123456\n")
    assert (code, document["verdict"], document["decision"]) == (0, "ACCEPT", "approve")
    assert "123456" not in str(document)


@pytest.mark.parametrize("typed", ["schulprodd", "y", ""])
def test_another_destination_is_not_sent(asked: Any, cli: Callable[..., Any], typed: str) -> None:
    """Anything but the exact name ends the command before the proof is asked for, and the run still waits."""
    done = cli("approve", asked.id, *WHO, "--code", "123456", input=f"{typed}\n")
    assert done.exit_code == 1
    assert asked.state == "Suspended"
    assert "Traceback" not in done.output


def test_a_form_that_disagrees_is_not_approved_but_may_be_rejected(
    ask: Callable[..., Any], cli: Callable[..., Any], key: Path
) -> None:
    """A request that somebody changed in Prefect can be rejected, but not approved."""
    run = ask(text="Promotion onto **schulprod**, plan **AAAA-BBBB**")
    done = cli("approve", run.id, *WHO, "--key", key, "--destination", "schulprod")
    assert done.exit_code == 1
    assert "THE FORM AND THE SHEET DISAGREE." in done.stderr
    assert run.state == "Suspended"
    assert cli("reject", run.id, *WHO, "--key", key).exit_code == 0


def test_a_refusal_of_prefect_is_shown_without_the_proof(asked: Any, cli: Callable[..., Any]) -> None:
    """The server's reason is shown without the proof, which it repeats, and the run still waits."""
    with pytest.MonkeyPatch.context() as patch:  # the form's own rules let a code of five digits through to Prefect
        patch.setattr("deployments.cli.proofs.not_digits", lambda typed: "")
        done = cli("approve", asked.id, *WHO, "--code", "98765", "--destination", "schulprod")
    assert done.exit_code == 1
    assert "Prefect did not accept the answer" in done.stderr
    assert "98765" not in done.output
    assert asked.state == "Suspended"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--field", "risk=accepted"), "The form has no field risk"),
        (("--code", ""), "nothing was typed"),
        (("--code", "12345"), "--code: This is not a code; expected six digits."),
        (("--field", "risk"), "is not NAME=VALUE"),
        (("--key", "nowhere"), "not both"),
        (("--code", "", "--key", "nowhere"), "--key: nowhere does not exist."),
        (("--reason", "ok"), "--reason: 'ok' has 2 characters; expected 5 or more."),
        (("--name", "A"), "--name: 'A' has 1 characters; expected 3 or more."),
        (("--field", "restore=yes"), "The form has no field restore"),
    ],
)
def test_wrong_options_are_a_usage_error(
    asked: Any, cli: Callable[..., Any], options: tuple[str, ...], words: str
) -> None:
    """Exit code 2, and nothing is sent."""
    done = cli("approve", asked.id, *WHO, "--code", "123456", "--destination", "schulprod", *options)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())
    assert asked.state == "Suspended"


def test_the_e_mail_is_reported_with_its_own_statement(
    ask: Callable[..., Any], cli: Callable[..., Any], key: Path
) -> None:
    """The form about the arrival has its own fields, signed over the e-mail's result."""
    run = ask(kind="arrived")
    who = ("--name", DEMO_LEAD, "--words", "Copy complete, 14:32", "--key", key, "--no-wait")
    assert cli("approve", run.id, *WHO, "--key", key).exit_code == 1
    done = cli("arrived", run.id, "--email", "no e-mail yet", *who)
    assert done.exit_code == 0, done.output
    given = answer_of(run)
    require_signed(run, given.pop("proof"), "arrived:no e-mail yet")
    assert given == {"email": "no e-mail yet", "approver": DEMO_LEAD, "words": "Copy complete, 14:32"}


def test_without_ssh_keygen_a_plain_key_signs_too(
    ask: Callable[..., Any], cli: Callable[..., Any], key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without OpenSSH, an Ed25519 key without a passphrase is enough."""
    monkeypatch.setenv("PATH", str(key.parent))
    run = ask()
    done = cli("approve", run.id, *WHO, "--key", key, "--destination", "schulprod")
    assert done.exit_code == 0, done.output
    require_signed(run, answer_of(run)["proof"], "approve")


@pytest.mark.parametrize("installed", [True, False])
def test_a_key_that_cannot_sign_is_named(
    asked: Any, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    """With ssh-keygen and without, a file that is not a key is named before anything is sent."""
    (tmp_path / "no_key").write_text("nothing")
    if not installed:
        monkeypatch.setenv("PATH", str(tmp_path))
    done = cli("approve", asked.id, *WHO, "--key", tmp_path / "no_key", "--destination", "schulprod")
    assert done.exit_code == 1
    assert "no_key" in done.stderr
    assert asked.state == "Suspended"


def test_no_secret_is_in_the_arguments_of_a_child(
    ask: Callable[..., Any], cli: Callable[..., Any], key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssh-keygen receives the path of the key and the namespace; the message is sent through a pipe."""
    seen: list[list[str]] = []
    real = subprocess.run

    def watch(arguments: list[str], **more: Any) -> Any:
        seen.append(arguments)
        return real(arguments, **more)

    monkeypatch.setattr("deployments.cli.proofs.subprocess.run", watch)
    run = ask()
    cli("approve", run.id, *WHO, "--key", key, "--destination", "schulprod")
    (arguments,) = seen
    assert arguments[1:] == ["-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)]
