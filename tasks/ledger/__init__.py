"""The ledger: an append-only, hash-chained record of what was planned, asked, answered, sent and seen."""
