"""What people read about dumps: lists in a form, and a preview that can be deleted."""

import pytest

from tasks.dumps.masking_preview import Preview
from tasks.estate.dumps import LoadOrder
from tasks.estate.schema import DatabaseIdentity, Name
from tasks.rendering.dumps import load_text, preview_text
from tasks.runtime.approval_forms import form_for
from tasks.runtime.publish_report import report_key
from tests.tasks.safeguards.ledger_histories import LONG_AGO, load_plan


def text(*rows: int) -> str:
    """The text of a load of tables with these numbers of rows."""
    orders = [
        LoadOrder(name=Name(schema_name="public", name=f"t{at}"), columns=(), rows=count)
        for at, count in enumerate(rows)
    ]
    return load_text(load_plan(tables=tuple(orders)), answer_by=LONG_AGO)


@pytest.mark.parametrize("rows", [(), (7,), (1, 7, 0), tuple(range(100))])
def test_the_form_of_a_load_has_no_table(rows: tuple[int, ...]) -> None:
    """A field's help does not draw tables: neither the text nor the help has a line of one."""
    schema = form_for(load_plan(), text(*rows)).model_json_schema()
    for shown in (text(*rows), schema["properties"]["decision"]["description"]):
        assert not [line for line in shown.splitlines() if line.lstrip().startswith("|")]


def test_the_largest_tables_come_first() -> None:
    """The rows are a list, most first, and what does not fit is counted."""
    lines = text(1, 7, 0).splitlines()
    assert [line.partition(" rows")[0][-5:] for line in lines[-3:]] == ["t1: 7", "t0: 1", "t2: 0"]
    assert text(*range(100)).splitlines()[-1] == "* and 70 more"


@pytest.mark.parametrize("originals", [True, False])
def test_a_preview_names_the_key_that_deletes_it_alone(originals: bool) -> None:
    """With originals the key of the report contains its run; without, there is nothing to delete."""
    source = DatabaseIdentity(
        host="db", port=5432, database="school", database_oid=7, system_identifier="42", server_version=160000
    )
    seen = Preview.model_validate({"policy": "p", "source": source, "originals": originals, "tables": ()})
    assert ("`prefect artifact delete report-preview-r1`" in preview_text(seen, "report-preview-r1")) is originals


def test_reports_share_a_key_unless_they_name_their_run() -> None:
    """The key of a report is words, or words and the run."""
    assert (report_key("load_dump"), report_key("preview", "r1")) == ("report-load-dump", "report-preview-r1")
