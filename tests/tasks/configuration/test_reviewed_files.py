"""Reviewed files: a mistake is reported with file, entry and field, and is never read as an empty list."""

from pathlib import Path

import pytest

from tasks.configuration.reviewed_files import parse, read_entries
from tasks.estate.errors import Misconfigured
from tasks.estate.sites import Immutable


class Rule(Immutable):
    """An entry with one required field."""

    name: str
    days: int = 1


def test_entries_are_read_in_their_order(tmp_path: Path) -> None:
    """Each entry of the list is one object, in their order."""
    path = tmp_path / "rules.yaml"
    path.write_text("- name: a\n- {name: b, days: 2}\n")
    assert read_entries(path, Rule, called="a rule") == [Rule(name="a"), Rule(name="b", days=2)]


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n", "[]\n"])
def test_nothing_in_it_is_no_entry(text: str | None, tmp_path: Path) -> None:
    """A missing file, an empty one and an empty list have no entries."""
    path = tmp_path / "rules.yaml"
    if text is not None:
        path.write_text(text)
    assert read_entries(path, Rule, called="a rule") == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{}", "contains a dict; expected a list"),
        ("- {name: a}\n- {days: x}", r"Entry 2 of .*rules.yaml is not a rule: name: .*; days: "),
        ("- 7", "Entry 1 of .* is not a rule: entry: "),
        ("- {name: a, more: b}", "Entry 1 of .*: more: "),
        ("- {name: a, name: b}", r"not valid YAML \(line 1\): a key occurs twice"),
        ("- name: a\n- [", r"not valid YAML \(line 2\)"),
        ("- name: 2026-02-30", "not valid YAML"),
        ("- !!python/name:os.system a", "not valid YAML"),
        (b"\xff", "cannot be read: UnicodeDecodeError"),
    ],
)
def test_a_wrong_file_is_one_clear_error(text: str | bytes, named: str, tmp_path: Path) -> None:
    """Wrong YAML, a wrong entry and a wrong field are reported with their place."""
    path = tmp_path / "rules.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Misconfigured, match=named):
        read_entries(path, Rule, called="a rule")


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    """A path that cannot be read is an error, not an empty list."""
    with pytest.raises(Misconfigured, match="cannot be read: IsADirectoryError"):
        read_entries(tmp_path, Rule, called="a rule")


def test_a_wrong_line_is_not_shown(tmp_path: Path) -> None:
    """The message does not contain the line, because the file may contain secrets."""
    with pytest.raises(Misconfigured) as caught:
        parse("anna: GEZDGNBVGY3TQOJQ: x\n", tmp_path / "codes.yaml")
    assert "GEZDG" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
