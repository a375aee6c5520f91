"""The version of the code. A plan that other code made is not valid."""

import hashlib
from functools import lru_cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the first 16 hex digits of a SHA-256 over all files of flows/ and tasks/ except Python's caches.

    It includes SQL and word lists, which decide as much as Python code does.
    """
    digest = hashlib.sha256()
    for folder in ("flows", "tasks"):
        for path in sorted((PROJECT / folder).rglob("*")):
            if "__pycache__" in path.parts or not path.is_file():
                continue
            digest.update(f"{path.relative_to(PROJECT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
