"""Hours of each day in which a scheduled run may work, and the time zone that they belong to."""

import re
from datetime import time
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tasks.estate.sites import Immutable


def _clock(value: object) -> object:
    """Accept only "HH:MM": YAML reads an unquoted 12:30 as the number 750."""
    if isinstance(value, time) or (isinstance(value, str) and re.fullmatch(r"[0-2][0-9]:[0-5][0-9]", value)):
        return value
    raise ValueError('expected a time of day in quotes, as in "02:00"')


def known_zone(zone: str) -> str:
    """Return the name of a time zone. Raise `ValueError` if there is no such zone."""
    try:
        return ZoneInfo(zone).key
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        raise ValueError(f"{zone!r} is not a time zone; expected a name like Europe/Vienna") from None


Clock = Annotated[time, BeforeValidator(_clock)]
Zone = Annotated[str, AfterValidator(known_zone)]


class Window(Immutable):
    """Hours of each day in local time, from `opens` until just before `closes`. They may include midnight."""

    opens: Clock = Field(alias="from", description='a time of day, like "02:30"')
    closes: Clock = Field(alias="to", description='a time of day, like "06:00"')

    @model_validator(mode="after")
    def _two_times(self) -> Self:
        if self.opens == self.closes:
            raise ValueError("from and to are the same; expected some hours, not a whole day")
        return self

    def holds(self, local: time) -> bool:
        """Return whether this time of day is inside."""
        if self.opens < self.closes:
            return self.opens <= local < self.closes
        return local >= self.opens or local < self.closes
