"""Markdown for people: nothing from outside becomes markup, and lists and tables keep their form."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.rendering.times_and_tables import bullets, code, code_block, listed, plain, section, table, utc_time

HOSTILE = "<script>|**bold**|[x](http://evil.example)\n# title {{ flow }} \x1b[31m"


def test_hostile_text_becomes_inert() -> None:
    """Markup, links, new lines, template syntax and terminal escapes in a site's title have no effect."""
    text = plain(HOSTILE)
    assert "\n" not in text
    assert "\x1b" not in text
    assert "{{" not in text
    assert "\\<script\\>" in text
    assert "\\[x\\](" in text


@given(st.text())
def test_any_text_stays_on_one_line_and_in_its_cell(text: str) -> None:
    """No value can break out of its line or its table cell."""
    shown = plain(text)
    assert "\n" not in shown
    assert "\r" not in shown
    assert shown.replace("\\\\", "").replace("\\|", "").count("|") == 0


@given(st.text(alphabet="`a|\n"))
def test_code_ends_where_it_should(text: str) -> None:
    """No run of backticks in a text ends its block or its inline code."""
    first, *_, last = code_block(text, "yaml")
    assert first == f"{last}yaml"
    assert last not in text
    assert code(text).strip("`").count("`") == code(text).count("|") == 0


def test_lists_count_what_they_leave_out() -> None:
    """A list that is too long shows its beginning and the number of the rest; an empty one shows no item or "None."."""
    assert bullets("abc", most=2) == ["* a", "* b", "* and 1 more"]
    assert bullets("ab", most=2) == ["* a", "* b"]
    assert listed("Kept", ["a*", "b", "c"], most=2) == ["* Kept: a\\*, b and 1 more"]
    assert listed("Kept", []) == []
    assert section("Holds", []) == ["", "## Holds", "", "None."]


def test_a_table_has_a_rule_under_its_head() -> None:
    """Numbers are right-aligned where the table requests it."""
    assert list(table(("name", "rows"), [("a", 1)], right=("rows",))) == ["| name | rows |", "|---|---:|", "| a | 1 |"]


def test_a_time_that_is_missing_reads_unknown() -> None:
    """No time is shown as a time."""
    assert utc_time(None) == "unknown"
