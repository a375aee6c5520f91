"""Probes of public sites, as any visitor sees them: no credentials, capped in size and time."""
