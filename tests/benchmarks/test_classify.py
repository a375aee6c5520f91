"""How fast a policy is drafted, and how much memory it takes."""

import time
import tracemalloc

from tasks.masking.classify import draft
from tests.benchmarks.measuring import Page
from tests.tasks.masking.labelled import invented_values, schemas, several

VALUES = 200  # of each column, as `classify` samples them


def test_columns_drafted_a_second(page: Page) -> None:
    """Print the columns a second without values and with a sample, as processor time, and the peak memory of a draft."""
    catalog, labels = several(schemas())
    columns = sum(len(table.copied) for table in catalog.tables)
    sampled = invented_values(catalog, labels, VALUES)
    draft(catalog, sampled)
    lines = []
    for what, given in (("names and types alone", {}), (f"with {VALUES} values of each column", sampled)):
        seconds = min(_seconds(catalog, given) for _ in range(3))
        tracemalloc.start()
        draft(catalog, given)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        lines.append((what, seconds, f"{columns / seconds:,.0f}", peak))
    page.section(
        "Drafting a policy",
        ("what", "seconds of one processor", "columns/s", "peak MiB"),
        lines,
        f"{columns:,} columns of {len(catalog.tables)} tables of {len(schemas())} public schemas, {sum(map(len, sampled.values())):,}"
        " invented values. Reading the catalogue and the sample from the database is not in it.",
    )


def _seconds(catalog: object, given: object) -> float:
    began = time.process_time()
    draft(catalog, given)  # type: ignore[arg-type]  # passed through
    return time.process_time() - began
