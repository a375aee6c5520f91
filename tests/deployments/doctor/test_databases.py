"""The databases as a worker needs them: a source that it may read, and a target that it may write."""

import psycopg
import pytest

from deployments.doctor.databases import examine_databases
from deployments.doctor.examination import Finding, examine
from deployments.sandbox.postgres import Postgres
from tasks.configuration.settings import forget_settings
from tasks.estate.estate import Database, Estate


def findings() -> dict[str, Finding]:
    """Return the findings by check."""
    return {each.check: each for each in examine("databases", lambda: examine_databases(Estate()))}


@pytest.fixture
def tables(database: str, worker: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with two tables, as source and target of a worker that may load."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE one (id int)")
        connection.execute("CREATE TABLE two (id int)")
    for name, value in {"SOURCE_DATABASE": database, "TARGET_DATABASE": database, "MASKING_KEY": "0" * 64}.items():
        monkeypatch.setenv(f"UNDERSTUDY_{name}", value)
    monkeypatch.setenv("APP_ALLOW_PROD_IMPORT", "true")
    forget_settings()
    return database


def test_an_owner_may_do_everything(tables: str) -> None:
    """The owner of the tables reads and writes all of them."""
    found = findings()
    assert {check: each.verdict for check, each in found.items()} == dict.fromkeys(
        ["source database", "target database", "imports allowed"], "passed"
    )
    assert "all 2 tables" in found["source database"].detail


def test_missing_rights_are_named(tables: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unread tables may be excluded by a policy, which is not known here; what the target lacks fails, with the statement."""
    with psycopg.connect(tables) as connection:
        connection.execute("CREATE ROLE weak LOGIN")
        connection.execute("GRANT SELECT (id) ON one TO weak")
        connection.execute("GRANT INSERT ON two TO weak")
    weak = postgres.url(psycopg.conninfo.conninfo_to_dict(tables)["dbname"], user="weak")
    monkeypatch.setenv("UNDERSTUDY_SOURCE_DATABASE", weak)
    monkeypatch.setenv("UNDERSTUDY_TARGET_DATABASE", weak)
    forget_settings()
    try:
        source, *target = [
            each for each in examine("databases", lambda: examine_databases(Estate())) if "database" in each.check
        ]
    finally:
        with psycopg.connect(tables) as connection:
            connection.execute("DROP OWNED BY weak")
            connection.execute("DROP ROLE weak")
    assert (source.verdict, "public.two" in source.detail, "public.one" in source.detail) == ("not known", True, False)
    assert [each.verdict for each in target] == ["failed", "failed"]
    assert "GRANT CREATE ON DATABASE" in target[0].remedy
    assert "public.one, public.two" in target[1].detail


def test_a_worker_without_key_or_permission_fails(tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a masking key nothing can be exported, and without the variable nothing is loaded."""
    monkeypatch.setenv("UNDERSTUDY_MASKING_KEY", "")
    monkeypatch.setenv("APP_ALLOW_PROD_IMPORT", "yes")
    forget_settings()
    found = findings()
    assert (found["masking key"].verdict, found["imports allowed"].verdict) == ("failed", "failed")


def test_a_database_that_is_away_is_not_known(tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its password is not repeated, and an empty database has nothing to export."""
    monkeypatch.setenv("UNDERSTUDY_SOURCE_DATABASE", "postgresql://reader:hidden@127.0.0.1:1/app")
    forget_settings()
    found = findings()["source database"]
    assert (found.verdict, "hidden" in found.detail) == ("not known", False)


def test_a_database_with_settings_of_its_own_is_not_known(worker: object) -> None:
    """A database of the estate whose addresses are not the worker's own is never passed over in silence."""
    named = {"name": "Portal", "application": "portal", "policy": "portal", "source_hostname": "schule.example"}
    own = Database(source="UNDERSTUDY_SOURCE_DATABASE", **named)
    other = Database(source="UNDERSTUDY_PORTAL_SOURCE", **named)
    assert list(examine_databases(Estate(databases=(own,)))) == []
    (found,) = examine_databases(Estate(databases=(other,)))
    assert (found.check, found.verdict) == ("database Portal", "not known")
