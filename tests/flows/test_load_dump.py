"""The workflow that this one replaces, line by line: the numbers are those of its description."""

import re
from collections.abc import Callable
from typing import Any

import bcrypt
import psycopg
import pytest

from flows.load_dump import load_dump
from flows.reload import reload
from tasks.configuration.settings import forget_settings
from tasks.dumps.load_plan import require_host
from tasks.estate.errors import WrongHost

HOST = "staging.schule.example"
E1 = "Import is not enabled on this instance."
E2 = "The hostname you entered does not match this instance."
E3 = "Dump schema version 42 is newer than this instance supports."
Start = Callable[..., Any]


@pytest.mark.parametrize(("flow", "more"), [(load_dump, {"dump": "latest"}), (reload, {})], ids=["load_dump", "reload"])
def test_w1_without_the_gate_the_worker_refuses(
    flow: Any, more: dict[str, str], start: Start, school: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E1, before anything else is looked at: not even the target is connected to, so nothing can be written there."""
    monkeypatch.delenv("APP_ALLOW_PROD_IMPORT")
    monkeypatch.setenv("UNDERSTUDY_TARGET_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("UNDERSTUDY_SOURCE_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    forget_settings()
    run = start(flow, hostname=HOST, **more)
    assert run.state == "GateClosed"
    assert run.message.startswith(E1)


def test_w4_the_typed_hostname_is_compared_with_the_real_target(
    start: Start, school: Any, whole: Any, last_attempt: Callable[[Any], tuple[str, str]]
) -> None:
    """E2 for any other name at the start. A form that does not ask for a name takes none, and the run still waits."""
    before = school.contents()
    run = start(load_dump, hostname="schulportal.example", dump=whole.dump)
    assert run.state == "WrongHost"
    assert run.message.startswith(E2)
    assert last_attempt(school) == ("failed", E2)
    asked = start(load_dump, hostname=HOST, dump=whole.dump)
    assert asked.state == "Suspended", asked.message
    assert asked.say(destination="schulportal.example") == "REJECT"
    assert asked.state == "Suspended"
    after = school.contents()
    assert {name for name in before if before[name] != after[name]} == {'public."ImportExportAudit"'}


@pytest.mark.parametrize("typed", [HOST, " Staging.SCHULE.example\n"])
def test_w4_the_typed_hostname_is_trimmed_and_lowered(typed: str) -> None:
    """Spaces around it and its case do not matter."""
    require_host(typed, HOST)


@pytest.mark.parametrize("typed", ["", "staging", "staging.schule.example.org", "staging.schule.example."])
def test_w4_anything_else_is_refused(typed: str) -> None:
    """With exactly the text E2; an empty name never matches, not even an unknown host."""
    for real in (HOST, ""):
        with pytest.raises(WrongHost) as refused:
            require_host(typed, real)
        assert refused.value.message == E2


def test_w6_an_approval_comes_before_the_load(start: Start, school: Any, whole: Any) -> None:
    """Until a person approves nothing is touched; a rejection ends the run. No decision is chosen in the form."""
    before = school.contents()
    run = start(load_dump, hostname=HOST, dump=whole.dump)
    assert run.state == "Suspended", run.message
    assert school.contents() == before
    assert "default" not in run.form["properties"]["decision"]
    run.say("reject", reason="not today")
    assert run.go().state == "Rejected"
    after = school.contents()
    assert {name for name in before if before[name] != after[name]} == {'public."ImportExportAudit"'}


NONE = "SELECT count(*) FROM "
ANONYMIZERS = {
    "email": NONE + "users WHERE email IS DISTINCT FROM 'user-' || id || '@staging.local'",
    "names, everywhere the same": NONE + "students s JOIN users u ON u.id = s.user_id WHERE (s.first_name, s.last_name)"
    " IS DISTINCT FROM (u.first_name, u.last_name)",
    "names, in payments too": NONE + "billing.payments p JOIN users u ON u.id = p.payer_id WHERE p.payer_name <>"
    " u.first_name || ' ' || u.last_name",
    "contact": NONE + "users WHERE concat(phone, mobile, street, postcode, city) <> ''",
    "contact, where the domain refuses an empty text": NONE + "users WHERE postcode IS NOT NULL",
    "passwords": "SELECT count(DISTINCT password_hash) - 1 FROM users",
    "bodies": NONE + "messages WHERE body <> '[scrubbed for staging]'",
    "bodies of letters": NONE + "parental_letters WHERE body_html <> '[scrubbed for staging]'",
    "attachments": NONE + "attachments WHERE substr(content, 2, 3) <> 'PNG'",
    "attachments, one and the same": "SELECT count(DISTINCT content) - 1 FROM attachments",
    "attachments, size and checksum": NONE + "attachments WHERE size_bytes <> octet_length(content)"
    " OR sha256 <> encode(sha256(content), 'hex')",
}  # fmt: skip


@pytest.mark.parametrize("kind", ANONYMIZERS)
def test_w7_six_anonymizers_are_on(whole: Any, kind: str) -> None:
    """No row differs from what the anonymizer produces."""
    assert whole.school.ask(ANONYMIZERS[kind]) == [(0,)]


def test_w7_names_and_types_of_attachments_are_kept(whole: Any) -> None:
    """Only the content is replaced."""
    form = "SELECT id, file_name, mime_type FROM attachments ORDER BY id"
    assert whole.school.ask(form) == whole.school.ask(form, production=True)


def test_w8_a_failing_load_changes_nothing(
    approve: Start, school: Any, whole: Any, last_attempt: Callable[[Any], tuple[str, str]]
) -> None:
    """Staging refuses a row: all is as before, sequences and foreign keys too; the audit row contains the reason, without values."""
    school.change(  # what calls a function cannot be tried at the plan: a person approves it nevertheless
        "TRUNCATE messages CASCADE; CREATE FUNCTION few(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT $1 < 7';"
        "ALTER TABLE messages ADD CONSTRAINT few CHECK (few(id))"
    )
    structure = """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
    WHERE conrelid::regclass::text NOT LIKE 'understudy%' ORDER BY 1, 2"""
    sequences = """SELECT schemaname, sequencename, last_value FROM pg_sequences
    WHERE sequencename NOT LIKE 'Import%' ORDER BY 1, 2"""
    before = school.contents(), school.ask(structure), school.ask(sequences)
    run = approve(load_dump, hostname=HOST, dump=whole.dump)
    assert run.state == "NotLoaded", run.message
    after = school.contents(), school.ask(structure), school.ask(sequences)
    assert {name for name in before[0] if before[0][name] != after[0][name]} == {'public."ImportExportAudit"'}
    assert before[1:] == after[1:]
    status, error = last_attempt(school)
    assert status == "failed"
    assert error in run.message
    assert re.search(
        r'SQLSTATE 23514: .*relation "messages" .*constraint "few" \(schema public, table messages, constraint few\)',
        error,
    )
    assert not re.search(r"Failing row|staging\.local|scrubbed|DETAIL|line \d", run.message + run.report + error)


@pytest.mark.parametrize(
    ("table", "key"),
    [("users", "id"), ("classes", "id"), ("messages", "id"), ("attachments", "id"), ("billing.invoices", "id"), ("settings", "key"),
     ("students", "(school_code, student_number, user_id, class_id)"), ("audit_events", "(id, at, actor_id)")],
)  # fmt: skip
def test_w9_ids_are_preserved(whole: Any, table: str, key: str) -> None:
    """Every key of production is a key of staging, and no other is."""
    form = f"SELECT md5(string_agg({key}::text, ' ' ORDER BY {key})), count(*) FROM {table}"  # noqa: S608  # from this file
    assert whole.school.ask(form) == whole.school.ask(form, production=True)


def test_w10_sequences_go_on_past_the_last_id(whole: Any) -> None:
    """Serial, identity, shared and unowned ones: the next value is taken by no row."""
    owned = """SELECT seqrelid::regclass::text, d.refobjid::regclass::text, quote_ident(a.attname) FROM pg_sequence
    JOIN pg_depend d ON d.objid = seqrelid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"""
    looked = whole.school.ask(owned)
    assert len(looked) >= 10
    for sequence, table, column in looked:
        if "ImportExportAudit" not in table:
            form = (
                f"SELECT last_value + is_called::int > coalesce((SELECT max({column}) FROM {table}), 0) FROM {sequence}"  # noqa: S608  # from the catalogue
            )
            assert whole.school.ask(form) == [(True,)], sequence
    ((following,),) = whole.school.ask("SELECT last_value + 10 * is_called::int FROM letter_number_seq")
    assert whole.school.ask("SELECT max(substr(number, 4)::int) FROM parental_letters")[0][0] < following


def test_w11_soft_deleted_rows_stay_soft_deleted(whole: Any) -> None:
    """The same rows, with the same time of deletion."""
    form = "SELECT id, deleted_at FROM users WHERE deleted_at IS NOT NULL ORDER BY id"
    assert whole.school.ask(form) == whole.school.ask(form, production=True) != []


def test_w17_every_login_can_read_the_marker(whole: Any) -> None:
    """A role without privileges reads the banner: where the data is from, when, and what it is."""
    visitor = whole.school.staging.replace("schulportal@", "schulportal_reader@")
    with psycopg.connect(visitor) as connection:
        (row,) = connection.execute(
            "SELECT app, run_id, contains_personal_data, notice FROM understudy.staging_data"
        ).fetchall()
    assert row[:3] == ("schulportal", whole.loaded.id, False)
    assert row[3].startswith("Staging data: pseudonymised copy of ")


def test_w15_every_account_logs_in_with_the_staging_password(whole: Any) -> None:
    """The one hash opens for staging123, in the prefix that the application reads; no original hash is on staging."""
    ((hashed,),) = whole.school.ask("SELECT DISTINCT password_hash FROM users")
    assert hashed.startswith("$2y$")
    assert bcrypt.checkpw(b"staging123", hashed.encode())
    originals = whole.school.ask("SELECT DISTINCT password_hash FROM users", production=True)
    assert (hashed,) not in originals
