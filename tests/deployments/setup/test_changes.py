"""The files of a set-up are written together, by whoever owns them, and only if nobody else changed them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.setup.changes import FileChange, require_project, require_writable, signals_held, write_together
from tasks.configuration.code_version import PROJECT
from tasks.estate.errors import Misconfigured, Refused

NOWHERE = Path("/proc/self")  # a folder in which nobody can make a file, not even root
pytestmark = pytest.mark.skipif(not NOWHERE.exists(), reason="this system has no /proc")


def test_all_files_are_written_with_their_modes(tmp_path: Path) -> None:
    """A new folder is for its owner alone; a file that is kept is not touched."""
    (tmp_path / "kept").write_text("kept")
    before = (tmp_path / "kept").stat().st_mtime_ns
    write_together(
        [
            FileChange(tmp_path / "new" / "secret", None, "s", 0o600),
            FileChange(tmp_path / "plain", None, "p", 0o644),
            FileChange(tmp_path / "kept", "kept", "kept", 0o644),
        ]
    )
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("new", "new/secret", "plain")]
    assert modes == [0o700, 0o600, 0o644]
    assert (tmp_path / "kept").stat().st_mtime_ns == before


def test_a_file_that_somebody_changed_stops_all(tmp_path: Path) -> None:
    """What was shown is no longer what would be overwritten: nothing is written."""
    (tmp_path / "estate.yaml").write_text("theirs")
    with pytest.raises(Refused, match=r"estate\.yaml was changed while"):
        write_together(
            [
                FileChange(tmp_path / "first", None, "1", 0o644),
                FileChange(tmp_path / "estate.yaml", "ours", "new", 0o644),
            ]
        )
    assert [path.name for path in tmp_path.iterdir()] == ["estate.yaml"]


def test_a_file_that_cannot_be_written_leaves_no_other(tmp_path: Path) -> None:
    """The texts of all files are on the disk before the first one takes its place."""
    first, second = FileChange(tmp_path / "first", None, "1", 0o644), FileChange(NOWHERE / "second", None, "2", 0o644)
    with pytest.raises(OSError, match="second"):
        write_together([first, second])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt`, also if the tests run in the background, where a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_waits_until_the_files_are_complete(interruptible: None) -> None:
    """Ctrl-C in the middle takes effect after the block."""
    reached: list[bool] = []

    def interrupted() -> None:
        with signals_held():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached


def test_a_folder_a_file_or_another_owner_in_the_way_is_named_first(tmp_path: Path) -> None:
    """Each is one sentence with a remedy, before anybody types an answer."""
    (tmp_path / "file").write_text("")
    require_writable([tmp_path / "file", tmp_path / "new" / "deep" / "file"])
    with pytest.raises(Misconfigured, match="is a folder; expected a file"):
        require_writable([tmp_path])
    with pytest.raises(Misconfigured, match="not a folder"):
        require_writable([tmp_path / "file" / "worker.env"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a file of somebody else")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """To replace it would take it from its owner, also for root, who could."""
    (tmp_path / "file").write_text("")
    os.chown(tmp_path / "file", 54321, -1)
    with pytest.raises(Misconfigured, match="belongs to the user 54321; you are root"):
        require_writable([tmp_path / "file"])


def test_a_folder_that_is_read_only_is_refused() -> None:
    """Also a folder further up, in which missing ones would be made."""
    with pytest.raises(Misconfigured, match="read-only"):
        require_writable([NOWHERE / "new" / "worker.env"])


def test_relative_files_are_those_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker runs in the project's folder: in another folder it would not find what is written."""
    monkeypatch.chdir(PROJECT)
    require_project([Path("deployments/estate.yaml")])
    monkeypatch.chdir(tmp_path)
    require_project([tmp_path / "estate.yaml"])
    with pytest.raises(Misconfigured, match=r"reads deployments/estate\.yaml in"):
        require_project([Path("deployments/estate.yaml")])


def test_a_difference_is_shown_without_secrets() -> None:
    """A file with secrets shows names; others show the lines that differ."""
    assert FileChange(Path("a"), "UNDERSTUDY_A=x\n", "UNDERSTUDY_A=y\n", 0o600, ("~UNDERSTUDY_A",)).shown == [
        "~UNDERSTUDY_A"
    ]
    assert FileChange(Path("a"), "one\n", "one\ntwo\n", 0o644).shown == ["@@ -1 +1,2 @@", " one", "+two"]
