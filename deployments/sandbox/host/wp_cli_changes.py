"""The commands of WP-CLI that change an emulated site: options, SQL, search-replace, cron events and caches.

Exit codes and words are those of WP-CLI 2.5. `db query` runs SQL on the site's tables.
"""

import json
import re
import sqlite3
from collections.abc import Callable
from typing import Any

from deployments.sandbox.host.php_values import serialize, unserialize
from deployments.sandbox.host.site_tables import DERIVED, Sql, options, replace_in_rows
from deployments.sandbox.host.wp_invocation import Document, Ended, Invocation, refused


def texts_of(install: Document) -> list[tuple[str, str, str]]:
    """Return the texts that follow from the site's content: table, column, value. Pages have a page builder's JSON."""
    content = install["database"]
    home, born = content["home"], content.get("born", content["home"])
    rows = [("wp_options", "option_value", options(install)[name]) for name in DERIVED]
    for item in content["posts"]:
        link = f"<p>{item['title']} <a href='http://{home}/?p={item['id']}'>more</a></p>"
        rows += [("wp_posts", "post_content", link), ("wp_posts", "guid", f"http://{born}/?p={item['id']}")]
    meta = json.dumps({"url": f"http://{home}/"}).replace("/", "\\/")
    rows += [("wp_postmeta", "meta_value", meta) for _ in content["pages"]]
    return rows


def search_replace(given: Invocation) -> Ended:
    """Replace a text in the tables of the site, or count where it is."""
    if len(given.values) < 2:
        return Ended(1, err="usage: wp search-replace <old> <new> [<table>...]\n")
    old, new, *tables = given.values
    pattern = re.compile(old.replace(r"\/", "/") if given.options.get("regex") else re.escape(old))
    changed = new.replace("\\\\", "\\")
    skipped = str(given.options.get("skip-columns", "")).split(",")
    dry, content = bool(given.options.get("dry-run")), given.install["database"]
    rows: Document = content.get("rows", {})
    counts: dict[tuple[str, str], int] = {}

    def replace(text: str) -> str:
        return pattern.sub(lambda _: changed, text)

    for table, column, text in texts_of(given.install):
        if column not in skipped and (not tables or table in tables):
            counts[table, column] = counts.get((table, column), 0) + bool(pattern.search(text))
    scratch = json.loads(json.dumps(rows)) if dry else rows
    for place, count in replace_in_rows(scratch, replace, tables or [*rows], skipped).items():
        counts[place] = counts.get(place, 0) + count
    if not dry and (not tables or "wp_options" in tables):
        content["home"] = replace(f"http://{content['home']}").removeprefix("http://")
    return _reported(given, counts)


def _reported(given: Invocation, counts: dict[tuple[str, str], int]) -> Ended:
    """Return the table of places, or only the total."""
    total = sum(counts.values())
    if given.options.get("format") == "count":
        return Ended(0, str(total))
    changed_only = given.options.get("report-changed-only")
    shown = [(*where, str(n), "SQL") for where, n in counts.items() if n or not changed_only]
    keyless = [] if changed_only else given.install.get("inside", {}).get("tables_without_key", [])
    passed_over = [(table, "", "skipped") for table in keyless]
    lines = ["\t".join(row) for row in [("Table", "Column", "Replacements", "Type"), *shown, *passed_over]]
    done = "to be made." if given.options.get("dry-run") else "made."
    if not given.options.get("dry-run"):
        return Ended(0, "\n".join([*lines, f"Success: Made {total} replacement{'' if total == 1 else 's'}.", ""]))
    return Ended(0, "\n".join([*lines, f"Success: {total} replacement{'' if total == 1 else 's'} {done}", ""]))


