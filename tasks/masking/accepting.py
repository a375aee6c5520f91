"""Accepted pairs: false alarms of the attack that a review has found to be none, each with its reason."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, ValidationError

from tasks.estate.sites import Immutable


class Accept(Immutable):
    """A pair that the attack may find: values of the masked column `source` also stand in the column `found`."""

    source: str
    found: str
    reason: str = Field(min_length=5)
    line: int = 0


def accepted_pairs(said: Any, lines: Mapping[tuple[str, ...], int], faults: list[str]) -> Iterator[Accept]:
    """Yield the entries of `accept`; what is wrong with others goes to `faults`, with its line."""
    if said is not None and not isinstance(said, list):
        faults.append(f"line {lines.get(('accept',), 1)}: accept: expected a list; found {type(said).__name__}")
        return
    seen: set[tuple[str, str]] = set()
    for number, entry in enumerate(said or []):
        line = lines.get(("accept", str(number)), 0)
        try:
            made = Accept.model_validate({**entry, "line": line} if isinstance(entry, dict) else entry)
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors())
            faults.append(f"line {line}: accept: expected source, found and reason: {told}")
            continue
        if (made.source, made.found) in seen:
            faults.append(f"line {line}: accept: the pair {made.source}, {made.found} is listed twice")
        seen.add((made.source, made.found))
        yield made
