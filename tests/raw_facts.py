"""Facts of any kind with any detail, for tests of old, incomplete and invented rows of the ledger."""

from collections.abc import Mapping
from typing import Any

from tasks.ledger.facts import Recorded


def raw_fact(kind: str, detail: Mapping[str, Any] | None = None) -> Recorded:
    """Return a fact that is stored under this kind with exactly this detail."""

    class Raw(Recorded):
        KIND = kind

        def stored(self) -> dict[str, Any]:
            return {**(detail or {})}

    return Raw()
