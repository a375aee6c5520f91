"""`hold`: it is placed and ended through the deployment, and its outcome is shown."""

import re
from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any

import pytest

from flows.hold import hold
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Ledger
from tasks.safeguards.holds import active_holds

WHO = ("--name", "Ada Admin")


def test_a_hold_is_placed_and_ended(
    serving: Callable[..., Any], cli: Callable[..., Any], machine: Callable[..., Any], ledger: Ledger
) -> None:
    """A hold has its time, reason and owner; only its word ends it, and an unknown destination is refused."""
    serving(hold, "hold", again=True)
    until = (utc_now() + timedelta(days=3)).astimezone(timezone(timedelta(hours=1))).replace(second=0, microsecond=0)
    code, document = machine("hold", "schulstage", "--until", until.isoformat(), *WHO, input="my theme until Friday\n")
    assert code == 0, document
    (held,) = active_holds(ledger, "schulstage", utc_now())
    assert (held.by, held.reason, held.until) == ("Ada Admin", "my theme until Friday", until)
    wrong = cli("hold", "schulstage", "--end", *WHO, "--release", "another word")
    assert wrong.exit_code == 1
    assert active_holds(ledger, "schulstage", utc_now()) == [held]
    ended = cli("hold", "schulstage", "--end", *WHO, "--release", document["release"])
    assert ended.exit_code == 0, ended.output
    assert active_holds(ledger, "schulstage", utc_now()) == []
    typo = cli("hold", "schulstaeg", "--end", *WHO)
    assert typo.exit_code == 1
    assert "NotFound: 'schulstaeg'" in typo.stdout


@pytest.mark.parametrize(
    "options", [(), ("--end", "--until", "2026-12-24T18:00+01:00"), ("--until", "2026-12-24T18:00")]
)
def test_a_hold_has_an_end_or_is_ended(cli: Callable[..., Any], options: tuple[str, ...]) -> None:
    """Neither --until nor --end, both of them, or a time without a zone is a usage error."""
    assert cli("hold", "schulstage", "--reason", "my theme", *WHO, *options).exit_code == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--until", "2026-01-01T18:00+01:00", "--reason", "my theme"), "expected a time after now"),
        (("--until", "2199-01-01T18:00+01:00", "--reason", "my theme"), "at most 30 days ahead"),
        (("--until", "2199-01-01T18:00+01:00", "--reason", "my"), "The end of the hold|The hold would end|The reason"),
    ],
)
def test_what_the_worker_would_refuse_starts_no_run(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], why: str
) -> None:
    """A past or distant end, and a short reason, are refused before a run is started."""
    monkeypatch.setattr("deployments.cli.hold.connected", lambda: pytest.fail("a run was started"))
    done = cli("hold", "schulstage", *WHO, *options)
    assert done.exit_code == 1
    assert re.search(why, done.stderr)
