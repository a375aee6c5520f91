"""Builds the school's database, `schulportal`, as production has it or as staging does. Safe to publish: no one is real.

What makes it hard, on purpose: a cycle of foreign keys and one onto itself, one that is not validated and one that is
not declared; composite keys; partitions with another order of columns, in another schema; inheritance; generated,
identity and serial columns, a sequence that nobody owns; domains and CHECK constraints that refuse the empty string or
tie a size to a content; an exclusion constraint; triggers that send mail; views that copy people; names in comments,
defaults and function bodies; identifiers that need quotes; and text with everything that breaks a line-wise format.
"""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql

FOLDER = Path(__file__).parent
OWNER = "schulportal"  # owns everything and is no superuser, as an application's role
READER = "schulportal_reader"  # may SELECT, and nothing else: what an export needs
TODAY = {"production": datetime(2026, 3, 15, 6, tzinfo=UTC), "staging": datetime(2025, 11, 2, 6, tzinfo=UTC)}
SEED = {"production": 1, "staging": 2}
SMALLEST = 0.01
STAGING_SHARE = 0.6  # of production's rows: staging is older

# Kind → the personal value that stands for it, planted by canaries.sql. None may ever be found in a masked dump, whole.
CANARIES = {
    "email": "canary-7f3a@leak.example",
    "username": "kanarie7f3a",
    "first_name": "Canaria",
    "last_name": "Leakova",
    "name": "Canaria Leakova",
    "phone": "+43 660 5559917",
    "street": "Kanarienvogelgasse 77/3",
    "city": "Leakhausen am Inn",
    "birth_date": "1977-07-23",
    "insurance_number": "7741230777",
    "iban": "AT642011107770077700",
    "ip": "100.64.77.177",  # carrier-grade NAT (RFC 6598): nobody's, and no documentation address, which masks give
    "password_hash": "$2y$10$CanaryCanaryCanaryCanaryCanaryCanaryCanaryCanaryCanar",
    "secret": "canary-secret-5e8d1c",
    "sentence": "der Kanarienvogel singt um 7:41",
}


def build(url: str, *, scale: float = 1.0, rows: bool = True, staging: bool = False) -> None:
    """Create the school's schema in an empty database, with rows by default, in one transaction.

    `scale` 1 is 3,000 users and 20,000 messages and takes about a second. With `staging` the rows are other, fewer and
    older ones, without canaries, in addition to the instance's own audit rows. A superuser's connection also creates the roles
    `OWNER` (owns it all) and `READER`; any other builds as itself. The same arguments give the same rows. Below a scale
    of 0.01 there are too few people for the canaries: `ValueError`.
    """
    if scale < SMALLEST:
        raise ValueError(f"scale is {scale}; expected at least {SMALLEST}")
    which = "staging" if staging else "production"
    with psycopg.connect(url) as connection:
        privileged = connection.info.parameter_status("is_superuser") == "on"
        if privileged:
            _become_owner(connection)
        _run(connection, "schema.sql")
        if rows:
            _set(
                connection,
                "school",
                scale=scale * (STAGING_SHARE if staging else 1),
                seed=SEED[which],
                today=TODAY[which],
            )
            _set(connection, "canary", **CANARIES)
            _run(connection, "rows.sql")
            _run(connection, f"{'staging' if staging else 'canaries'}.sql")
        _run(connection, "references.sql")
        if privileged:
            _let_read(connection)
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")


def _run(connection: psycopg.Connection, name: str) -> None:
    connection.execute((FOLDER / name).read_bytes())


def _set(connection: psycopg.Connection, prefix: str, **values: object) -> None:
    """Set what the rows are made from as settings of this transaction, so that psql can run the files too."""
    for name, value in values.items():
        connection.execute("SELECT set_config(%s, %s, true)", (f"{prefix}.{name}", str(value)))


def _become_owner(connection: psycopg.Connection) -> None:
    for role in (OWNER, READER):
        # Roles belong to the server: another database, perhaps built at this very moment, may have made them.
        taken = (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation)
        with contextlib.suppress(*taken), connection.transaction():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    owner, database = sql.Identifier(OWNER), sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner))
    connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(owner))  # also in copies of this database
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(owner))


def _let_read(connection: psycopg.Connection) -> None:
    reader = sql.Identifier(READER)
    for schema in ("public", "billing", "archive"):
        name = sql.Identifier(schema)
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name, reader))
        for kind in ("TABLES", "SEQUENCES"):
            grant = sql.SQL("GRANT SELECT ON ALL {} IN SCHEMA {} TO {}")
            connection.execute(grant.format(sql.SQL(kind), name, reader))
