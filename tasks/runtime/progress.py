"""Progress artifacts: live bars on the page of a run."""

import logging
import math
import time
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from tasks.configuration.settings import load_settings

SHOWN_EVERY = 1.0  # seconds between two updates of a progress bar


class Progress:
    """A live progress artifact of a waiting step. A lost update does not end the wait."""

    def __init__(self, key: str, *, typical: float) -> None:
        """`key`: lowercase, digits, dashes; `typical`: seconds at pace 1 that the remote side usually takes, for the bar."""
        self._key = key
        self._typical = max(typical * load_settings().pace, 0.001)
        self._artifact: UUID | None = None
        self._shown: tuple[str, int] | None = None
        self._at = -math.inf  # when a share of the work was last shown, monotonic

    def show(self, elapsed: float, text: str) -> None:
        """Show `text` and a bar that nears, but does not reach, 100 % while the wait continues."""
        self.at(min(95, 100 * elapsed / self._typical), text)

    def at(self, percent: float, text: str) -> None:
        """Show `text` and a bar at a known share of the work, in percent.

        At most once a second, except the end: thousands of small tables must not cause as many requests to Prefect, and an
        update takes 20 ms of our own time.
        """
        now = time.monotonic()
        if percent < 100 and now - self._at < SHOWN_EVERY:
            return
        self._at = now
        self._put(min(100, int(percent)), text)

    def done(self, text: str) -> None:
        """Show `text` and a full bar."""
        self._put(100, text)

    def _put(self, percent: int, text: str) -> None:
        if self._shown == (text, percent) or flow_run.get_id() is None:
            return
        try:
            # A bar is not worth minutes of the wait that it shows.
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                if self._artifact is None:
                    made = create_progress_artifact(progress=percent, key=self._key, description=text)
                    self._artifact = made if isinstance(made, UUID) else None
                else:
                    update_progress_artifact(artifact_id=self._artifact, progress=percent, description=text)
            self._shown = (text, percent)
        except httpx.HTTPError:
            logging.getLogger(__name__).warning("Progress of %s could not be shown.", self._key)
