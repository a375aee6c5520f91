"""What alembic runs around the versions: on the connection it is given, inside the caller's transaction."""

from alembic import context

from tasks.ledger.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # true of SQLite too, once nobody commits behind our back: tables.py opens it that way
)
context.run_migrations()
