"""Restore: the backup of a run is put back onto its destination."""

from collections.abc import Callable
from typing import Any

from deployments.sandbox.host.host import Host
from flows.promote import promote
from flows.restore import restore
from tasks.ledger.ledger import Ledger
from tests.people import backups_of

PAIR = {"source": "schulstage", "destination": "schulprod"}


def test_a_restore_brings_back_what_the_promotion_overwrote(start: Callable[..., Any], worker: Host) -> None:
    """Restore puts the promotion's own backup back and proves it against the state before."""
    worker.publish("schulstage", "files")
    before = worker.snapshot()["installs"]["schulprod"]["files_version"]
    promotion = start(promote, **PAIR).approve()
    run = start(restore, promotion=promotion.id).approve()
    assert run.state == "Verified", run.message
    assert worker.snapshot()["installs"]["schulprod"]["files_version"] == before
    assert worker.restores_received() == 1


def test_a_restore_of_an_unknown_run_is_refused(start: Callable[..., Any], worker: Host) -> None:
    """Nothing can be put back for a run that never sent anything."""
    run = start(restore, promotion="00000000-0000-0000-0000-000000000000")
    assert run.state == "NotFound"


def test_a_restore_is_refused_before_its_backup_while_the_destination_is_held(
    start: Callable[..., Any], worker: Host, ledger: Ledger
) -> None:
    """While the promotion still waits for an answer about its arrival, a restore of it makes no backup and asks nobody.

    When the promotion is over, its unproven call stops the restore no more.
    """
    worker.publish("schulstage", "files")
    worker.switch_on("copy-silence", install="schulprod")
    promotion = start(promote, **PAIR).approve()
    assert promotion.state == "Suspended"
    early = start(restore, promotion=promotion.id)
    assert (early.state, "schulprod is held by run" in early.message) == ("DestinationBusy", True), early.message
    assert (backups_of(ledger, early), ledger.facts(run_id=early.id, kind="asked")) == (0, [])
    promotion.arrived("no e-mail yet")
    assert (promotion.state, ledger.unsettled(promotion.id) is None) == ("OutcomeUnknown", False)
    worker.switch_off_all()
    late = start(restore, promotion=promotion.id)
    assert late.state == "Suspended", late.message
    assert ledger.unsettled(promotion.id) is not None  # nobody has approved anything yet
    late.approve()
    assert (ledger.unsettled(promotion.id), worker.restores_received()) == (None, 1), late.message
