"""Pictures of both sides of a plan, as the plan's record names them."""

from pydantic import Field

from tasks.estate.sites import Immutable


class PicturePair(Immutable):
    """The same page of both sides in one width (pixels): the digests of two pictures in which what differs is marked.

    `share` is the part of the rows of pixels that differ, from 0 to 1.
    """

    path: str
    width: int
    source: str = Field(pattern="^[0-9a-f]{64}$")
    destination: str = Field(pattern="^[0-9a-f]{64}$")
    share: float = Field(ge=0, le=1)
