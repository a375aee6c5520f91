"""What flows do inside of a site after a copy: staging is made safe before it is verified, production is freed of staging."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request
from deployments.sandbox.host.site_tables import PLANTED
from flows.promote import promote
from flows.refresh import refresh
from flows.restore import restore
from tasks.estate.recipes import CopyStep
from tasks.ledger.ledger import Ledger

PAIR = {"source": "schulprod", "destination": "schulstage"}
CREDENTIAL = "planted-live-key"  # of the shop's payment provider: not a person


def people_on(host: Host, install: str) -> list[str]:
    """Return the rows in the database of this install that contain a planted value of production's people."""
    rows = host.named(install)["database"]["rows"]
    rows = {table: [str(row).lower().replace(CREDENTIAL, "") for row in rows[table]] for table in rows}
    return [f"{table}: {row}" for table in rows for row in rows[table] if any(each in row for each in PLANTED)]


def page_of(host: Host, install: str) -> tuple[int, str]:
    """Return status and text of an install's front page as a visitor sees it, past the cache."""
    domain = host.named(install)["primary_domain"]
    seen = host.handle(Request("GET", domain, "/", {"fresh": "1"}))
    return seen.status, seen.body.decode()


def report_of(run: Any) -> str:
    """Return the newest report of a run."""
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run.id)]))
        found = client.read_artifacts(artifact_filter=wanted)
    reports = [each for each in found if (each.key or "").startswith("report-")]
    return str(max(reports, key=lambda each: each.created).data)


def test_a_nightly_refresh_ends_with_a_staging_that_is_safe(
    start: Callable[..., Any], inside: Host, ledger: Ledger
) -> None:
    """After the run, staging sends nothing, charges nobody, knows nobody and shows its banner; production is as it was."""
    before = json.dumps(inside.named("schulprod")["database"]["rows"])
    run = start(refresh, **PAIR, approval="standing")
    assert run.state == "Verified", run.message
    inside.pass_hour("schulstage")
    assert inside.outbox("schulstage") == []
    assert people_on(inside, "schulstage") == []
    assert json.dumps(inside.named("schulprod")["database"]["rows"]) == before
    status, page = page_of(inside, "schulstage")
    assert (status, "Staging: a copy of production (schulprod" in page) == (200, True)
    taken = [fact.detail["done"]["step"] for fact in ledger.facts(run_id=run.id, kind="after-copy-step")]
    assert taken == [*CopyStep, CopyStep.KEEP_OUT]
    assert "ok · mask people: " in report_of(run)
    again = start(refresh, **PAIR, approval="standing")  # what the steps changed is no work that was never promoted
    assert (again.state, "was used this night already" in again.message) == ("Skipped", True), again.message


def test_a_step_that_fails_keeps_visitors_out_until_a_retry_takes_it(
    start: Callable[..., Any], inside: Host, ledger: Ledger
) -> None:
    """The run is not neutralised, and names what is dangerous. A retry takes what is missing, and copies nothing."""
    inside.switch_on("ssh-php-fails", install="schulstage", path="search-replace")
    run = start(refresh, **PAIR, approval="standing")
    assert run.state == "NotNeutralised", run.message
    assert "replace URLs of the source: schulstage: wp search-replace" in run.message
    assert "Visitors are kept out." in run.message
    assert page_of(inside, "schulstage")[0] == 503
    assert people_on(inside, "schulstage") == []  # the other steps were taken
    inside.switch_off_all()
    run.restart().go()
    assert (run.state, inside.copies_received()) == ("Verified", 1), run.message
    assert page_of(inside, "schulstage")[0] == 200
    steps = [fact.detail["done"]["step"] for fact in ledger.facts(run_id=run.id, kind="after-copy-step")]
    assert steps[len(CopyStep) :] == ["keep_out", "replace_urls", "keep_out"]


def test_a_recipe_that_changes_during_the_wait_makes_the_plan_stale(
    start: Callable[..., Any], inside: Host, tmp_path: Path
) -> None:
    """What people approved names the recipe: another one needs another approval."""
    run = start(refresh, **PAIR)
    assert run.state == "Suspended", run.message
    (tmp_path / "estate.yaml").write_text("after_copy: {off: [flush]}")
    run.approve()
    assert (run.state, inside.copies_received()) == ("Stale", 0), run.message
    assert "The steps after the copy changed" in run.message


def test_a_promotion_with_the_database_leaves_nothing_of_staging_on_production(
    start: Callable[..., Any], inside: Host
) -> None:
    """Banner, mail stop, hiding and URLs of staging are gone, and production sends e-mails again."""
    assert start(refresh, **PAIR, approval="standing").state == "Verified"
    inside.publish("schulstage", "post")
    inside.publish("schulstage", "files")
    run = start(promote, source="schulstage", destination="schulprod", requested_by="Dora", database=True)
    assert run.state == "Suspended", run.message
    run.approve()
    assert run.state == "Verified", run.message
    status, page = page_of(inside, "schulprod")
    assert (status, "Staging" in page) == (200, False)
    rows = json.dumps(inside.named("schulprod")["database"]["rows"])
    assert "schulstage" not in rows
    assert "understudy" not in rows
    inside.pass_hour("schulprod")
    assert [each["kind"] for each in inside.outbox("schulprod")] == ["mail"]
    assert "are masked: accounts, comments and orders of schulprod would be replaced" in report_of(run)


def test_a_restored_staging_is_made_safe(start: Callable[..., Any], inside: Host) -> None:
    """The backup from before the first refresh has no banner and no mail stop; after its restore, staging has both."""
    first = start(refresh, **PAIR, approval="standing")
    assert first.state == "Verified", first.message
    run = start(restore, promotion=first.id, requested_by="Dora").approve()
    assert run.state == "Verified", run.message
    assert "understudy-banner" in page_of(inside, "schulstage")[1]
    inside.pass_hour("schulstage")
    assert inside.outbox("schulstage") == []
