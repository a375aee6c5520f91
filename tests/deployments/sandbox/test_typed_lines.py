"""Lines that are typed while the demo prints: read without waiting, whole, and to the end."""

import os
import pty
from collections.abc import Iterator

import pytest

from deployments.sandbox.typed_lines import TypedLines


@pytest.fixture
def typed() -> Iterator[tuple[int, TypedLines]]:
    """A pipe to write to, and what reads from it."""
    read, write = os.pipe()
    yield write, TypedLines(read)
    os.close(read)


def test_whole_lines_are_returned_once(typed: tuple[int, TypedLines]) -> None:
    """Half a line is kept until its end arrives; nothing typed is an empty text; so is the end of the input."""
    write, lines = typed
    assert lines.next() == ""
    os.write(write, b"- {half")
    assert lines.next() == ""
    os.write(write, b" and half}\n second \nthird")
    assert [lines.next() for _ in range(3)] == ["- {half and half}", "second", ""]
    os.close(write)
    assert [lines.next() for _ in range(3)] == ["", "", ""]


def test_a_terminal_of_somebody_else_is_not_read() -> None:
    """A process in the background would be stopped by a read."""
    mine, theirs = pty.openpty()
    try:
        os.write(mine, b"typed\n")
        assert TypedLines(theirs).next() == ""
    finally:
        os.close(mine)
        os.close(theirs)


def test_without_standard_input_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a service manager."""
    monkeypatch.setattr("sys.stdin", None)
    assert TypedLines().next() == ""
