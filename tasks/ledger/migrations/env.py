"""Run by alembic around the versions, on the connection and in the transaction of the caller."""

from alembic import context

from tasks.ledger.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # also with SQLite: tables.py opens it so that the driver does not commit
)
context.run_migrations()
