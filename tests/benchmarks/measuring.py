"""Measuring: contenders in turn, medians of rounds, peaks of memory, and the page that the results go to."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

Contenders = dict[str, Callable[[], object]]
Cell = str | int | float


@dataclass(frozen=True)
class Times:
    """Seconds of each contender, a list by round. One that ran once has only its first round."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """The middle of a contender's rounds."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, yardstick: str) -> float:
        """Median of the ratios within each round: what disturbs a round disturbs both."""
        pairs = zip(self.seconds[name], self.seconds[yardstick], strict=False)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def spread(self, name: str) -> str:
        """The rounds as smallest to largest, or the one there is."""
        low, high = min(self.seconds[name]), max(self.seconds[name])
        return f"{low:.2f} to {high:.2f}" if len(self.seconds[name]) > 1 else "one round"


def in_turn(
    contenders: Contenders, rounds: int, *, once: Sequence[str] = (), before: Callable[[], None] = lambda: None
) -> Times:
    """Run every contender once a round, so that a machine that slows down slows all of them. `before` is not timed."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            if number and name in once:
                continue
            before()
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return Times(seconds)


def peak_mib() -> float:
    """Return the peak of this process's memory in RAM so far (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


@dataclass
class Page:
    """What was measured, section by section: printed at once, written as a page at the end if that was asked for."""

    show: Callable[[str], None]
    facts: list[str] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)

    def fact(self, text: str) -> None:
        """Something about the data or the machine that the figures depend on."""
        if text not in self.facts:
            self.facts.append(text)

    def section(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *notes: str) -> None:
        """A table with its notes."""
        cells = [[_shown(cell) for cell in row] for row in rows]
        self.show(f"\n{title}\n{_aligned([list(columns), *cells])}\n" + "".join(f"  {note}\n" for note in notes))
        lines = [f"## {title}", "", _row(columns), _row(["---"] + ["---:"] * (len(columns) - 1)), *map(_row, cells), ""]
        measured = f"*{'; '.join([*machine(), *self.facts])}.*\n"
        self.sections.append("\n".join([*lines, *(f"{note}\n" for note in notes), measured]))

    def written(self, earlier: str) -> str:
        """The page: what was measured now, and of `earlier` what was not. No path and no name of the machine is in it."""
        head = [
            "# What the anonymized dump costs",
            "",
            "Written by `BENCH_PAGE=1 make bench`; do not edit. Ratios travel to other machines, seconds do not. Contenders",
            "run in turn, every figure is a median of rounds, and a ratio is the median of the ratios within a round.",
            "",
        ]
        sections = {_title(part): part for part in earlier.split("\n## ")[1:]} | {
            _title(part): part for part in (section.removeprefix("## ") for section in self.sections)
        }
        return "\n".join(head) + "".join(f"\n## {part.strip()}\n" for part in sections.values())


def _title(section: str) -> str:
    return section.partition("\n")[0]


def machine() -> list[str]:
    """What the figures were measured on, without names or paths."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GB memory, {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}",
        "PostgreSQL embedded, on a Unix socket, fsync off, warm cache, the same server for both sides",
    ]


def _shown(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:,.2f}" if cell < 100 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = (cell.rjust(width) if place else cell.ljust(width)
                        for place, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        lines.append("  " + "   ".join([first, *rest]))
    return "\n".join(lines)
