"""`leads`: a secret is shown once, and a phone's clock is checked without using a code up."""

import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from tasks.configuration.settings import load_settings
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Ledger
from tasks.signoff.leads import Leads, load_leads
from tasks.signoff.proofs import new_key
from tests.people import CODES, DEMO_LEAD

NEW = ("leads", "enrol", "Anna Lead", "--email", "anna@schulfest.example")


def leads() -> Leads:
    """Return the leads of the worker's files."""
    settings = load_settings()
    return load_leads(settings.leads_file, settings.codes_file)


def code_at(name: str, seconds: float) -> str:
    """Return the code that this lead's phone shows if its clock is off by that much."""
    return pyotp.TOTP(CODES[name]).at(utc_now() + timedelta(seconds=seconds))


def test_a_lead_is_enrolled_and_the_secret_shown(cli: Callable[..., Any]) -> None:
    """With --show-secret, the worker's secret is printed as a QR code and as text."""
    done = cli(*NEW, "--show-secret")
    assert done.exit_code == 0, done.output
    anna = leads().find("anna lead")
    assert anna is not None
    shown = re.search(r"or type: ([A-Z2-7]+)", done.stdout)
    assert shown is not None
    assert shown[1] == leads().secret(anna)
    assert done.stdout.count("█") > 200


def test_nobody_is_enrolled_with_a_secret_that_nobody_sees(cli: Callable[..., Any]) -> None:
    """In a pipe and without --show-secret, the command is refused before anything is written."""
    done = cli(*NEW)
    assert done.exit_code == 2
    assert leads().find("Anna Lead") is None


def test_on_a_terminal_the_secret_is_shown(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, no option is required."""
    monkeypatch.setattr(
        "deployments.cli.leads.sys", type("Terminal", (), {"stdout": type("Out", (), {"isatty": lambda _: True})()})
    )
    assert "or type: " in cli(*NEW).stdout
    assert sys.stdout is not None


def test_a_document_contains_the_secret_only_on_request(machine: Callable[..., Any]) -> None:
    """The document contains the secret with --show-secret, and not otherwise."""
    code, document = machine(*NEW, "--no-codes")
    assert (code, "secret" in document) == (0, False)
    _, document = machine(*NEW, "--show-secret")
    assert document["uri"].startswith("otpauth://totp/")


def test_a_key_is_added(cli: Callable[..., Any], tmp_path: Path) -> None:
    """The public key in the file is added to the lead; a missing file is refused."""
    file = tmp_path / "id.pub"
    file.write_text(new_key()[1] + " anna@laptop\n")
    assert cli(*NEW, "--no-codes", "--key", file).exit_code == 0
    anna = leads().find("Anna Lead")
    assert anna is not None
    assert [key.key for key in anna.keys] == [file.read_text().strip()]
    missing = cli(*NEW, "--no-codes", "--key", tmp_path / "nowhere.pub")
    assert missing.exit_code == 1
    assert "expected a .pub file" in missing.stderr


def test_leads_are_listed_without_their_secrets(cli: Callable[..., Any], machine: Callable[..., Any]) -> None:
    """The list shows who has codes and which kinds of keys, and no secret."""
    _, document = machine("leads", "list")
    (demo,) = [row for row in document["leads"] if row["name"] == DEMO_LEAD]
    assert (demo["codes"], demo["keys"], demo["suspended"]) == (True, ["ssh-ed25519"], False)
    shown = cli("leads", "list")
    assert DEMO_LEAD in shown.stdout
    assert CODES[DEMO_LEAD] not in shown.stdout


def test_without_leads_the_list_names_the_next_step(cli: Callable[..., Any]) -> None:
    """Without the files, nobody may approve, and the output names the command that enrols."""
    load_settings().leads_file.unlink()
    load_settings().codes_file.unlink()
    assert "leads enrol" in cli("leads", "list").stdout


def test_a_code_is_checked_and_not_used_up(cli: Callable[..., Any], ledger: Ledger) -> None:
    """The same code can be checked twice, and the ledger contains nothing of it."""
    code = code_at(DEMO_LEAD, 0)
    assert cli("leads", "check", DEMO_LEAD, code).exit_code == 0
    again = cli("leads", "check", "demo  LEAD", f"{code[:3]} {code[3:]}")
    assert again.exit_code == 0
    assert "It was not used up." in again.stdout
    assert code not in again.output
    assert ledger.facts() == []


@pytest.mark.parametrize(("seconds", "way"), [(300, "ahead of"), (-240, "behind")])
def test_a_clock_that_is_off_is_reported(
    machine: Callable[..., Any], cli: Callable[..., Any], seconds: int, way: str
) -> None:
    """A code of another time would be refused; the output states how far the clock is off."""
    code, document = machine("leads", "check", DEMO_LEAD, code_at(DEMO_LEAD, seconds))
    assert (code, document["good"]) == (1, False)
    assert abs(document["seconds_off"] - seconds) <= 30
    assert way in cli("leads", "check", DEMO_LEAD, code_at(DEMO_LEAD, seconds)).stdout


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [(DEMO_LEAD, "00000x", "This is not a code of Demo Lead"), ("Nobody", "123456", "Nobody is enrolled")],
)
def test_a_wrong_code_or_name_is_reported(cli: Callable[..., Any], name: str, code: str, words: str) -> None:
    """A wrong code and an unknown name end with exit code 1; the typed code is not printed."""
    done = cli("leads", "check", name, code)
    assert done.exit_code == 1
    assert words in done.output
    assert code not in done.output
