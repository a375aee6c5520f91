"""`deploy`: it prints what differs between the estate and Prefect, and which nights no standing approval covers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from deployments import bootstrap
from deployments.cli.deploy import uncovered_nights
from deployments.sandbox.host.host import Host
from tasks.configuration.estate_file import load_estate, parse_estate

SITES = """
sites:
  - name: Schulfest
    production: schulprod
    staging: schulstage
    development: schuldev
    nightly: {window: {from: "HOUR", to: "06:00"}, zone: Europe/Vienna, approval: standing, destination: WHICH}
"""
STANDING = """
- {source: schulprod, destination: schulstage, issuer: Demo Lead, reason: Nightly refresh of staging., issued: 2026-11-21,
   until: 2027-02-19, include_database: true, window: {from: "02:30", to: "06:00"}, zone: Europe/Vienna}
"""


@pytest.mark.parametrize(
    ("hour", "which", "warning"),
    [
        ("03:00", "staging", ""),
        ("01:00", "staging", "starts at 01:00 Europe/Vienna, outside of the window of its entry"),
        (
            "03:00",
            "development",
            "from schulprod to schuldev starts at 03:00 Europe/Vienna, and .* has no entry for it",
        ),
    ],
)
def test_a_night_that_nothing_covers_is_named(
    hour: str, which: str, warning: str, worker: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run of it would end as NotApproved, which people should know before the first night."""
    path = tmp_path / "approvals.yaml"
    path.write_text(STANDING)
    monkeypatch.setattr("deployments.cli.deploy.load_settings", lambda: type("Given", (), {"standing_file": path}))
    estate = parse_estate(SITES.replace("HOUR", hour).replace("WHICH", which), path)
    found = uncovered_nights(estate)
    assert len(found) == bool(warning)
    for sentence in found:
        assert re.search(warning, sentence)


def test_a_dry_run_prints_the_difference_and_writes_nothing(
    prefect_server: None, machine: Callable[..., Any], tmp_path: Path
) -> None:
    """Every deployment that Prefect lacks is named; a wrong estate is one clear error."""
    with get_client(sync_client=True) as client:
        bootstrap.bootstrap(client)
        before = {each.id for each in client.read_deployments()}
        sandbox = Path(bootstrap.__file__).parent / "sandbox" / "estate.yaml"
        (tmp_path / "estate.yaml").write_text(sandbox.read_text(encoding="utf-8"))
        code, document = machine("deploy", "--dry-run")
        assert (code, document["dry_run"]) == (0, True)
        named = {each["deployment"]: each for each in document["changes"]}
        assert len(named["refresh/nightly-schulstage"]["details"]) >= 1
        assert {each.id for each in client.read_deployments()} == before
    (tmp_path / "estate.yaml").write_text("sites: [x]\n")
    code, document = machine("deploy", "--dry-run")
    assert code == 1
    assert "line 1, column 9" in str(document)
    assert load_estate(sandbox).sites
