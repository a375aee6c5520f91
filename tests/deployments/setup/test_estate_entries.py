"""Entries are added to an estate file without a change of what a person wrote."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.setup.estate_entries import with_entries
from tasks.configuration.estate_file import parse_estate
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Database, Site

PATH = Path("estate.yaml")
NEW = Site(name="Schulfest", production="schulprod", staging="schulstage")
SCHOOL = Database(
    name="school",
    application="school",
    policy="school",
    source="UNDERSTUDY_SOURCE_DATABASE",
    source_hostname="db.example",
)
HELD = """{indent}- name: Verein  # ours
{indent}  production: vereinprod
{indent}  staging: vereinstage
{indent}  nightly:
{indent}    window: {{from: "02:30", to: "06:00"}}
{indent}    zone: Europe/Vienna
{indent}    approval: ask
"""
# Names that YAML could read as something else, or that need quotes.
TITLES = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30
) | st.sampled_from(
    ["null", "~", "- a", "a: b", "# a", "no", "02:30", "'", '"', "{a}", "[a]", "*a", "&a", "!a", "%a", "@a", "`a"]
)


@pytest.mark.parametrize("before", ["", "# only comments\n", "databases: []\n", "sites: []  # none yet\n"])
def test_the_first_entry_makes_the_list(before: str) -> None:
    """An empty file, a missing list and an empty one become a list in the form of the documentation."""
    text = with_entries(before, PATH, sites=[NEW])
    assert parse_estate(text, PATH).sites == (NEW,)
    assert "sites:\n  - name: Schulfest\n    production: schulprod\n    staging: schulstage" in text


@pytest.mark.parametrize("indent", ["", "  ", "    "])
@pytest.mark.parametrize("after", ["", "\n# the end\n", "\n# of the school\ndatabases: []\n"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_another_entry_follows_the_last_one(indent: str, after: str, ends: str) -> None:
    """Every line that was there stays, in its order, also comments; the indentation is that of the list."""
    before = ("# the estate\nsites:\n" + HELD.format(indent=indent) + after).replace("\n", ends)
    text = with_entries(before, PATH, sites=[NEW])
    assert [site.name for site in parse_estate(text, PATH).sites] == ["Verein", "Schulfest"]
    kept = [line for line in text.split(ends) if line.strip() not in _lines_of_new()]
    assert kept == before.split(ends)


def _lines_of_new() -> set[str]:
    return {"- name: Schulfest", "production: schulprod", "staging: schulstage"}


def test_a_last_line_without_an_end_gets_one() -> None:
    """The new list does not continue the last line."""
    text = with_entries("sites:\n  - {name: Verein, production: vereinprod}", PATH, sites=[NEW], databases=[SCHOOL])
    found = parse_estate(text, PATH)
    assert ([site.name for site in found.sites], found.databases) == (["Verein", "Schulfest"], (SCHOOL,))


@given(titles=st.lists(TITLES, min_size=1, max_size=4, unique_by=str.casefold))
def test_every_name_is_read_back(titles: list[str]) -> None:
    """Whatever a site is called at the host, the estate contains that name."""
    sites = [Site(name=title, production=f"prod{number}") for number, title in enumerate(titles)]
    assert parse_estate(with_entries("", PATH, sites=sites), PATH).sites == tuple(sites)


@pytest.mark.parametrize(
    "before", ["{sites: []}\n", "sites: [{name: Verein, production: vereinprod}]\n", "sites: []\n...\n"]
)
def test_a_form_that_is_not_known_is_left_to_a_person(before: str) -> None:
    """The message contains the entry, and nothing is guessed."""
    with pytest.raises(Misconfigured, match="schulprod") as refused:
        with_entries(before, PATH, databases=[SCHOOL], sites=[NEW])
    assert "manually" in refused.value.next_step


def test_a_mistake_that_is_there_is_reported_as_everywhere() -> None:
    """The reader of the worker reports it with line and column."""
    with pytest.raises(Misconfigured, match="line 2, column 5, sites 1, stagging"):
        with_entries("sites:\n  - stagging: a\n    name: A\n    production: aprod\n", PATH, sites=[NEW])


def test_an_entry_that_contradicts_the_file_is_refused() -> None:
    """An install that the file names already is not named twice."""
    with pytest.raises(Misconfigured, match="schulprod"):
        with_entries("sites:\n  - {name: Other, production: schulprod}\n", PATH, sites=[NEW])
