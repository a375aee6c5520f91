"""Pictures are files that are named by their digests, readable by the group, and removed when they are old or many."""

import os
import time
from pathlib import Path

import pytest

from tasks.ledger import picture_files
from tasks.ledger.picture_files import keep_picture, read_picture, remove_old


def test_a_picture_is_read_by_its_digest_only(tmp_path: Path) -> None:
    """What was changed, is gone, or is named by a path is not there."""
    folder = tmp_path / "pictures"
    digest = keep_picture(folder, b"picture")
    assert read_picture(folder, digest) == b"picture"
    file = folder / f"{digest}.webp"
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o750, 0o640)
    assert [each.name for each in folder.iterdir()] == [file.name]
    file.write_bytes(b"another")
    assert read_picture(folder, digest) is None
    (tmp_path / "secret.webp").write_bytes(b"secret")
    for name in ("../secret", "", digest.upper(), f"{digest}.webp", "0" * 64):
        assert read_picture(folder, name) is None


def test_old_pictures_and_too_many_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest stay; what is no picture is left alone."""
    for number in range(5):
        digest = keep_picture(tmp_path, b"x" * 100 + bytes([number]))
        os.utime(
            tmp_path / f"{digest}.webp", (0, time.time() - (40 - number) * 86400 * (number < 2) - 10 * (5 - number))
        )
    (tmp_path / "notes.webp").write_bytes(b"mine")
    os.utime(tmp_path / "notes.webp", (0, 0))
    assert remove_old(tmp_path) == 2
    monkeypatch.setattr(picture_files, "MOST", 210)
    assert remove_old(tmp_path) == 1
    assert len([*tmp_path.iterdir()]) == 3
    assert read_picture(tmp_path, digest) is not None, "the newest"
