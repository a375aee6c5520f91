"""Notices: messages to people, at every place that the settings name. A place that fails or hangs stops nothing."""

import asyncio
import contextvars
import inspect
import logging
import re
import time
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from typing import Literal
from uuid import UUID

import apprise
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.utilities.urls import url_for
from sqlalchemy.exc import SQLAlchemyError

from tasks.configuration.settings import load_settings
from tasks.estate.errors import UnderstudyError
from tasks.ledger.facts import NoticeSent
from tasks.rendering.times_and_tables import plain
from tasks.runtime.current_run import run_logger, this_run
from tasks.runtime.resources import open_ledger

Kind = Literal["asked", "reminder", "decided", "standing", "hold", "ended", "alert", "digest"]

PATIENCE = 10.0  # seconds for all places together; a run waits no longer
LONGEST = 12_000  # characters of a body; chat services cut or refuse what is longer
# Mail and some chats read HTML, Slack reads <!channel>, Mattermost @channel, and a webhook block's template {{secrets}}.
INERT = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")"})
CALLS = re.compile(r"@(?=(?:everyone|here|channel|all)\b)", re.IGNORECASE)

# Apprise logs the address of a place that failed, which contains its password. Our own warnings name its kind only.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)


def send_notice(kind: Kind, subject: str, lines: Sequence[str], *, run_id: str = "") -> None:
    """Send one notice about a run (this one, unless named) to every place in `settings.notices`. Never raises.

    The link to the run and the ledger's head are added at the end, so that a copy of the head exists where nobody rewrites it.
    All places are notified at the same time and have `PATIENCE` seconds together; a late one counts as failed. The result is
    recorded as one `notice`, unless there are no places. Lines must not contain codes, signatures or secrets.
    """
    try:
        places = load_settings().notices.get_secret_value().split()
        if not places:
            return
        about, ledger = run_id or this_run(), open_ledger()
        head = ledger.head()
        title = _inert(f"[Understudy] {subject}")
        body = _inert("\n".join(lines))[:LONGEST] + "\n\n" + _signed(about, str(head or "empty"))
        sent = _send_all(places, title, body)
        ledger.record(NoticeSent(kind=kind, subject=title, sent=sent, failed=len(places) - sent), run_id=about)
    except UnderstudyError as error:
        run_logger().warning("The notice %r could not be sent: %s", subject, error.message)
    except SQLAlchemyError as error:  # its text would contain the statement and its values
        run_logger().warning("The notice %r could not be sent or recorded: %s.", subject, type(error).__name__)


def send_copied_passkey(about: str, why: str, *, run_id: str) -> None:
    """Alert people that a passkey's counter went back in an answer about something. Never raises."""
    lines = [plain(why, 400), "Take its entry out of the leads file, unless its owner can explain it."]
    send_notice("alert", f"{about}: a passkey may have been copied", lines, run_id=run_id)


def _inert(text: str) -> str:
    return CALLS.sub("@\u200b", text.translate(INERT))


def _signed(run_id: str, head: str) -> str:
    link = link_to(run_id)
    return f"Run: {link or run_id}\nLedger head: {head}"


def link_to(run_id: str) -> str:
    """Return the address of a run's page; "" if the run has no page or Prefect's own address is not known."""
    try:
        return url_for("flow-run", obj_id=UUID(run_id)) or ""
    except ValueError:
        return ""


def try_places(subject: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    """Send a notice to every place and return, for each, its kind and how it did not take it ("" if it took it).

    Nothing is recorded: it is about no run.
    """
    places = load_settings().notices.get_secret_value().split()
    results = _send_to(places, _inert(f"[Understudy] {subject}"), _inert("\n".join(lines))[:LONGEST])
    return [(_kind_of(place), refused) for place, refused in zip(places, results, strict=True)]


def _send_all(places: Sequence[str], title: str, body: str) -> int:
    """Return how many places accepted it in time, and log the others."""
    results = _send_to(places, title, body)
    for place, refused in zip(places, results, strict=True):
        if refused:
            run_logger().warning("A notice to %s %s.", _kind_of(place), refused)
    return results.count("")


def _send_to(places: Sequence[str], title: str, body: str) -> list[str]:
    """Return, for each place, how it did not accept the notice in time, or an empty string."""
    pool = ThreadPool(max(1, len(places)))  # its threads are daemons: a hanging one does not keep the process alive
    deadline = time.monotonic() + PATIENCE
    # Each in a copy of this context, so that blocks are loaded from the server that this run talks to.
    waiting = [pool.apply_async(contextvars.copy_context().run, (_send, place, title, body)) for place in places]
    pool.close()
    results = []
    for result in waiting:
        result.wait(max(0.0, deadline - time.monotonic()))
        taken = result.ready() and result.successful()
        results.append("" if taken else "was refused" if result.ready() else "hangs; left behind")
    return results


def _kind_of(place: str) -> str:
    """Return what may be logged of a place: never more than its kind."""
    return f"an address of kind {place.split('://')[0]!r}" if "://" in place else f"the block {place!r}"


class _NotTaken(Exception):
    """A place did not accept a notice. Without a reason: those of Apprise and of blocks may contain the address."""


def _send(place: str, title: str, body: str) -> None:
    if "://" not in place:
        block = Block.load(place)
        if not isinstance(block, NotificationBlock):
            raise _NotTaken
        answer: object = block.notify(body, title)  # typed as async; Prefect's own blocks are done when it returns
        if inspect.iscoroutine(answer):
            asyncio.run(answer)
        return
    channel = apprise.Apprise()
    if not channel.add(place) or not channel.notify(body, title, body_format=apprise.NotifyFormat.TEXT):
        raise _NotTaken
