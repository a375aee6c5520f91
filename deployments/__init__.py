"""Where it runs: what Prefect must know (`bootstrap`), what may run unasked (`standing.yaml`), and the sandbox."""
