"""`understudy`: ask, look, answer and keep watch from a terminal; for people, and with `--json` for machines."""
