"""Progress: updated often enough to be live, and rarely enough to be cheap."""

import pytest

from tasks.runtime import progress as module
from tasks.runtime.progress import Progress


def test_ten_thousand_tables_ask_prefect_for_a_handful_of_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of the work is shown at most once a second, and the end always."""
    shown: list[tuple[float, str]] = []
    monkeypatch.setattr(Progress, "_put", lambda self, percent, text: shown.append((percent, text)))
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = Progress("export", typical=1)
    for table in range(10_000):
        now[0] += 0.0003
        progress.at(table / 100, f"t{table}")
    progress.at(100, "done")
    assert shown[0] == (0, "t0")
    assert shown[-1] == (100, "done")
    assert 3 <= len(shown) <= 6
