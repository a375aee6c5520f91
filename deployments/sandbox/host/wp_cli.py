"""WP-CLI on an emulated site: a small set of commands that read, with the exit codes and the words of WP-CLI 2.5.

PHP is not interpreted: `eval` knows a few expressions. What this set lacks ends as WP-CLI ends for a command that it does not know.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
GLOBAL = ("path", "url", "skip-plugins", "skip-themes", "quiet")  # options of every command


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, standard output, standard error."""

    status: int
    out: str = ""
    err: str = ""


@dataclass(frozen=True)
class Invocation:
    """One command on one install: what is left of its arguments after the command's words, and its options."""

    install: Document
    values: list[str]
    options: dict[str, str | bool]


def run_wp(install: Document, arguments: list[str]) -> Ended:
    """Run `wp` with these arguments on an install."""
    values = [each for each in arguments if not each.startswith("--")]
    options = dict(_option(each) for each in arguments if each.startswith("--"))
    if options.get("path") != f"/sites/{install['name']}":
        return _error("This does not seem to be a WordPress installation.")
    for words in (2, 1):
        found = COMMANDS.get(" ".join(values[:words]))
        if found is not None:
            known, handle = found
            unknown = [name for name in options if name not in (*GLOBAL, *known)]
            if unknown:
                return Ended(1, err=f"Error: Parameter errors:\n unknown --{unknown[0]} parameter\n")
            return handle(Invocation(install, values[words:], options))
    return _error(f"'{' '.join(values[:2])}' is not a registered wp command. See 'wp help' for available commands.")


def _option(argument: str) -> tuple[str, str | bool]:
    name, equals, value = argument.removeprefix("--").partition("=")
    return name, value if equals else True


def _error(message: str) -> Ended:
    return Ended(1, err=f"Error: {message}\n")


def inside_of(install: Document) -> Document:
    """Return what only WP-CLI sees of a site: a healthy one, with what `Estate.change_inside` changed."""
    healthy = {
        "environment_type": install["environment"],
        "constants": {"WP_DEBUG": False},
        "modified_files": [],
        "extra_files": [],
        "checksums_available": True,
        "filters_mail": install["environment"] != "production",
        "plugins": [
            {"name": "forms", "status": "active", "update": "none", "version": "5.9.8", "update_version": ""},
            {"name": "mail-stop", "status": "must-use", "update": "none", "version": "1.0", "update_version": ""},
        ],
        "tables_exist": True,
        "tables_without_key": [],
    }
    return {**healthy, **install.get("inside", {})}


def options_of(install: Document) -> dict[str, str]:
    """Return the rows of `wp_options` that are emulated."""
    content = install["database"]
    address = f"http://{content['home']}"
    public = "1" if install["environment"] == "production" else "0"
    return {"home": address, "siteurl": address, "blogname": content["title"], "blog_public": public}


def texts_of(install: Document) -> list[tuple[str, str, str]]:
    """Return every text of the database: table, column, value. Pages have a page builder's JSON in their meta."""
    content = install["database"]
    home, born = content["home"], content.get("born", content["home"])
    rows = [("wp_options", "option_value", value) for value in options_of(install).values()]
    for item in content["posts"]:
        rows.append(
            ("wp_posts", "post_content", f"<p>{item['title']} <a href='http://{home}/?p={item['id']}'>more</a></p>")
        )
        rows.append(("wp_posts", "guid", f"http://{born}/?p={item['id']}"))
    rows += [
        ("wp_postmeta", "meta_value", json.dumps({"url": f"http://{home}/"}).replace("/", "\\/"))
        for _ in content["pages"]
    ]
    return rows


def _get_option(given: Invocation) -> Ended:
    found = options_of(given.install).get(given.values[0])
    if found is None:
        return _error(f"Could not get '{given.values[0]}' option. Does it exist?")
    return Ended(0, f"{found}\n")


def _is_installed(given: Invocation) -> Ended:
    network = bool(given.options.get("network"))
    there = inside_of(given.install)["tables_exist"] and (not network or bool(given.install["is_multisite"]))
    return Ended(0 if there else 1)


