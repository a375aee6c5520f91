"""Addresses in settings: accepted if they have one meaning, otherwise refused, and never shown."""

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url

from tasks.configuration.setting_addresses import (
    ADDRESSES,
    database_address,
    ledger_address,
    prefect_address,
    server_and_database,
)
from tasks.configuration.settings import forget_settings, load_settings
from tasks.dumps.connections import connected_to
from tasks.estate.errors import Misconfigured, UnderstudyError

VARIABLE = "UNDERSTUDY_TARGET_DATABASE"
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=24)
WRONG = [
    "postgresql://loader:pa/ss@127.0.0.1:1/app",
    "postgresql://loader:se@cret@127.0.0.1:1/app",
    "postgresql://loader:100%@127.0.0.1:1/app",
    "postgresql://loader:a%zz@127.0.0.1:1/app",
    "postgresql://loader:pa#ss@127.0.0.1:1/app",
    "postgresql://loader:pa?ss@127.0.0.1:1/app",
    "postgresql://loader:1?sslmode=require@127.0.0.1/app",
    "postgresql://loader:pa ss@127.0.0.1:1/app",
    "postgresql://loader:pass@127.0.0.1:port/app",
    "postgresql://loader:pass@127.0.0.1:99999/app",
    "postgresql://loader:pass@127.0.0.1:1/app/more",
    "postgresql://loader:pass@[::1/app",
    "postgresql:/loader:pass@127.0.0.1/app",
    "postgres//loader:pass@127.0.0.1/app",
    "mysql://loader:pass@127.0.0.1/app",
    "loader:pass@127.0.0.1/app",
    "host=127.0.0.1 password='open",
    "host=127.0.0.1 secretword=pass",
    "\npostgresql://loader:pass@127.0.0.1/app",
]
RIGHT = {
    "postgresql://reader@db.example.org/app": "db.example.org",
    "postgres://reader:p%40ss%2Fw%25rd@db.example.org:5433/app": "db.example.org",
    "postgresql+psycopg://reader:x@db.example.org/app": "db.example.org",
    "postgresql://reader:a:b@db.example.org/app?sslmode=require": "db.example.org",
    "postgresql://reader:x@[::1]:5432/app": "::1",
    "postgresql://reader:x@one:5432,two:5433/app?target_session_attrs=read-write": "one,two",
    "postgresql://postgres@/app?host=/var/run/postgresql": "/var/run/postgresql",
    "postgresql://postgres@%2Fvar%2Frun%2Fpostgresql/app": "/var/run/postgresql",
    "postgresql:///app": None,
    "host=db.example.org dbname=app user=reader password='it\\'s'": "db.example.org",
    "service=production": None,
}


def refusal(name: str, value: str) -> str:
    """Return all texts of the refusal of a setting, which has no cause or context; "" if the value is accepted."""
    try:
        ADDRESSES[name](f"UNDERSTUDY_{name.upper()}", value)
    except Misconfigured as error:
        refused = error
    else:
        return ""
    assert refused.__cause__ is None
    assert refused.__context__ is None or refused.__suppress_context__
    return f"{refused.message} {refused.next_step} {refused.facts} {refused.args}"


@pytest.mark.parametrize("address", WRONG)
def test_an_address_that_can_be_read_in_two_ways_is_refused(address: str) -> None:
    """The error names the variable and the encoding, with the same text for every value."""
    found = refusal("target_database", address)
    assert found in (refusal("target_database", "~"), refusal("target_database", "host='"))
    assert (VARIABLE in found, "@ as %40" in found) == (True, True)


@pytest.mark.parametrize("address", RIGHT)
def test_every_form_for_libpq_is_accepted(address: str) -> None:
    """URIs with encoded passwords, several hosts, sockets and IPv6, and libpq's keywords."""
    found = conninfo_to_dict(database_address(VARIABLE, address))
    assert found.get("host") == RIGHT[address]


@given(SECRETS, st.sampled_from(["postgresql://", "postgres://", "postgresql+psycopg://"]))
def test_an_encoded_password_arrives_as_it_is(secret: str, scheme: str) -> None:
    """Any encoded password is accepted, and libpq reads the same password and the right host."""
    address = f"{scheme}loader:{quote(secret, safe='')}@db.example.org:5432/app"
    found = conninfo_to_dict(database_address(VARIABLE, address))
    assert (found["password"], found["host"], str(found["port"])) == (secret, "db.example.org", "5432")
    assert make_url(ledger_address("UNDERSTUDY_LEDGER_URL", address)).password == secret
    assert server_and_database(database_address(VARIABLE, address)) == "db.example.org:5432/app"


