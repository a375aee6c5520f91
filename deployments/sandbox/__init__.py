"""The sandbox: an emulated host, two databases, a Prefect server and a worker on one machine, and a demo."""