def _verify_checksums(given: Invocation) -> Ended:
    inside = inside_of(given.install)
    if not inside["checksums_available"]:
        return _error("RuntimeException: Failed to get url 'https://api.wordpress.org/core/checksums/1.0/'.")
    modified = [f"Warning: File doesn't verify against checksum: {file}\n" for file in inside["modified_files"]]
    warnings = "".join([*modified, *(f"Warning: File should not exist: {file}\n" for file in inside["extra_files"])])
    if modified:
        return Ended(1, err=f"{warnings}Error: WordPress installation doesn't verify against checksums.\n")
    return Ended(0, "Success: WordPress installation verifies against checksums.\n", warnings)


def _list_plugins(given: Invocation) -> Ended:
    if given.options.get("format") != "json":
        return _error("The emulator prints plugins with --format=json only.")
    fields = str(given.options.get("fields", "name,status,update,version")).split(",")
    rows = [{field: plugin[field] for field in fields} for plugin in inside_of(given.install)["plugins"]]
    return Ended(0, json.dumps(rows, separators=(",", ":")) + "\n")


def _is_active(given: Invocation) -> Ended:
    active = [plugin["name"] for plugin in inside_of(given.install)["plugins"] if plugin["status"] == "active"]
    return Ended(0 if given.values[0] in active else 1)


def _get_config(given: Invocation) -> Ended:
    name = given.values[0]
    values = {"table_prefix": "wp_", **inside_of(given.install)["constants"]}
    if name not in values:
        return _error(f"The constant or variable '{name}' is not defined in the 'wp-config.php' file.")
    value = values[name]
    if given.options.get("format") == "json":
        return Ended(0, json.dumps(value) + "\n")
    return Ended(0, f"{int(value) or ''}\n" if isinstance(value, bool) else f"{value}\n")


def _evaluate(given: Invocation) -> Ended:
    inside = inside_of(given.install)
    answers = {
        "echo wp_get_environment_type();": inside["environment_type"],
        'echo has_filter("pre_wp_mail") ? "yes" : "no";': "yes" if inside["filters_mail"] else "no",
    }
    if given.values[0] not in answers:
        return Ended(255, err="The emulator does not interpret PHP.\n")
    return Ended(0, answers[given.values[0]])


def _search_replace(given: Invocation) -> Ended:
    """Count the rows with a text, as a dry run does. The emulator replaces nothing."""
    if not given.options.get("dry-run"):
        return _error("The emulator supports --dry-run only.")
    if len(given.values) < 2:
        return Ended(1, err="usage: wp search-replace <old> <new> [<table>...]\n")
    skipped = str(given.options.get("skip-columns", "")).split(",")
    counts: dict[tuple[str, str], int] = {}
    for table, column, text in texts_of(given.install):
        if column not in skipped:
            counts[table, column] = counts.get((table, column), 0) + (given.values[0] in text)
    total = sum(counts.values())
    if given.options.get("format") == "count":
        return Ended(0, str(total))
    changed_only = given.options.get("report-changed-only")
    shown = [(*where, str(n), "SQL") for where, n in counts.items() if n or not changed_only]
    passed_over = (
        [] if changed_only else [(table, "", "skipped") for table in inside_of(given.install)["tables_without_key"]]
    )
    lines = ["\t".join(row) for row in [("Table", "Column", "Replacements", "Type"), *shown, *passed_over]]
    return Ended(0, "\n".join([*lines, f"Success: {total} replacement{'' if total == 1 else 's'} to be made.", ""]))


COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Invocation], Ended]]] = {
    "config get": (("format",), _get_config),
    "core is-installed": (("network",), _is_installed),
    "core verify-checksums": ((), _verify_checksums),
    "eval": ((), _evaluate),
    "option get": (("format",), _get_option),
    "plugin is-active": ((), _is_active),
    "plugin list": (("fields", "format", "status"), _list_plugins),
    "search-replace": (
        ("all-tables-with-prefix", "all-tables", "skip-columns", "report-changed-only", "dry-run", "format", "precise"),
        _search_replace,
    ),
}
