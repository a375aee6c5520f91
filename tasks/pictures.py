"""Pictures of both sides of a plan, for the people who decide. They are evidence for people: no run depends on them."""

from pathlib import Path

from prefect import get_run_logger, task

from tasks.configuration.settings import Settings, load_settings
from tasks.estate.pictures import PicturePair
from tasks.estate.plans import Comparison, Plan
from tasks.estate.sites import Survey
from tasks.ledger.facts import Pictured
from tasks.ledger.ledger import AlreadyRecorded, Ledger
from tasks.ledger.picture_files import keep_picture, remove_old
from tasks.runtime.current_run import this_run
from tasks.runtime.resources import open_ledger, open_sites
from tasks.runtime.retries import ONCE
from tasks.signoff.answers import where
from tasks.websites.chromium import NoPicture, find_browser
from tasks.websites.pictures import DrawnPair, draw_pairs
from tasks.websites.wordpress_site import Prober

FRONT_PAGE = "/"


@task(name="Take pictures of both sides", task_run_name="Take pictures for {plan.verb}", timeout_seconds=300, **ONCE)
def take_pictures(plan: Plan, comparison: Comparison) -> None:
    """Draw the front pages of both sides, mark what differs, and record the pictures, or why they were not taken.

    A fault of a site, the browser or the disk is such a reason, and ends no run. A second call in the same run keeps what the
    first one recorded.
    """
    ledger = open_ledger()
    if ledger.facts(run_id=this_run(), plan=plan.fingerprint, kind=Pictured.KIND):
        return
    why, pairs = "", []
    try:
        pairs = _taken(load_settings(), comparison)
    except NoPicture as none:
        why = str(none)
        get_run_logger().info("No pictures were taken: %s", why)
    _record(ledger, plan, Pictured(pairs=tuple(pairs), why=why))


def _taken(settings: Settings, comparison: Comparison) -> list[PicturePair]:
    """Return the stored pictures. Raises `NoPicture` for every fault: the plan is as good without them."""
    browser = find_browser(settings.browser)
    try:
        with open_sites() as sites:
            source, destination = (_front(sites, side) for side in (comparison.source, comparison.destination))
            drawn = list(draw_pairs(browser, sites, source, destination, sandbox=settings.browser_sandbox))
        kept = [_kept(settings.pictures, pair) for pair in drawn]
        remove_old(settings.pictures)
    except NoPicture:
        raise
    except Exception as error:  # of a site, a disk or a browser
        name = type(error).__name__  # its text may contain what a site sent
        raise NoPicture(f"an unexpected fault ({name}).") from None
    return kept


def _kept(folder: Path, drawn: DrawnPair) -> PicturePair:
    source, destination = (keep_picture(folder, each) for each in (drawn.source, drawn.destination))
    return PicturePair(path=FRONT_PAGE, width=drawn.width, source=source, destination=destination, share=drawn.share)


def _front(sites: Prober, side: Survey) -> str:
    """Return the primary domain of one side, and let all of its domains be read."""
    primary = side.install.primary_domain
    if primary is None:
        raise NoPicture(f"{side.install.name} has no primary domain.")
    sites.add_domains(side.install.name, [primary, *(domain.name for domain in side.domains or ())])
    return primary


def _record(ledger: Ledger, plan: Plan, pictured: Pictured) -> None:
    try:
        ledger.record(pictured, **where(plan), once=f"pictured:{plan.run_id}:{plan.fingerprint}")
    except AlreadyRecorded:
        return  # another process of this run was faster
