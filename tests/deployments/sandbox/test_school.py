"""The database of the school: hard, repeatable, harmless, and classified column by column."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from deployments.sandbox.postgres import Postgres
from deployments.sandbox.school.database import CANARIES, OWNER, READER, build

SCALE = 0.05


def new(server: Postgres, **options: Any) -> str:
    """The address of a school's database, newly built."""
    url = server.create(f"school_{uuid4().hex[:12]}")
    build(url, **{"scale": SCALE, **options})
    return url


@pytest.fixture(scope="module")
def production(postgres: Postgres) -> str:
    """Production's database, a small one. Tests read it only."""
    return new(postgres)


@pytest.fixture(scope="module")
def staging(postgres: Postgres) -> str:
    """Staging's database, a small one. Tests read it only."""
    return new(postgres, staging=True)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


TABLES = """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_|information' ORDER BY 1, 2"""


def contents(url: str) -> Iterator[tuple[str, str]]:
    """Every table with all its rows as COPY prints them, bytes as the text they are where they are text."""
    with psycopg.connect(url) as connection:
        for schema, table in connection.execute(TABLES).fetchall():
            query = sql.SQL("COPY (SELECT t.* FROM ONLY {} t ORDER BY t::text) TO STDOUT")
            if table == "audit_events":
                query = sql.SQL("COPY (SELECT t.* FROM {} t ORDER BY t::text) TO STDOUT")
            with connection.cursor().copy(query.format(sql.Identifier(schema, table))) as copy:
                text = b"".join(copy).decode()
            if table == "attachments":
                attached = connection.execute(
                    "SELECT content FROM attachments WHERE mime_type = 'text/plain'"
                ).fetchall()
                text += "".join((content or b"").decode(errors="replace") for (content,) in attached)
            yield f"{schema}.{table}", text


@pytest.fixture(scope="module")
def produced(production: str) -> dict[str, str]:
    """Production's rows by table."""
    return dict(contents(production))


def test_same_rows_every_time(postgres: Postgres, produced: dict[str, str]) -> None:
    """Built twice, the rows are the same to the byte; only the clock's and the dice's defaults would differ."""
    assert dict(contents(new(postgres))) == produced


def test_every_table_has_rows(produced: dict[str, str], staging: str) -> None:
    """No table is empty, so nothing is tested by luck. Mail is only queued by triggers, which did not fire."""
    assert [table for table, text in produced.items() if not text] == []
    assert [table for table, text in contents(staging) if not text] == ["public.mail_queue"]
    assert produced["public.mail_queue"].count("\n") == 1


@pytest.mark.parametrize("kind", CANARIES)
def test_canaries_are_in_production_only(kind: str, produced: dict[str, str], staging: str) -> None:
    """Each canary sits in production's rows, and staging has never seen it."""
    assert any(CANARIES[kind] in text for text in produced.values())
    assert not any(CANARIES[kind] in text for _, text in contents(staging))


def test_canaries_are_everywhere(produced: dict[str, str], production: str) -> None:
    """A canary sits in every table that may hold personal data, and in every partition."""
    without = [table for table, text in produced.items() if not any(canary in text for canary in CANARIES.values())]
    assert without == ["public.classes", "public.lessons", "public.student_guardians"]
    homes = rows(
        production,
        "SELECT DISTINCT tableoid::regclass::text FROM audit_events WHERE detail::text LIKE '%@leak.example%'",
    )
    assert len(homes) == 4


def test_ibans_are_valid(production: str) -> None:
    """Every IBAN passes its checksum (ISO 13616), the canary too: a recogniser that checks must find them."""
    found = [iban for (iban,) in rows(production, "SELECT iban FROM users WHERE iban IS NOT NULL")]
    assert CANARIES["iban"] in found
    for iban in found:
        assert int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1


def test_nasty_text_is_there(production: str) -> None:
    """Bodies hold what breaks line-wise formats: tabs, line ends, quotes, backslashes, COPY's NULL as data, emoji."""
    (text,) = rows(production, "SELECT string_agg(body, '') FROM messages")[0]
    assert all(part in text for part in ("\t", "\n", "\r\n", '"', "\\", "\\N", "null", "🙂👍🏽"))


