"""A deployment target that fits in one process tree: emulated host, Prefect server, worker, and a demo on top."""
