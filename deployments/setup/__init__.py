"""The first set-up: what `understudy init` finds out and writes. Nothing here asks a person; that is `deployments/cli/init.py`."""
