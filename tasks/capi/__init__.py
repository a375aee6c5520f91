"""The hosting API: httpx in, typed models out. No retries, no sleeping; retries live on the steps."""
