"""Index facts by kind and by plan; on SQLite, refuse REPLACE, which passes the guard against changes."""

from alembic import op

revision = "0002"
down_revision = "0001"

# INSERT OR REPLACE deletes the row in its way without firing DELETE triggers, unless a pragma of the writer enables them.
NO_REPLACE = (
    "CREATE TRIGGER facts_no_replace BEFORE INSERT ON facts "
    "WHEN EXISTS (SELECT 1 FROM facts WHERE seq = NEW.seq OR once = NEW.once) "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
)


def upgrade() -> None:
    """Add two indexes; on SQLite, refuse to replace a fact. No fact is changed."""
    op.create_index("ix_facts_kind_seq", "facts", ["kind", "seq"])
    op.create_index("ix_facts_plan", "facts", ["plan"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(NO_REPLACE)
