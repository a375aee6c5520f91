"""What WP-CLI reports about a WordPress from the inside: typed, and without any content of the site.

Every command here reads. `--skip-plugins --skip-themes` keeps a broken plugin from breaking it; must-use plugins are loaded all
the same.
"""

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.estate.errors import Unreachable
from tasks.wpcli.commands import LONGEST_COMMAND, Command

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

QUIET: dict[str, str | bool] = {"skip-plugins": True, "skip-themes": True}
ENVIRONMENTS = ("local", "development", "staging", "production")  # what WordPress knows
MODIFIED = re.compile(r"File doesn't (?:verify against checksum|exist)|File should not exist")
COUNTED = re.compile(r"(\d+) replacements? to be made")


@dataclass(frozen=True)
class Plugin:
    """An active plugin of a site for which a newer version exists."""

    name: str
    version: str
    newer: str


@dataclass(frozen=True)
class Places:
    """How many rows of one column contain a text."""

    table: str
    column: str
    count: int


@dataclass(frozen=True)
class Search:
    """Where a text was found, and which tables were not searched: WP-CLI passes over those without a primary key."""

    places: tuple[Places, ...]
    unsearched: tuple[str, ...] = ()


class WordPress:
    """The WordPress of one install, read by WP-CLI. Methods raise as `Connection.run`."""

    def __init__(self, connection: "Connection") -> None:
        self._run = connection.run

    def is_installed(self) -> bool:
        """Return whether WordPress finds its tables."""
        return self._run(Command(("core", "is-installed"), options=QUIET), accepted=(0, 1)).status == 0

    def environment_type(self) -> str:
        """Return what WordPress and its plugins take the install for; production if nothing else is configured."""
        found = self._evaluate("echo wp_get_environment_type();")
        if found not in ENVIRONMENTS:
            raise Unreachable(f"wp eval: the environment type is not one of {', '.join(ENVIRONMENTS)}.")
        return found

    def filters_mail(self) -> bool:
        """Return whether a must-use plugin decides about each e-mail before WordPress sends it."""
        return self._evaluate('echo has_filter("pre_wp_mail") ? "yes" : "no";') == "yes"

    def constant(self, name: str) -> bool:
        """Return whether a constant in wp-config.php is set and true; False if it is not defined there."""
        answer = self._run(Command(("config", "get"), (name,), {**QUIET, "format": "json"}), accepted=(0, 1))
        return answer.status == 0 and answer.last_line not in ("false", '""', "0", "null", '"false"')

    def modified_core_files(self) -> int | None:
        """Return how many files of WordPress differ from the published ones; None if they could not be compared.

        The exit code is 0 also if there are files that should not exist, and 1 also if the published checksums could not be
        fetched, so that the warnings are counted.
        """
        answer = self._run(Command(("core", "verify-checksums"), options=QUIET), accepted=(0, 1))
        found = len(MODIFIED.findall(answer.error + answer.output))
        return None if answer.status == 1 and not found else found

    def outdated_plugins(self) -> tuple[Plugin, ...]:
        """Return the active plugins for which a newer version exists, sorted by name."""
        fields = "name,status,update,version,update_version"
        answer = self._run(Command(("plugin", "list"), options={**QUIET, "fields": fields, "format": "json"}))
        rows = _rows(answer.last_line)
        outdated = [
            Plugin(str(row.get("name")), str(row.get("version")), str(row.get("update_version")))
            for row in rows
            if row.get("update") == "available" and row.get("status") in ("active", "active-network", "must-use")
        ]
        return tuple(sorted(outdated, key=lambda plugin: plugin.name))

    def search(self, text: str, *, within: float = LONGEST_COMMAND) -> Search:
        """Return where the database contains a text, serialised values included; `guid` is left out, which never changes.

        Nothing is replaced: it is a dry run. `within`: seconds.
        """
        options = {**QUIET, "all-tables-with-prefix": True, "skip-columns": "guid", "dry-run": True}
        command = Command(("search-replace",), (text, f"{text}.invalid"), options)
        output = self._run(command, within=within).output
        rows = [line.split("\t") for line in output.splitlines()]
        counted = (row for row in rows if len(row) == 4 and row[2].isdecimal() and int(row[2]))
        places = tuple(Places(table, column, int(count)) for table, column, count, _ in counted)
        total = COUNTED.search(output)
        if total is None or sum(each.count for each in places) != int(total[1]):
            raise Unreachable("wp search-replace: its table of places cannot be read.")
        return Search(places, tuple(row[0] for row in rows if row[2:3] == ["skipped"]))

    def _evaluate(self, code: str) -> str:
        """Return the last line that a piece of PHP prints. `code` is a constant of this file, never data."""
        return self._run(Command(("eval",), (code,), QUIET)).last_line


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except ValueError:
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreachable("wp plugin list: the answer is not a list in JSON.")
    return rows
