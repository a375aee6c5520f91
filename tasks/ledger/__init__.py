"""The ledger: an append-only hash chain of facts, locks, and the journal of calls."""
