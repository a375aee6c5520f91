"""Version: which code works for a run. A plan that was drafted by other code is another plan."""

import hashlib
from functools import lru_cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return a SHA-256 (the first 16 hexadecimal digits) over all files of flows/ and tasks/, as this process found them.

    Queries and word lists decide as much as Python does, so every file counts but what Python caches.
    """
    digest = hashlib.sha256()
    for folder in ("flows", "tasks"):
        for path in sorted((PROJECT / folder).rglob("*")):
            if "__pycache__" in path.parts or not path.is_file():
                continue
            digest.update(f"{path.relative_to(PROJECT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
