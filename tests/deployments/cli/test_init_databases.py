"""`init` and databases: both addresses are tried, and described only under a name that somebody chose."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tasks.configuration.estate_file import load_estate

ANNA = "Anna Lead <anna@schulfest.example>"


@pytest.fixture
def school(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with a table, whose address is in the environment."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE people (id int PRIMARY KEY)")
    monkeypatch.setenv("UNDERSTUDY_SOURCE_DATABASE", database)
    return database


def test_databases_are_tried_and_described(
    init: Callable[..., Any], nothing: Path, monkeypatch: pytest.MonkeyPatch, school: str, postgres: Any
) -> None:
    """The key is made, addresses are in the environment file only, and a second database has settings of its own."""
    given = ("--no-account", "--show-secret", "--no-deploy", "--yes", "--server", "http://127.0.0.1:9/api", "--json")
    monkeypatch.setenv("UNDERSTUDY_TARGET_DATABASE", postgres.create(f"staging_{nothing.parent.name[:30]}"))
    done = init("--application", "schulportal", "--hostname", "staging.schule.example", "--lead", ANNA, *given)
    assert done.exit_code == 0, done.output
    assert [each["name"] for each in json.loads(done.stdout)["secrets"]] == ["Anna Lead"]
    assert "UNDERSTUDY_MASKING_KEY=" in (nothing / "worker.env").read_text()
    assert school not in (nothing / "estate.yaml").read_text()
    assert json.loads(init("--application", "schulportal", *given).stdout)["databases"] == []
    monkeypatch.setenv("UNDERSTUDY_VEREIN_2_SOURCE", school)
    assert init("--application", "verein-2", *given).exit_code == 0
    assert [(each.policy, each.source, each.hostname) for each in load_estate(nothing / "estate.yaml").databases] == [
        ("schulportal", "UNDERSTUDY_SOURCE_DATABASE", "staging.schule.example"),
        ("verein-2", "UNDERSTUDY_VEREIN_2_SOURCE", None),
    ]


def test_the_one_database_of_a_worker_is_described_on_request_only(
    init: Callable[..., Any], nothing: Path, school: str
) -> None:
    """An entry binds policies to databases: nobody is asked for its name, so none is made."""
    done = init(
        "--no-account", "--lead", ANNA, "--show-secret", "--no-deploy", "--yes", "--server", "http://127.0.0.1:9/api"
    )
    assert done.exit_code == 0, done.output
    assert "--application describes it" in done.stdout
    assert load_estate(nothing / "estate.yaml").databases == ()


@pytest.mark.parametrize(
    ("side", "address", "named"),
    [
        ("SOURCE", "postgresql://user:ge/heim@host/x", "UNDERSTUDY_SOURCE_DATABASE is ambiguous"),
        ("SOURCE", "postgresql://user@127.0.0.1:9/x", "does not answer"),
        ("TARGET", "", "This is the address of production's database"),
    ],
)
def test_a_wrong_address_is_refused_at_once(
    init: Callable[..., Any],
    nothing: Path,
    monkeypatch: pytest.MonkeyPatch,
    school: str,
    side: str,
    address: str,
    named: str,
) -> None:
    """An address that is not one, a server that is away, and production in the place of staging."""
    monkeypatch.setenv(f"UNDERSTUDY_{side}_DATABASE", address or school)
    done = init("--no-account", "--application", "app", "--lead", ANNA, "--show-secret", "--yes")
    assert done.exit_code == 1
    assert named in done.stderr
    assert "heim" not in done.output
    assert not (nothing / "estate.yaml").exists()
    assert not (nothing / "worker.env").exists()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--application", "Bad name", "lower case, digits"),
        ("--hostname", "staging host", "the hostname of the staging"),
    ],
)
def test_a_name_that_the_estate_refuses_is_explained(
    init: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    school: str,
    postgres: Any,
    option: str,
    value: str,
    expected: str,
) -> None:
    """The same words as for a mistake in the file, and nothing is written."""
    monkeypatch.setenv("UNDERSTUDY_TARGET_DATABASE", postgres.create(f"staging_of{option.replace('-', '_')}"))
    given = {"--application": "app", "--hostname": "staging.example"} | {option: value}
    done = init(
        "--no-account", "--lead", ANNA, "--show-secret", "--yes", *(word for pair in given.items() for word in pair)
    )
    assert (done.exit_code, value in done.stderr, expected in done.stderr) == (1, True, True), done.output