def _query(given: Invocation) -> Ended:
    sql = Sql(given.install)
    try:
        printed = sql.run(given.values[0])
    except sqlite3.Error as wrong:
        return Ended(1, err=f"ERROR 1064 (42000) at line 1: {wrong}\n")
    if re.search(r"\b(UPDATE|DELETE|INSERT)\b", given.values[0]):
        sql.store()
    return Ended(0, printed)


def _update_option(given: Invocation) -> Ended:
    name, value = given.values[:2]
    if options(given.install).get(name) == value:
        return Ended(0, f"Success: Value passed for '{name}' option is unchanged.\n")
    _put(given.install, name, value)
    return Ended(0, f"Success: Updated '{name}' option.\n")


def _put(install: Document, name: str, value: str) -> None:
    rows: list[list[Any]] = Sql(install)._rows["wp_options"]
    found = next((row for row in rows if row[1] == name), None)
    if found:
        found[2] = value
    else:
        rows.append([max([row[0] for row in rows], default=0) + 1, name, value, "yes"])


def _array(install: Document, name: str) -> Document | None:
    try:
        value = unserialize(options(install).get(name, ""))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _pluck(given: Invocation) -> Ended:
    name, key = given.values[:2]
    found = _array(given.install, name)
    if found is None or key not in found:
        return Ended(1)
    value = found[key]
    return Ended(0, ("1" if value is True else "" if value is False else str(value)) + "\n")


def _patch(given: Invocation) -> Ended:
    action, name, key, value = given.values[:4]
    found = _array(given.install, name)
    if found is None:
        return refused(f"Could not get '{name}' option. Does it exist?")
    if action == "insert" and key in found:
        return refused(f'Cannot create key "{key}" on data type array')
    if action == "update" and key not in found:
        return refused(f'No data exists for key "{key}"')
    _put(given.install, name, serialize({**found, key: value}))
    return Ended(0, f"Success: Updated '{name}' option.\n")


def _cron(install: Document) -> Document:
    return _array(install, "cron") or {}


def _list_events(given: Invocation) -> Ended:
    rows = [{"hook": hook} for events in _cron(given.install).values() if isinstance(events, dict) for hook in events]
    return Ended(0, json.dumps(rows) + "\n")


def _delete_event(given: Invocation) -> Ended:
    hook, cron = given.values[0], _cron(given.install)
    left = {at: {name: each for name, each in events.items() if name != hook} for at, events in cron.items()}
    deleted = sum(len(events) for events in cron.values()) - sum(len(events) for events in left.values())
    if not deleted:
        return refused(f"Invalid cron event '{hook}'.")
    _put(given.install, "cron", serialize({at: events for at, events in left.items() if events}))
    return Ended(0, f"Success: Deleted a total of {deleted} cron event{'' if deleted == 1 else 's'}.\n")


def _list_sites(given: Invocation) -> Ended:
    sites = given.install["database"].get("rows", {}).get("wp_blogs", [])
    if not given.install["is_multisite"]:
        return refused("This is not a multisite installation.")
    return Ended(0, "".join(f"http://{domain}{path}\n" for _, domain, path in sites))


def _succeed(message: str) -> Callable[[Invocation], Ended]:
    return lambda given: Ended(0, f"Success: {message}\n")


COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Invocation], Ended]]] = {
    "cache flush": ((), _succeed("The cache was flushed.")),
    "cron event delete": ((), _delete_event),
    "cron event list": (("fields", "format"), _list_events),
    "db query": (("skip-column-names",), _query),
    "option patch": (("format",), _patch),
    "option pluck": (("format",), _pluck),
    "option update": (("format", "autoload"), _update_option),
    "rewrite flush": (("hard",), _succeed("Rewrite rules flushed.")),
    "search-replace": (
        ("all-tables-with-prefix", "all-tables", "skip-columns", "report-changed-only", "dry-run", "format", "precise", "regex"),
        search_replace,
    ),
    "site list": (("field",), _list_sites),
    "transient delete": (("all", "expired"), _succeed("Transients deleted.")),
}  # fmt: skip
