"""Anonymize: the numbered checks of the workflow documents that are about the export."""

import re
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.anonymize import anonymize
from flows.load_dump import load_dump
from tasks.configuration.settings import forget_settings
from tasks.dumps import dump_reader
from tasks.estate.dumps import RISK_PHRASE, Anonymizer, require_choices
from tasks.estate.errors import RiskNotAccepted

HOST = "staging.schule.example"


Start = Callable[..., Any]


def test_w3_the_export_is_one_file_of_that_name(whole: Any) -> None:
    """`<app>-export-YYYYMMDD-HHMMSS.json.gz` in UTC, of the snapshot's time; nobody else may read it."""
    name = Path(whole.dump).name
    exported_at = dump_reader.check(whole.dump).header.exported_at
    assert re.fullmatch(r"schulportal-export-\d{8}-\d{6}\.json\.gz", name)
    assert name == f"schulportal-export-{exported_at.astimezone(UTC):%Y%m%d-%H%M%S}.json.gz"
    assert abs((datetime.now(UTC) - exported_at).total_seconds()) < 600
    assert stat.S_IMODE(Path(whole.dump).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "phrase", ["", "yes", RISK_PHRASE.lower(), f"{RISK_PHRASE} ", f" {RISK_PHRASE}", RISK_PHRASE[:-1]]
)
def test_w5_only_the_exact_phrase_switches_an_anonymizer_off(phrase: str) -> None:
    """Wrong, empty, other case or with a space: refused, for each of the six; without an opt-out none is needed."""
    for kind in Anonymizer:
        with pytest.raises(RiskNotAccepted):
            require_choices(attachments=True, off=[kind.value], risk_phrase=phrase)
        assert require_choices(attachments=True, off=[kind.value], risk_phrase=RISK_PHRASE).opted_out == (kind,)
    assert require_choices(attachments=True, off=[], risk_phrase=phrase).opted_out == ()


def test_w5_the_phrase_is_asked_for_before_anything_is_read(
    start: Start, school: Any, last_attempt: Callable[[Any], tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source and the dump need not even exist; at the load the attempt has its audit row."""
    monkeypatch.setenv("UNDERSTUDY_SOURCE_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    forget_settings()
    assert start(anonymize, off=["email"], risk_phrase="i_understand_the_pii_risk").state == "RiskNotAccepted"
    run = start(load_dump, hostname=HOST, dump="no such dump", off=["names"])
    assert run.state == "RiskNotAccepted"
    status, error = last_attempt(school)
    assert status == "failed"
    assert error == run.message.removesuffix(f" {RiskNotAccepted.next_step}")


HOST = "staging.schule.example"


Start = Callable[..., Any]


def test_w2_attachments_off_keeps_the_rows_and_reads_no_content(
    start: Start, approve: Start, school: Any, whole: Any
) -> None:
    """On by default; off, no content travels, and the role need not even be allowed to read the column."""
    school.change(
        "REVOKE SELECT ON attachments FROM schulportal_reader; GRANT SELECT (id, letter_id, message_id, file_name,"
        " mime_type, size_bytes, sha256, uploaded_at) ON attachments TO schulportal_reader",
        production=True,
    )
    assert start(anonymize).state in ("NotExported", "PolicyRefused")
    made = start(anonymize, attachments=False)
    assert made.state == "Exported", made.message
    assert "Attachments: not included" in made.report
    facts = dump_reader.check(max(map(str, school.folder.iterdir())))
    assert (facts.header.attachments, dump_reader.check(whole.dump).header.attachments) == (False, True)
    run = approve(load_dump, hostname=HOST, dump=facts.url)
    assert run.state == "Loaded", run.message
    rows = "SELECT id, file_name, letter_id, message_id FROM attachments ORDER BY id"
    assert school.ask(rows) == school.ask(rows, production=True)
    assert school.ask("SELECT count(*) FROM attachments WHERE content IS NOT NULL") == [(0,)]
