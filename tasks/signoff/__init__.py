"""Sign-off: standing approvals, the append-only ledger with its locks, and the one way a destructive request leaves."""
