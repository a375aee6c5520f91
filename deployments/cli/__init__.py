"""`understudy`: plan, look, answer and check from a terminal; with `--json` for machines."""
