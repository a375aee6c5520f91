"""Wait for a condition of another process, for a limited time."""

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], within: float = 30.0) -> bool:
    """Return whether the condition becomes true in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
