"""The nouns of the trade: sites and environments, plans, evidence, findings, errors. Imports nothing of ours."""