@given(SECRETS)
def test_a_raw_password_is_read_right_or_refused(secret: str) -> None:
    """No part of a password is read as a host, a port or a database."""
    address = f"postgresql://loader:{secret}@db.example.org:5432/app"
    if found := refusal("target_database", address):
        assert found == refusal("target_database", "~")
        return
    read = conninfo_to_dict(database_address(VARIABLE, address))
    assert (read["host"], str(read["port"]), read["dbname"]) == ("db.example.org", "5432", "app")


@given(
    st.sampled_from([name for name in ADDRESSES if name != "notices"]),
    st.sampled_from(["", "postgresql://", "https://", "s3://", "sqlite:///"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60),
)
def test_nothing_of_any_value_is_shown_for_any_setting(name: str, scheme: str, value: str) -> None:
    """Random text in each setting is accepted, or refused with a text that does not depend on it."""
    assert refusal(name, scheme + value) in (
        "",
        refusal(name, "a://b#~"),
        refusal(name, "sqlite~"),
        refusal(name, "host='"),
        refusal(name, "https://host.example") if name == "api_url" else "",
    )


@pytest.mark.parametrize("address", ["https://api.example", "https://api.example/", "https://api.example/v1/installs"])
def test_the_hosting_api_needs_its_version(address: str) -> None:
    """An address without /v1 is refused: the host would answer 404 to everything."""
    assert "UNDERSTUDY_API_URL does not end with /v1" in refusal("api_url", address)


@pytest.mark.parametrize("address", ["https://api.example/v1", "https://gateway.example:8443/host/v1/"])
def test_the_hosting_api_with_its_version_is_accepted(address: str) -> None:
    """A gateway with a path and a slash at the end are accepted."""
    assert ADDRESSES["api_url"]("UNDERSTUDY_API_URL", address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    ["http://host:4200", "http://host:4200/", "host:4200/api", "http://host:4200/api/flows", "https://u:ge/heim@host/api",
     "http://host:99999/api", "http://host/api?x=1", "https://app.prefect.cloud/account/1/workspace/2"],
)  # fmt: skip
def test_an_address_that_is_no_prefect_api_is_refused(address: str) -> None:
    """The message contains the variable, the expected form and the remedy, and no part of the value."""
    with pytest.raises(Misconfigured, match="PREFECT_API_URL is not the address of a Prefect API") as refused:
        prefect_address("PREFECT_API_URL", address)
    assert "http://host:4200/api" in refused.value.next_step
    assert "heim" not in refused.value.message + refused.value.next_step


@pytest.mark.parametrize(
    "address",
    ["http://host:4200/api", "http://[::1]:4200/api/", "https://user:pass@host/prefect/api",
     "https://api.prefect.cloud/api/accounts/1-2/workspaces/3-4"],
)  # fmt: skip
def test_every_form_of_a_prefect_api_is_accepted(address: str) -> None:
    """A server, also behind a path or with a login, and a workspace of Prefect Cloud are accepted."""
    assert prefect_address("PREFECT_API_URL", address) == address


def test_a_place_for_notices_is_named_by_its_number() -> None:
    """A wrong entry is identified by its number, because its address contains a password."""
    assert "entry 2" in refusal("notices", "slack-webhook/leads not~a~place mailtos://a:b@c")


@pytest.mark.parametrize("name", sorted(ADDRESSES))
def test_a_wrong_address_ends_before_the_first_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any wrong address makes the settings as a whole not valid, with the name of the variable."""
    monkeypatch.setenv(f"UNDERSTUDY_{name.upper()}", "http//geheim:wort@nirgends:99999:/@ %")
    forget_settings()
    if name == "dump_folder":
        monkeypatch.setenv("UNDERSTUDY_DUMP_FOLDER", "s3://key:geheim/wort@bucket/x#y")
        forget_settings()
    with pytest.raises(Misconfigured, match=f"UNDERSTUDY_{name.upper()}") as refused:
        load_settings()
    forget_settings()
    assert "geheim" not in refused.value.message + refused.value.next_step


@given(SECRETS)
@settings(max_examples=20)
def test_a_server_that_does_not_answer_shows_no_part_of_a_login(secret: str) -> None:
    """A failed connection shows no login, even if the password is in the place of the host."""
    hidden = quote(secret, safe="")
    assert _unreachable(f"postgresql://loader:{hidden}@127.0.0.1:1/app") == _unreachable(
        "postgresql://a:b@127.0.0.1:1/app"
    )
    assert _unreachable(f"postgresql://{hidden}:1/app?hostaddr=127.0.0.1") == _unreachable("postgresql:///x?port=1")


def _unreachable(address: str) -> str:
    with pytest.raises(UnderstudyError) as failed, connected_to(address, name="t", statement_within=1):
        pass
    assert failed.value.__suppress_context__
    return failed.value.message
