"""No value that masking replaces is left anywhere: the search is byte by byte, after runs that succeed and fail."""

import gzip
import logging
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from deployments.sandbox.postgres import Postgres
from deployments.sandbox.school.database import CANARIES
from flows.anonymize import anonymize
from flows.load_dump import load_dump
from flows.reload import reload
from tasks.configuration.settings import forget_settings

HOST = "staging.schule.example"
POLICY = Path(__file__).parents[2] / "deployments" / "policies" / "schulportal.yaml"
# Of every masked column what cannot occur by chance: fakes come from pools of real names, so names alone prove nothing.
MASKED = {
    "users": ("email", "username", "phone", "mobile", "password_hash", "api_key", "iban", "notes", "other_emails", "last_login_ip"),
    "students": ("insurance_number", "contact_email", "health_notes"),
    "messages": ("sender_email", "subject", "body", "sender_ip"),
    "parental_letters": ("title", "body_html", "payload #> '{contact,email}'", "payload #> '{contact,phones}'", "recipients"),
    "attachments": ("encode(content, 'hex')", "encode(content, 'base64')", "sha256"),
    "calendar_events": ("title", "contact"),
    "settings": ("value ->> 'password'", "value ->> 'api_key'"),
    "audit_events": ("detail ->> 'email'", "ip"),
    "emergency_notices": ("hotline", "text"),
    '"Förderverein"': ('"E-Mail"', '"Straße"', '"Bemerkung ""intern"""'),
    "billing.invoices": ("billing_address", "purpose"),
    "billing.payments": ("payer_iban", "reference"),
    "login_sessions": ("token",),
    "mail_queue": ("to_email", "body"),
}  # fmt: skip
SHORTEST, CHECKED = 9, 400  # characters; bytes of a long text that are looked for


def originals(school: Any) -> set[bytes]:
    """Production's own values of these columns, and the canaries: whatever has a digit or an @ and is not short."""
    found: set[str] = set(CANARIES.values())
    for table, columns in MASKED.items():
        for column in columns:
            rows = school.ask(f"SELECT DISTINCT ({column})::text FROM {table}", production=True)  # noqa: S608  # from this file
            for (value,) in rows:
                members = (
                    (value or "").strip("{}[]").split(",")
                    if column in ("other_emails", "recipients")
                    else [value or ""]
                )
                found |= {member.strip('" ')[:CHECKED] for member in members}
    found -= {
        column
        for (column,) in school.ask(
            "SELECT DISTINCT contact FROM calendar_events WHERE contact LIKE 'sekretariat%'", production=True
        )
    }
    return {
        value.encode() for value in found if len(value) >= SHORTEST and any(c.isdigit() or c == "@" for c in value)
    } | {value.encode() for value in CANARIES.values()}


