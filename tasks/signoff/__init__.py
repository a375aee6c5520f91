"""Sign-off: the approval gate, proofs, leads, standing approvals, and the one function that sends a destructive request."""
