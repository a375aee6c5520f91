"""The settings of Prefect in the sandbox: no telemetry, everything in one folder, and short waits."""

from pathlib import Path

HEARTBEAT = 30  # seconds, the least that Prefect accepts; the zombie automation waits three of them


def prefect_settings(state: Path, api_url: str, ui_url: str) -> dict[str, str]:
    """Return the settings of server, worker and clients, whose data is in the folder `state`."""
    return {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_PROFILES_PATH": str(state / "prefect" / "profiles.toml"),
        "PREFECT_LOCAL_STORAGE_PATH": str(state / "prefect" / "storage"),  # results outlive a suspension
        "PREFECT_API_URL": api_url,
        "PREFECT_UI_URL": ui_url,  # without it, links in notifications are "None"
        "PREFECT_SERVER_UI_API_URL": api_url,
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the new one calls a tracker and hides the Resume button
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # A resumed run waits for its slot again; the default of 30 s is a long wait in a demo.
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_API_SSL_CERT_FILE": str(state / "one-certificate.pem"),
    }
