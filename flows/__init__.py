"""The verbs: refresh, provision, promote, restore, diagnose. Each file holds the one flow of its name."""