HARD = {
    "a cycle of foreign keys": """SELECT count(*) = 2 FROM pg_constraint WHERE contype = 'f' AND (conrelid, confrelid) IN
        (('users'::regclass, 'classes'::regclass), ('classes'::regclass, 'users'::regclass))""",
    "a foreign key onto its own table": "SELECT count(*) = 1 FROM pg_constraint WHERE contype = 'f' AND conrelid = confrelid",
    "a foreign key of two columns": "SELECT count(*) = 1 FROM pg_constraint WHERE contype = 'f' AND cardinality(conkey) = 2",
    "a foreign key that is not validated": "SELECT count(*) = 1 FROM pg_constraint WHERE contype = 'f' AND NOT convalidated",
    "a table that stays and refers to one that is loaded": """SELECT count(*) = 1 FROM pg_constraint
        WHERE contype = 'f' AND conrelid = '"ImportExportAudit"'::regclass""",
    "a partition in another schema": """SELECT count(*) = 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE c.relispartition AND c.relkind = 'r' AND c.relnamespace = 'archive'::regnamespace""",
    "a partition with another order of columns": """SELECT count(*) > 0 FROM pg_attribute a JOIN pg_attribute b USING (attname)
        WHERE a.attrelid = 'audit_events'::regclass AND b.attrelid = 'archive.audit_events_2024'::regclass
            AND a.attnum > 0 AND a.attnum <> b.attnum""",
    "rows in every partition": "SELECT count(DISTINCT tableoid) = 4 FROM audit_events",
    "an inherited table": "SELECT count(*) = 1 FROM pg_inherits WHERE inhparent = 'notices'::regclass",
    "an exclusion constraint": "SELECT count(*) = 1 FROM pg_constraint WHERE contype = 'x'",
    "a unique index on an expression": "SELECT count(*) = 1 FROM pg_index WHERE indisunique AND indexprs IS NOT NULL",
    "generated columns": """SELECT count(*) = 2 FROM information_schema.columns WHERE is_generated = 'ALWAYS'""",
    "identity columns of both kinds": "SELECT array_agg(DISTINCT attidentity) @> '{a,d}' FROM pg_attribute",
    "a sequence that no column owns": """SELECT count(*) = 1 FROM pg_class c WHERE relkind = 'S' AND NOT EXISTS
        (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i'))""",
    "sequences ahead of their tables": "SELECT last_value > (SELECT max(id) FROM users) FROM users_id_seq",
    "ids with gaps": "SELECT max(id) > count(*) FROM users",
    "soft-deleted rows": "SELECT count(*) > 0 FROM users WHERE deleted_at IS NOT NULL",
    "domains with a CHECK": "SELECT count(*) >= 4 FROM pg_type t JOIN pg_constraint c ON c.contypid = t.oid WHERE typtype = 'd'",
    "arrays with NULL in them": "SELECT count(*) > 0 FROM users WHERE array_position(other_emails, NULL) IS NOT NULL",
    "a number JSON readers lose digits of": """SELECT count(*) > 0 FROM parental_letters
        WHERE payload @> '{"meta": {"big": 9007199254740993}}'""",
    "triggers that are on": "SELECT count(*) = 3 FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'",
    "filled materialized views": "SELECT count(*) = 2 FROM pg_matviews WHERE ispopulated",
    "names in comments": "SELECT count(*) > 0 FROM pg_description WHERE description ~ 'Huber'",
    "names in a function's body": "SELECT count(*) = 1 FROM pg_proc WHERE prosrc ~ 'Huber'",
    "names in a default": "SELECT count(*) = 1 FROM pg_attrdef WHERE pg_get_expr(adbin, adrelid) ~ 'huber'",
    "an attachment without its bytes": "SELECT count(*) > 0 FROM attachments WHERE content IS NULL",
    "sizes and checksums that fit": """SELECT bool_and(size_bytes = octet_length(content) AND sha256 = encode(sha256(content), 'hex'))
        FROM attachments WHERE content IS NOT NULL""",
}


@pytest.mark.parametrize("what", HARD)
def test_is_hard(what: str, production: str) -> None:
    """Each difficulty that the module's description promises is really there."""
    assert rows(production, HARD[what]) == [(True,)]


