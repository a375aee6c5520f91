"""The starts of schedules are known further ahead than Prefect plans runs."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule, RRuleSchedule

from deployments.schedules import starts_between

SINCE = datetime(2026, 10, 23, 12, tzinfo=UTC)


def deployment(schedule: SCHEDULE_TYPES, *, active: bool = True, paused: bool = False) -> DeploymentResponse:
    """A deployment with one schedule."""
    mine = DeploymentSchedule(id=uuid4(), schedule=schedule, active=active)
    return DeploymentResponse(id=uuid4(), name="night", flow_id=uuid4(), schedules=[mine], paused=paused)


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        (CronSchedule(cron="0 3 * * *", timezone="Europe/Vienna"), [1, 2, 2]),  # the clocks change on 25 October
        (IntervalSchedule(interval=timedelta(days=1), anchor_date=SINCE - timedelta(hours=2)), [10, 10, 10]),
        (RRuleSchedule(rrule="DTSTART:20261001T040000\nFREQ=DAILY", timezone="UTC"), [4, 4, 4]),
    ],
)
def test_every_kind_of_schedule_has_its_starts(schedule: SCHEDULE_TYPES, hours: list[int]) -> None:
    """In UTC, also over a change of the clocks."""
    starts = starts_between([deployment(schedule)], SINCE, SINCE + timedelta(days=3))["night"]
    assert [at.astimezone(UTC).hour for at in starts] == hours


@pytest.mark.parametrize("off", [{"active": False}, {"paused": True}])
def test_what_is_paused_does_not_start(off: dict[str, bool]) -> None:
    """Neither a paused schedule nor a paused deployment starts."""
    cron = CronSchedule(cron="0 3 * * *", timezone="UTC")
    assert not starts_between([deployment(cron, **off)], SINCE, SINCE + timedelta(days=3)).get("night")
