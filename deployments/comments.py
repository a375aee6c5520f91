"""Comments on a run: they decide nothing, prove nothing, and are stored in Prefect with the run.

Everybody who reaches Prefect can write one under any name, so no code that decides reads them, and they are no part of the ledger.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.sorting import ArtifactSort

from deployments.run_progress import unescaped
from tasks.estate.errors import NotApproved
from tasks.rendering.times_and_tables import plain

SHORTEST_NAME, LONGEST_NAME = 3, 80  # characters, as in the forms
SHORTEST, LONGEST = 2, 500  # characters of a comment
MOST = 200  # comments that are read at a time, the newest: the server's limit


@dataclass(frozen=True)
class Comment:
    """What somebody wrote. `name` is claimed; `at` (UTC) is the time of Prefect's server."""

    name: str
    text: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} UTC, {self.name} (not proven): {self.text}"


def comment_key(run: UUID) -> str:
    """Return the key of the artifacts with the comments on this run."""
    return f"comment-{run}"


def write_comment(client: SyncPrefectClient, run: UUID, name: str, text: str) -> None:
    """Store a comment where everybody who sees the run sees it. Raises `NotApproved` for a name or text that is refused."""
    shown = [
        _typed("name", name, SHORTEST_NAME, LONGEST_NAME),
        _typed("comment", text, SHORTEST, LONGEST),
    ]
    by, words = (plain(each, LONGEST) for each in shown)
    client.create_artifact(
        ArtifactCreate(key=comment_key(run), type="markdown", description=by, data=words, flow_run_id=run)
    )


def comments_on(client: SyncPrefectClient, runs: Iterable[UUID]) -> dict[UUID, list[Comment]]:
    """Return the comments on these runs, oldest first; a run without one is missing. One request."""
    keys = {comment_key(run): run for run in runs}
    if not keys:
        return {}
    artifacts = client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[*keys])),
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[*keys.values()])),
        sort=ArtifactSort.CREATED_DESC,
        limit=MOST,
    )
    found: dict[UUID, list[Comment]] = defaultdict(list)
    for artifact in reversed(artifacts):
        run = keys[artifact.key or ""]
        name, text = _read(artifact.description, LONGEST_NAME), _read(artifact.data, LONGEST)
        if artifact.flow_run_id == run:
            found[run].append(Comment(name, text, artifact.created or datetime.min.replace(tzinfo=UTC)))
    return dict(found)


def _typed(what: str, text: str, shortest: int, longest: int) -> str:
    words = " ".join(text.split())
    if not shortest <= len(words) <= longest:
        raise NotApproved(
            f"The {what} has {len(words)} characters; expected {shortest} to {longest}.",
            next_step="Nothing was written, and nothing was decided.",
        )
    return words


def _read(stored: object, limit: int) -> str:
    """Return text as it was typed; what somebody stored past us is cut and stays on one line."""
    return " ".join(unescaped(str(stored or ""))[:limit].split())
