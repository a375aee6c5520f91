"""Entries of the standing approvals file: their pair, days and hours, and the statement that their issuer signs."""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import Field, StrictBool, field_validator, model_validator

from tasks.estate.nightly_windows import Window, known_zone
from tasks.estate.sites import Immutable


class StandingApproval(Immutable):
    """Permission for one pair from `issued` until a day (inclusive): two installs by name, or an application and the hostname
    of its staging instance. `issuer` is the lead who signs it. `window` contains the hours of each day, in `zone`; an entry of
    version 0.1 without one can be read, and covers nothing. `recipe` is the digest of the one recipe after the copy that is
    covered; without it, only the recipe in which every step is on is covered, and a copy without steps.
    """

    source: str = Field(min_length=1)
    destination: str = Field(min_length=1)
    issuer: str = Field(min_length=3)
    reason: str = Field(min_length=10)
    issued: date
    until: date
    include_database: StrictBool
    window: Window | None = None
    zone: str = ""
    recipe: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    signature: str = ""  # its body on one line; without it, the entry covers nothing

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        return known_zone(zone) if zone else ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.until < self.issued:
            raise ValueError(f"until {self.until} is before issued {self.issued}")
        if bool(self.zone) != (self.window is not None):
            raise ValueError("window and zone belong together; expected both or neither")
        return self

    @property
    def pair(self) -> str:
        """The pair, as messages show it."""
        return f"{self.source} → {self.destination}"

    @property
    def named(self) -> str:
        """The approver in an approval that is based on this entry."""
        return f"{self.issuer} (standing, until {self.until.isoformat()})"

    def local(self, moment: datetime) -> datetime:
        """Return a moment in the entry's zone, or in UTC if it has none."""
        return moment.astimezone(ZoneInfo(self.zone) if self.zone else UTC)

    def is_open(self, moment: datetime) -> bool:
        """Return whether the moment is inside the window. Without a window it never is."""
        return self.window is not None and self.window.holds(self.local(moment).time())

    def night_of(self, moment: datetime) -> date:
        """Return the local day on which the window that contains this moment opened: a window over midnight is one night."""
        local = self.local(moment)
        opened_yesterday = self.window is not None and self.window.opens > self.window.closes > local.time()
        return local.date() - timedelta(days=opened_yesterday)

    def opens_next(self, now: datetime) -> datetime | None:
        """Return the first whole minute after now that is inside the window, local time, or None within three days.

        Checks each minute, because a window can lose its beginning, or a whole night, when clocks are set forward.
        """
        start = now.astimezone(UTC).replace(second=0, microsecond=0)
        minutes = (start + timedelta(minutes=n) for n in range(1, 3 * 24 * 60))
        return next((self.local(moment) for moment in minutes if self.is_open(moment)), None)


def standing_use(entry: StandingApproval, moment: datetime) -> str:
    """Return the ledger's key for the one use of this entry in the night of that moment."""
    return f"standing:{hashlib.sha256(standing_statement(entry)).hexdigest()}:{entry.night_of(moment).isoformat()}"


def standing_statement(entry: StandingApproval) -> bytes:
    """Return what the issuer signs (namespace `understudy-standing`): every field except the signature, as canonical JSON.

    An entry that names no recipe has the statement that it had before entries could name one.
    """
    left_out = {"signature"} if entry.recipe else {"signature", "recipe"}
    fields = entry.model_dump(mode="json", by_alias=True, exclude=left_out)
    return (
        f"understudy standing approval 1\n{json.dumps(fields, sort_keys=True, indent=1, ensure_ascii=False)}\n".encode()
    )
