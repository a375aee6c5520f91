"""Caches: purge all of them after a copy has arrived."""

import time
from datetime import datetime

from prefect import task

from tasks.configuration.settings import load_settings
from tasks.estate.errors import RateLimited
from tasks.estate.polling import utc_now
from tasks.estate.sites import Install
from tasks.runtime.resources import open_clients
from tasks.runtime.retries import BELOW_THE_GATE

OBJECT_PURGE_INTERVAL = 60.0  # seconds per install; rule of the hosting API, "all" counts as an object purge


@task(name="Purge the caches", task_run_name="Purge {install.name}", timeout_seconds=600, **BELOW_THE_GATE)
def purge_cache(install: Install) -> datetime:
    """Purge object, page and CDN cache in one request, and return when it was accepted. It may be repeated.

    The host allows one a minute for each install: after a refusal the step waits that minute once, then its own retries apply (4, on
    `Transient`, backing off with jitter).
    """
    with open_clients(install.name) as (client, _):
        try:
            client.purge_cache(install.id, "all")
        except RateLimited as limited:
            wait = limited.retry_after or OBJECT_PURGE_INTERVAL * load_settings().pace
            time.sleep(wait)
            client.purge_cache(install.id, "all")
        return utc_now()
