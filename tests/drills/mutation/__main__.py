"""Plant small breakages in the code that guards, and count those that no test notices. `make mutate` runs it.

First the suite runs once and records which test runs which line. Then each breakage gets the tests that run its lines,
fastest first, until one fails: in a process that has imported the project, or, for what runs at import, in a copy of it.
`--sample 50` draws breakages at random and prints the seed. `--file tasks/locks.py --tests tests/tasks/test_locks.py` tries
one file against some of the tests: what these notice, the suite notices. `--again` tries only what survived the last run.
Exit code 1: fewer than 95 % noticed, or an entry of survivors.yaml that names no breakage any more.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import coverage
import yaml

from tests.drills.mutation.breakages import breakages
from tests.drills.mutation.guards import GROUPS
from tests.drills.mutation.running import CODE, ROOT, Planted, import_all, try_one

HERE = Path(__file__).parent
TRACES = ROOT / ".mutation"
SURVIVED = TRACES / "survived"  # file: the keys of what survived the last run, one a line
GOAL = 0.95


def main() -> int:
    """Trace, plant, count and print."""
    options = argparse.ArgumentParser(prog="make mutate", description=__doc__.splitlines()[0])
    options.add_argument("--sample", type=int, help="only so many breakages, drawn at random")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--group", choices=GROUPS, help="only these files")
    options.add_argument("--file", action="append", help="only this file; may be repeated")
    options.add_argument("--tests", action="append", help="only the tests of this path; may be repeated")
    options.add_argument("--again", action="store_true", help="only what survived the last run")
    options.add_argument("--processes", type=int, default=2)
    given = options.parse_args()
    paths = given.file or [path for name, paths in GROUPS.items() if given.group in (None, name) for path in paths]
    planted = plant(paths, traces(given.processes, given.tests or ()))
    if given.again:
        survived = set(SURVIVED.read_text(encoding="utf-8").splitlines())
        planted = [one for one in planted if one.key in survived]
    if given.sample:
        random.seed(given.seed)
        planted = random.sample(planted, min(given.sample, len(planted)))
        print(f"{len(planted)} breakages drawn with --seed {given.seed}")
    survivors = try_all(planted, given.processes)
    SURVIVED.write_text("\n".join(one.key for one in survivors), encoding="utf-8")
    return report(planted, survivors, whole=not given.sample and not given.file and not given.group and not given.again)


def traces(processes: int, tests: Sequence[str]) -> Path:
    """Return the folder with lines and times of each test, made by a run of these tests, or of the suite if none is named.

    There is one folder for each state of the tree and each choice of tests.
    """
    state = state_of_tree()
    folder = TRACES / f"{state}-{hashlib.sha256(' '.join(tests).encode()).hexdigest()[:8]}"
    if (folder / "whole").exists():
        return folder
    for old in TRACES.glob("*/"):
        if not old.name.startswith(state):
            shutil.rmtree(old)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"Running {' '.join(tests) or 'the suite'} once, to see which test runs which line …", flush=True)
    ran = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "tests.drills.mutation.tracing", "-n", str(processes),
            "--dist", "loadfile", "--timeout", "600", "--ignore", "tests/test_tools.py", "--no-header", *tests,
        ],
        cwd=ROOT, env=os.environ | {"UNDERSTUDY_TRACES": str(folder), "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    if ran.returncode not in (0, 1):  # 1: a failed test is not used, and the others still prove something
        raise SystemExit(f"The suite did not run (exit code {ran.returncode}); no breakage was tried.")
    joined = coverage.Coverage(data_file=str(folder / "lines"), config_file=False)
    joined.combine([str(folder)])
    joined.save()
    (folder / "whole").touch()
    return folder


def state_of_tree() -> str:
    """A digest of everything that decides which test runs which line."""
    digest = hashlib.sha256()
    for folder in (*CODE, "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def plant(paths: Sequence[str], folder: Path) -> list[Planted]:
    """Every breakage of these files that is not a known survivor, with its tests."""
    seconds: dict[str, float] = {}
    for file in folder.glob("seconds-*.json"):
        seconds |= json.loads(file.read_text())
    lines = coverage.CoverageData(basename=str(folder / "lines"))
    lines.read()
    known = reviewed()
    return [
        planted
        for path in paths
        for planted in _planted(path, lines.contexts_by_lineno(str(ROOT / path)), seconds)
        if planted.key not in known
    ]


def _planted(path: str, contexts: dict[int, list[str]], seconds: dict[str, float]) -> Iterator[Planted]:
    everywhere = {test for tests in contexts.values() for test in tests}
    source = (ROOT / path).read_text(encoding="utf-8")
    for breakage in breakages(source):
        # What runs at import, before any test, may be noticed by every test that runs the file at all.
        tests = set(contexts.get(breakage.line, ())) - {""} or everywhere
        usable = sorted((test for test in tests if test in seconds), key=lambda test: seconds[test])
        yield Planted(
            path,
            source,
            breakage,
            tuple(usable),
            sum(times := [seconds[test] for test in usable]),
            max(times, default=0),
        )


def reviewed() -> dict[str, str]:
    """Breakages that change nothing, each with the reason."""
    file = HERE / "survivors.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {} if file.exists() else {}


def try_all(planted: Sequence[Planted], processes: int) -> list[Planted]:
    """Those that no test notices. Each process has a copy of the project of its own."""
    survivors, started = [], time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="mutation-") as folder,
        multiprocessing.Pool(processes, import_all, [sorted({test for one in planted for test in one.tests})]) as pool,
    ):
        for done, (noticed, one) in enumerate(
            pool.imap_unordered(try_one, [(Path(folder), one) for one in planted]), start=1
        ):
            if not noticed:
                survivors.append(one)
                print(f"SURVIVED {one.key}{'' if one.tests else '  (no test runs this line)'}", flush=True)
            if done % 25 == 0:
                print(f"{done} of {len(planted)} after {time.monotonic() - started:.0f} s", flush=True)
    return survivors


def report(planted: Sequence[Planted], survivors: Sequence[Planted], *, whole: bool) -> int:
    """Print the count for each file, and return whether it is enough."""
    for path in dict.fromkeys(one.path for one in planted):
        mine = [one for one in planted if one.path == path]
        lost = sum(one.path == path for one in survivors)
        print(f"{path}: {len(mine) - lost} of {len(mine)} noticed")
    share = 1 - len(survivors) / max(len(planted), 1)
    print(f"{share:.1%} of {len(planted)} breakages noticed; {len(reviewed())} more change nothing (survivors.yaml)")
    keys = {
        f"{path}: {b.key}" for paths in GROUPS.values() for path in paths for b in breakages((ROOT / path).read_text())
    }
    stale = [key for key in reviewed() if whole and key not in keys]
    for key in stale:
        print(f"survivors.yaml names a breakage that does not exist any more: {key}")
    return 1 if share < GOAL or stale else 0


if __name__ == "__main__":
    sys.exit(main())
