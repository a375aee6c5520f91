"""Files of pictures in one folder, named by their digests, which the ledger records. Old ones are removed.

The folder is made for the worker's user and group: the desk reads it as another user of that group.
"""

import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

KEPT_FOR = 30 * 24 * 3600.0  # seconds: longer than any request waits
MOST = 200_000_000  # bytes of all pictures; the oldest are removed first
NAME = re.compile(r"[0-9a-f]{64}")


def keep_picture(folder: Path, picture: bytes) -> str:
    """Store a picture (WebP) and return its digest. Raises `OSError`."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    digest = hashlib.sha256(picture).hexdigest()
    with NamedTemporaryFile(dir=folder, delete=False) as file:  # a reader sees a whole file or none
        file.write(picture)
        os.fchmod(file.fileno(), 0o640)
    Path(file.name).replace(_path(folder, digest))
    return digest


def read_picture(folder: Path, digest: str) -> bytes | None:
    """Return the picture with this digest, or None if it is gone, is on another machine, or was changed."""
    if not NAME.fullmatch(digest):
        return None
    try:
        picture = _path(folder, digest).read_bytes()
    except OSError:
        return None
    return picture if hashlib.sha256(picture).hexdigest() == digest else None


def remove_old(folder: Path, *, now: float | None = None) -> int:
    """Remove pictures that are too old, and the oldest while there are too many; return how many. Other files stay."""
    last, left, removed = (time.time() if now is None else now) - KEPT_FOR, MOST, 0
    found = [(each.stat().st_mtime, each) for each in folder.glob("*.webp") if NAME.fullmatch(each.stem)]
    for changed, path in sorted(found, reverse=True):
        with suppress(FileNotFoundError):  # another worker was faster
            left -= path.stat().st_size
            if changed < last or left < 0:
                path.unlink()
                removed += 1
    return removed


def _path(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.webp"