def places(folder: Path, *more: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below, as it is stored and as it reads."""
    for root in (folder, *more):
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.is_file():
                stored = path.read_bytes()
                yield str(path), stored
                if stored[:2] == b"\x1f\x8b":
                    yield f"{path}, unpacked", gzip.decompress(stored)


def leaks(values: set[bytes], found: Iterator[tuple[str, bytes]]) -> list[str]:
    """Where a value stands; the value itself is for whoever runs this. Thousands at once: by how they begin."""
    short = {value for value in values if len(value) < SHORTEST}
    begins: dict[bytes, list[bytes]] = {}
    for value in values - short:
        begins.setdefault(value[:SHORTEST], []).append(value)
    described = []
    for where, content in found:
        described += [f"{where}: {value!r}" for value in short if value in content]
        for at in range(len(content) - SHORTEST + 1):
            if (begun := content[at : at + SHORTEST]) in begins:
                described += [f"{where}: {value!r}" for value in begins[begun] if content.startswith(value, at)]
    return described


@pytest.fixture
def watched(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[[], Iterator[tuple[str, bytes]]]]:
    """All that is left behind from here on: a function that returns each place with its bytes.

    With a Prefect server of its own: in the session's one, a preview has shown originals to whoever gave the phrase.
    """
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="prefect")
    mine: dict[Any, Any] = {
        PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results",
        PREFECT_LOGGING_TO_API_ENABLED: True,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    with prefect_test_harness(server_startup_timeout=120), temporary_settings(mine):
        yield from _watching(tmp_path, caplog)


def _watching(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], Iterator[tuple[str, bytes]]]]:
    database = Path(str(PREFECT_API_DATABASE_CONNECTION_URL.value()).split("///", 1)[1].split("?")[0])

    def look() -> Iterator[tuple[str, bytes]]:
        yield "log", caplog.text.encode()
        yield from places(tmp_path, *database.parent.glob(f"{database.name}*"))

    yield look
    APILogHandler().flush()
    assert _logged(database)


def _logged(database: Path) -> int:
    """How many lines of log are in Prefect's database: none would mean that nothing was looked at."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return int(connection.execute("SELECT count(*) FROM log").fetchone()[0])


def test_nothing_leaks_from_good_and_failing_runs(
    start: Callable[..., Any],
    approve: Callable[..., Any],
    school: Any,
    watched: Callable[[], Iterator[tuple[str, bytes]]],
    staging_server: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dump, logs, Prefect's database, artifacts, results, temporary files and staging's own log hold no original value."""
    values = originals(school)
    assert len(values) > 1500
    logged = staging_server.log.stat().st_size
    assert approve(reload, hostname=HOST, requested_by="Ada Admin").state == "Loaded"
    (dump,) = map(str, school.folder.iterdir())

    school.change(
        "UPDATE users SET deleted_at = NULL; ALTER TABLE users ADD CONSTRAINT early CHECK (deleted_at IS NULL)"
    )
    assert start(load_dump, hostname=HOST, dump=dump).state == "DumpRefused"
    school.change("ALTER TABLE users DROP CONSTRAINT early")
    school.change(
        "TRUNCATE messages CASCADE; CREATE FUNCTION few(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT $1 < 7';"
        "ALTER TABLE messages ADD CONSTRAINT few CHECK (few(id))"
    )
    assert approve(load_dump, hostname=HOST, dump=dump).state == "NotLoaded"
    assert start(load_dump, hostname="schulportal.example", dump=dump).state == "WrongHost"

    # A maker whose error message quotes the value that it was given.
    quoting = POLICY.read_text(encoding="utf-8").replace(
        "notes: scrub", "notes: {maker: sql, expression: '({column}::integer)::text'}", 1
    )
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / POLICY.name).write_text(quoting, encoding="utf-8")
    monkeypatch.setenv("UNDERSTUDY_POLICIES", str(tmp_path / "policies"))
    forget_settings()
    assert start(anonymize).state == "PolicyRefused"
    monkeypatch.setenv("UNDERSTUDY_POLICIES", str(POLICY.parent))
    forget_settings()
    school.change("ALTER TABLE messages ADD leaked text DEFAULT 'canary-7f3a@leak.example'", production=True)
    assert start(anonymize).state == "PolicyRefused"

    APILogHandler().flush()
    time.sleep(0.3)
    assert leaks(values, watched()) == []
    assert leaks(values, iter([("staging's log", staging_server.log.read_bytes()[logged:])])) == []


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """In plain files and in compressed ones; a search that finds nothing anywhere would prove nothing."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "plain").write_bytes(b"..canary-7f3a@leak.example..")
    (tmp_path / "dump.json.gz").write_bytes(gzip.compress(b"[...canary-7f3a@leak.example]"))
    found = leaks({b"canary-7f3a@leak.example", b"nowhere"}, places(tmp_path))
    assert sorted(Path(where.split(":")[0].removesuffix(", unpacked")).name for where in found) == [
        "dump.json.gz",
        "plain",
    ]
