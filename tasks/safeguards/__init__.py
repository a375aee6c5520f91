"""Safeguards: risk classes, freeze windows, holds, and conditions of scheduled runs."""
