"""The page that describes the format is true: its reader reads our dumps, and its rules make dumps that we read."""

import json
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.dumps.dump_reader import check

PAGE = Path(__file__).parents[3] / "docs" / "dump-format.md"


@pytest.fixture
def reader(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """The program in the page, ready to be run on a file."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    script = tmp_path / "reader.py"
    script.write_text(program, encoding="utf-8")
    return lambda path: subprocess.run(
        [sys.executable, "-X", "utf8", str(script), path], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_reader_in_the_page_reads_a_dump(make_dump: Any, reader: Any) -> None:
    """Fifteen lines of Python print every row of a dump that this project wrote."""
    shown = reader(make_dump().url)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[:3] == [
        "public.users ['1', 'Anna', None]",
        "public.users ['2', 'Bernd \"B\"', 'tab\\there']",
        "public.users ['3', 'Jürgen', 'C:\\\\users\\\\v']",
    ]
    assert len(shown.stdout.splitlines()) == 8


def test_the_reader_in_the_page_notices_a_change(lines: list[bytes], reader: Any, tmp_path: Path) -> None:
    """It stops at changed rows, at segments left out and at a missing end."""
    changed = [line.replace(b"Anna", b"Otto") for line in lines]
    for broken, message in (
        (changed, "changed"),
        ([*lines[:5], *lines[8:]], "left out"),
        (lines[:-1], "the end is missing"),
    ):
        path = tmp_path / "broken.json.gz"
        path.write_bytes(zlib.compress(b"".join(broken), wbits=31))
        assert message in reader(str(path)).stderr


def test_a_dump_written_by_the_rules_of_the_page_is_read(lines: list[bytes], true_again: Any, tmp_path: Path) -> None:
    """Another JSON writer, another order of keys, another gzip: what the page allows is accepted."""
    turned = [
        json.dumps(dict(reversed(json.loads(line).items()))).encode() + b"\n" if line.startswith(b"{") else line
        for line in lines
    ]
    rows = ["[" + ",".join(f"\t{json.dumps(v, ensure_ascii=False)}" for v in ("4", 'ä\u2028🙂"\\/\x01', None)) + "]\n"]
    turned[2:2] = [row.encode() for row in rows]
    path = tmp_path / "theirs.json.gz"
    path.write_bytes(zlib.compress(b"".join(true_again(turned)), 6, wbits=31))
    assert check(str(path)).trailer.rows == 9


def test_the_page_names_what_the_lines_hold(lines: list[bytes]) -> None:
    """Kinds and fields in the page are those of a real dump."""
    page = PAGE.read_text(encoding="utf-8")
    for line in lines:
        if line.startswith(b"{"):
            fields = json.loads(line)
            assert f'"kind":"{fields["kind"]}"' in page
            missing = [key for key in fields if f'"{key}":' not in page] if fields["kind"] != "header" else []
            assert not missing
