"""Connections: what a database error may tell, and what a session may do."""

import psycopg
import pytest

from tasks.dumps.connections import connected_to, exported_snapshot, use_snapshot, without_values
from tasks.estate.errors import Misconfigured, NotExported, Unreachable


@pytest.mark.parametrize(
    ("statement", "kept", "gone"),
    [
        ("SELECT 'anna@leak.example'::int", "22P02", "anna"),
        ("SELECT '2026-99-01'::date", "22008", "99"),
        ("INSERT INTO t VALUES (1, 'x', 'Anna Muster')", "constraint t_pkey", "Anna"),
        ("INSERT INTO t VALUES (2, 'toolong', 'Anna Muster')", "22001", "Anna"),
        ("INSERT INTO t VALUES (3, NULL, 'Anna Muster')", 'column "short"', "Anna"),
        ("INSERT INTO t VALUES (4, 'y', 'Anna \"quoted\" Muster')", "constraint no_quotes", "quoted"),
        ("DO $$BEGIN RAISE EXCEPTION 'row of %', 'Anna Muster'; END$$", "P0001", "Anna"),
        ("SELECT '{\"anna\": '::jsonb", "22P02", "anna"),
    ],
)
def test_an_error_names_things_and_never_values(statement: str, kept: str, gone: str, database: str) -> None:
    """SQLSTATE, table, column and constraint stay; whatever a row holds does not."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE t (id int PRIMARY KEY, short varchar(3) NOT NULL, name text CONSTRAINT no_quotes CHECK (name !~ '\"'))"
        )
        connection.execute("INSERT INTO t VALUES (1, 'a', 'b')")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement.encode())
    text = without_values(caught.value)
    assert kept in text
    assert gone not in text


def test_a_reading_session_cannot_write(database: str) -> None:
    """Whatever the role may do, an export's connection refuses to."""
    with (
        connected_to(database, name="test", statement_within=5) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("CREATE TABLE t (id int)")


def test_a_statement_that_takes_too_long_is_ended(database: str) -> None:
    """Every connection has a limit on its statements."""
    with (
        connected_to(database, name="test", statement_within=0.1) as connection,
        pytest.raises(psycopg.errors.QueryCanceled),
    ):
        connection.execute("SELECT pg_sleep(5)")


def test_an_unreachable_server_is_transient_and_a_wrong_login_is_not() -> None:
    """If nothing listens, the call may be tried again; a wrong address is not tried again. Neither error quotes the password."""
    with (
        pytest.raises(Unreachable) as nobody,
        connected_to("postgresql://u:geheim@127.0.0.1:1/x", name="t", statement_within=1),
    ):
        pass
    with pytest.raises(Misconfigured) as no_address, connected_to("postgres//u:geheim", name="t", statement_within=1):
        pass
    assert "geheim" not in nobody.value.message + no_address.value.message


def test_a_snapshot_is_shared_and_a_foreign_one_is_refused(database: str) -> None:
    """A second connection sees what the first saw, whatever was committed since; an unknown snapshot is an error in words."""
    with psycopg.connect(database, autocommit=True) as writer:
        writer.execute("CREATE TABLE t (id int)")
        with connected_to(database, name="a", statement_within=5) as holder, exported_snapshot(holder) as held:
            writer.execute("INSERT INTO t VALUES (1)")
            with connected_to(database, name="b", statement_within=5) as reader:
                use_snapshot(reader, held)
                assert reader.execute("SELECT count(*) FROM public.t").fetchone() == (0,)
            with (
                connected_to(database, name="c", statement_within=5) as stranger,
                pytest.raises(NotExported, match="does not have the exported snapshot"),
            ):
                use_snapshot(stranger, "00000099-00000099-1")


SECRET = "Zq7vXw9k"
WRONG = [
    "postgresql://loader:{}/{}@127.0.0.1:1/app", "postgresql://loader:se@{}@127.0.0.1:1/app",
    "postgresql://loader:{}%{}@127.0.0.1:1/app", "postgresql://loader:{}#{}@127.0.0.1:1/app",
    "postgresql://loader:{}?{}@127.0.0.1:1/app", "postgresql://loader:{} {}@127.0.0.1:1/app",
    "postgresql://loader:{}", "mysql://loader:{}@127.0.0.1/app", "{}", "host=127.0.0.1 password={} {}",
    "postgresql://loader:x@127.0.0.1:{}/app",
]  # fmt: skip


@pytest.mark.parametrize("address", WRONG)
def test_a_wrong_address_shows_no_part_of_itself(address: str) -> None:
    """The message explains how to encode the value. Neither it nor its chain contains a part of the value."""
    with (
        pytest.raises(Misconfigured) as wrong,
        connected_to(address.replace("{}", SECRET), name="t", statement_within=1),
    ):
        pass
    assert "%2F" in wrong.value.next_step
    assert wrong.value.__cause__ is None
    assert wrong.value.__context__ is None
    assert not any(SECRET[at : at + 4] in f"{wrong.value!r} {wrong.value}" for at in range(5))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://loader:p%2Fa%40s%3A%25%3F%23%20s@127.0.0.1:1/app", "postgres://loader:a:b@[::1]:1/app",
        "postgresql://u:p@127.0.0.1:1,[::1]:1/app?connect_timeout=2", "host=127.0.0.1 port=1 password='a b' dbname=app",
        "postgresql:///app?host=/nowhere/at/all", "postgresql://%2Fnowhere/app",
    ],
)  # fmt: skip
def test_a_right_address_is_tried(address: str) -> None:
    """Encoded passwords, IPv6, several hosts, sockets and keywords are read: nobody answers there, and the error reports it."""
    with pytest.raises(Unreachable), connected_to(address, name="t", statement_within=1):
        pass


def test_time_outs_of_the_role_do_not_hold(database: str) -> None:
    """What a role or database sets for its application would end a snapshot or a load half-way."""
    names = ("idle_session_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    with psycopg.connect(database, autocommit=True) as connection:
        for name in names:
            connection.execute(f"ALTER ROLE CURRENT_USER SET {name} = '50s'".encode())
    try:
        with connected_to(database, name="t", statement_within=1) as connection:
            assert [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names] == [("0",)] * 3
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ALTER ROLE CURRENT_USER RESET ALL")
