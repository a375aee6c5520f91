"""Masking: which column becomes what, under which key. Expressions for PostgreSQL, and the same in Python."""