def structure(url: str) -> list[str]:
    """What both sides must have in common: columns, constraints, indexes and triggers."""
    return [
        repr(row)
        for query in (
            "SELECT attrelid::regclass::text, attnum, attname, atttypid::regtype FROM pg_attribute "
            "WHERE attnum > 0 AND attrelid >= 16384 AND NOT attisdropped AND attrelid::regclass::text !~ '^pg_toast' ORDER BY 1, 2",
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE oid >= 16384 ORDER BY 1, 2",
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2",
        )
        for row in rows(url, query)
    ]


def test_staging_has_the_same_structure(postgres: Postgres, production: str, staging: str) -> None:
    """Staging differs in rows only; without rows the structure is the same again."""
    assert structure(staging) == structure(production)
    assert structure(new(postgres, rows=False)) == structure(production)


def test_staging_is_older_and_smaller(production: str, staging: str) -> None:
    """Staging holds an older, smaller school, so a load that did nothing is seen."""
    newest = "SELECT max(sent_at), count(*) FROM messages"
    (there, more), (here, fewer) = rows(production, newest)[0], rows(staging, newest)[0]
    assert here < there
    assert fewer < more


def test_staging_keeps_its_own_history(production: str, staging: str) -> None:
    """Staging's audit rows are its own, and one of them was asked for by an account that production lacks."""
    asked = {who for (who,) in rows(staging, 'SELECT "RequestedById" FROM "ImportExportAudit"')}
    known = {who for (who,) in rows(production, "SELECT id FROM users")}
    assert len(asked) == 2
    assert asked - known == {900001}


def test_roles(postgres: Postgres) -> None:
    """The owner is no superuser and owns every table; the reader reads all of them, sequences too, and writes none."""
    url = new(postgres)
    name = url.rpartition("@/")[2].partition("?")[0]
    roles = rows(
        url, "SELECT rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolname LIKE 'schulportal%' ORDER BY 1"
    )
    assert roles == [(OWNER, False, True), (READER, False, True)]
    owned = (
        "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'S', 'm')"
    )
    assert rows(url, owned) == [(OWNER,)]
    with psycopg.connect(postgres.url(name, user=READER)) as connection:
        for schema, table in connection.execute(TABLES).fetchall():
            connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
        connection.execute("SELECT last_value FROM letter_number_seq")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM settings")
    with psycopg.connect(postgres.url(name, user=OWNER)) as connection:
        connection.execute("CREATE TABLE made_by_the_owner (n integer)")


def test_a_copy_serves_like_the_original(postgres: Postgres) -> None:
    """One school may be the template of many: its owner works in a copy as in the original."""
    original = new(postgres).rpartition("@/")[2].partition("?")[0]
    copy = f"copy_{uuid4().hex[:8]}"
    postgres.create(copy, template=original, owner=OWNER)
    with psycopg.connect(postgres.url(copy, user=OWNER)) as connection:
        connection.execute("CREATE SCHEMA mine")
        connection.execute("ALTER TABLE users DISABLE TRIGGER USER")
        connection.execute("CREATE TABLE also_mine (n integer)")


def test_builds_as_an_ordinary_role(postgres: Postgres, produced: dict[str, str]) -> None:
    """Who is no superuser builds the same database as itself, and makes no roles."""
    role, name = f"role_{uuid4().hex[:8]}", f"own_{uuid4().hex[:8]}"
    postgres.create(name)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(role)))
    build(postgres.url(name, user=role), scale=SCALE)
    assert dict(contents(postgres.url(name))) == produced


def test_two_schools_at_once(tmp_path: Path) -> None:
    """Two databases of a new server can be built at the same moment, although the roles are the server's."""
    with Postgres(tmp_path, fsync=False) as server, ThreadPoolExecutor() as pool:
        urls = [server.create(f"school_{number}") for number in range(4)]
        list(pool.map(partial(build, scale=SCALE), urls))
        assert {len(rows(url, TABLES)) for url in urls} == {len(dict(contents(urls[0])))}


def test_all_or_nothing(postgres: Postgres) -> None:
    """A build that fails leaves no half of a school behind."""
    url = postgres.create(f"half_{uuid4().hex[:8]}")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE VIEW active_users AS SELECT 1")
    with pytest.raises(psycopg.errors.DuplicateTable):
        build(url, scale=SCALE)
    assert rows(url, TABLES) == []


def test_too_small(database: str) -> None:
    """A scale too small for the canaries is refused before anything is made."""
    with pytest.raises(ValueError, match="at least"):
        build(database, scale=0.001)
    assert rows(database, TABLES) == []
