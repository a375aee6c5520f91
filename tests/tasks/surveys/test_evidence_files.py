"""Files as evidence: which content of which file on the destination proves a copy, or contradicts it."""

from typing import Any

import pytest

from tasks.estate.sites import Content
from tasks.surveys.arrival_evidence import files_arrived
from tests.tasks.safeguards.ledger_histories import PROD, STAGE

THEME, PLUGIN = "themes/school/style.css", "plugins/forms/forms.js"
STAGE_HOST, PROD_HOST = STAGE.primary_domain or "", PROD.primary_domain or ""


class Served:
    """The files that both sites serve now: digest by host and path, "" for a missing file; others cannot be read."""

    def __init__(self, files: dict[tuple[str, str], str]) -> None:
        self.files = files

    def asset(self, domain: str, path: str) -> str | None:
        """As `Prober.asset`."""
        return self.files.get((domain, path))


def content(assets: dict[str, str] | None = None, marker: str | None = None) -> Content:
    """Public content whose pages name these files, in these versions."""
    return Content(reachable=True, assets=assets or {}, files_marker=marker)


def arrived(
    expected: dict[str, str],
    *,
    served: dict[tuple[str, str], str] | None = None,
    named: dict[str, str] | None = None,
    **changes: Any,
) -> tuple[bool | None, str]:
    """Return whether staging has the expected files. `named`: the files that its own pages name."""
    given: dict[str, Any] = {"destination": STAGE, "source": PROD} | changes
    prober: Any = Served(served or {})
    return files_arrived(prober, given["destination"], given["source"], content(named), content(expected))


def test_files_with_the_content_of_the_source_have_arrived() -> None:
    """Files that the pages of the destination name count without another request; the others are requested."""
    found = arrived({THEME: "new", PLUGIN: "new"}, named={THEME: "new"}, served={(STAGE_HOST, PLUGIN): "new"})
    assert found == (True, "2 of 2 files compared")


def test_a_file_with_other_content_has_not_arrived() -> None:
    """The details name the file that differs and the file that is missing, and no file that is right."""
    served = {(STAGE_HOST, PLUGIN): "", (PROD_HOST, THEME): "new", (PROD_HOST, PLUGIN): "new"}
    expected = {THEME: "new", PLUGIN: "new", "themes/school/logo.svg": "same"}
    match, detail = arrived(expected, named={THEME: "old", "themes/school/logo.svg": "same"}, served=served)
    assert (match, detail) == (False, f"{THEME} differs; {PLUGIN} is missing")


@pytest.mark.parametrize(
    ("on_source", "match"),
    [("newer", True), ("another", False), ("", False), (None, False)],
    ids=["changed to this content", "changed to other content", "removed", "not readable"],
)
def test_a_file_that_the_source_has_changed_since_may_have_either_content(on_source: str | None, match: bool) -> None:
    """The destination may have the content that the source has now instead of the one at the call, and no third one."""
    served = {} if on_source is None else {(PROD_HOST, THEME): on_source}
    assert arrived({THEME: "at the call"}, named={THEME: "newer"}, served=served)[0] is match


def test_a_file_that_the_source_has_removed_since_may_be_missing() -> None:
    """The copy may have taken the files after the source removed one."""
    served = {(STAGE_HOST, THEME): "", (PROD_HOST, THEME): ""}
    assert arrived({THEME: "at the call"}, served=served)[0] is True


@pytest.mark.parametrize("source", [None, PROD.model_copy(update={"primary_domain": None})], ids=["none", "no domain"])
def test_only_the_expected_content_counts_if_no_source_can_be_read(source: Any) -> None:
    """A restore has no source, and a source may have no domain: then nothing excuses another content."""
    served = {(PROD_HOST, THEME): "newer", (STAGE_HOST, THEME): "newer"}
    assert arrived({THEME: "at the call"}, served=served, source=source)[0] is False
    assert arrived({THEME: "newer"}, served=served, source=source)[0] is True


def test_a_file_that_cannot_be_read_is_neither_right_nor_wrong() -> None:
    """The files that were read decide; if none was, nothing is known."""
    expected = {THEME: "new", PLUGIN: "new"}
    assert arrived(expected, named={THEME: "new"}) == (True, "1 of 2 files compared, the others could not be read")
    assert arrived(expected, named={THEME: "old"}) == (False, f"{THEME} differs")
    assert arrived(expected) == (None, "0 of 2 files compared, the others could not be read")


@pytest.mark.parametrize(
    ("now", "expected", "match"),
    [("2.0", "2.0", True), ("1.0", "2.0", None), (None, "2.0", None), ("2.0", None, None), (None, None, None)],
)
def test_without_files_to_compare_only_equal_versions_count(
    now: str | None, expected: str | None, match: bool | None
) -> None:
    """Different versions in the pages do not contradict a copy, because they depend on the database."""
    prober: Any = Served({})
    assert files_arrived(prober, STAGE, PROD, content(marker=now), content(marker=expected))[0] is match


def test_the_versions_count_if_the_destination_has_no_domain() -> None:
    """Without a domain no file can be requested."""
    nowhere, prober = STAGE.model_copy(update={"primary_domain": None}), Served({})
    given: Any = prober
    expected = content({THEME: "new"}, marker="2.0")
    assert files_arrived(given, nowhere, PROD, content(marker="2.0"), expected)[0] is True
    assert files_arrived(given, nowhere, PROD, content({THEME: "old"}, marker="1.0"), expected)[0] is None
