"""Safeguards: what can forbid or restrict an overwrite before anybody is asked, and how dangerous a plan is."""
