"""Memory stays flat: a dump ten times as large needs no more of it, to write, to check and to read."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tasks.estate.schema import Name

PROGRAM = """
import sys
from pathlib import Path
from tasks.dumps.dump_files import assemble
from tasks.dumps.dump_reader import Segment, check, read
from tasks.dumps.segment_writer import SegmentWriter
from tasks.estate.dumps import Header
from tasks.estate.schema import Name

folder, megabytes, compression, recipient, identity = sys.argv[1:]
users = Name(schema_name="public", name="users")
header = Header.model_validate_json((Path(folder) / "header.json").read_bytes())
block = b"".join(b"%d\\tuser-%d@staging.local\\tlorem ipsum dolor sit amet\\\\n\\t\\\\N\\n" % (i, i) for i in range(16_000))
with SegmentWriter(Path(folder) / f"part-{megabytes}", users, 0, compression=compression) as writer:
    for _ in range(int(megabytes) * 1_000_000 // len(block)):
        writer.write_copy(block)
sealing = {"recipients": [recipient]} if recipient else {}
facts = assemble(f"{folder}/{megabytes}.dump", header, [writer.part], compression=compression, **sealing)
opening = {"identities": [identity]} if identity else {}
assert check(facts.url, **opening) == facts
for event in read(facts.url, **opening):
    if isinstance(event, Segment):
        for copied in event.blocks:
            assert len(copied) < 3_000_000
# Not ru_maxrss: a child of a large process starts with its parent's.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize(
    ("compression", "sealed"),
    [
        ("gzip", True),
        *(pytest.param(word, False, marks=pytest.mark.drill) for word in ("gzip", "zstd", "none")),
    ],
)
def test_memory_is_flat(tmp_path: Path, new_header: Any, compression: str, sealed: bool) -> None:
    """50 MB of rows take hardly more memory than 5 MB of them, and in all less than the 150 MB a process may have."""
    header = new_header({Name(schema_name="public", name="users"): (4, [])})
    (tmp_path / "header.json").write_text(header.model_dump_json(), encoding="utf-8")
    identity = pyrage.x25519.Identity.generate()
    keys = [str(identity.to_public()), str(identity)] if sealed else ["", ""]
    peaks = {}
    for megabytes in (5, 50):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(megabytes), compression, *keys]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=100, check=False, cwd=Path(__file__).parents[3]
        )
        assert done.returncode == 0, done.stderr
        peaks[megabytes] = json.loads(done.stdout) / 1024
    assert peaks[50] < peaks[5] + 8, peaks
    assert peaks[50] < 150, peaks
