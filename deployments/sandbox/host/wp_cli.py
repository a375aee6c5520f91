"""WP-CLI on an emulated site: a small set of commands, with the exit codes and the words of WP-CLI 2.5.

PHP is not interpreted: `eval` knows a few expressions. What this set lacks ends as WP-CLI ends for a command that it does not know.
"""

import json
from collections.abc import Callable

from deployments.sandbox.host import must_use_files, wp_cli_changes
from deployments.sandbox.host.php_values import unserialize
from deployments.sandbox.host.site_tables import options
from deployments.sandbox.host.wp_invocation import Document, Ended, Invocation, refused

GLOBAL = ("path", "url", "skip-plugins", "skip-themes", "quiet")  # options of every command


def run_wp(install: Document, arguments: list[str], *, now: float = 0.0) -> Ended:
    """Run `wp` with these arguments on an install. A command that changes the site changes the install's document."""
    values = [each for each in arguments if not each.startswith("--")]
    options = dict(_option(each) for each in arguments if each.startswith("--"))
    if options.get("path") != f"/sites/{install['name']}":
        return refused("This does not seem to be a WordPress installation.")
    for words in (3, 2, 1):
        found = COMMANDS.get(" ".join(values[:words]))
        if found is not None:
            known, handle = found
            unknown = [name for name in options if name not in (*GLOBAL, *known)]
            if unknown:
                return Ended(1, err=f"Error: Parameter errors:\n unknown --{unknown[0]} parameter\n")
            return handle(Invocation(install, values[words:], options, now))
    return refused(f"'{' '.join(values[:2])}' is not a registered wp command. See 'wp help' for available commands.")


def _option(argument: str) -> tuple[str, str | bool]:
    name, equals, value = argument.removeprefix("--").partition("=")
    return name, value if equals else True


def inside_of(install: Document) -> Document:
    """Return what only WP-CLI sees of a site: a healthy one, with what `Estate.change_inside` changed."""
    healthy = {
        "environment_type": install["environment"],
        "constants": {"WP_DEBUG": False},
        "modified_files": [],
        "extra_files": [],
        "checksums_available": True,
        "filters_mail": install["environment"] != "production" and not install["files"].get("copied"),
        "plugins": [
            {"name": "forms", "status": "active", "update": "none", "version": "5.9.8", "update_version": ""},
            {"name": "mail-stop", "status": "must-use", "update": "none", "version": "1.0", "update_version": ""},
        ],
        "tables_exist": True,
        "tables_without_key": [],
        "gateways": [],  # more enabled payment gateways, of other plugins
        "replaces_wp_mail": False,  # a plugin has a function of its own for e-mails
    }
    return {**healthy, **install.get("inside", {})}


def _get_option(given: Invocation) -> Ended:
    found = options(given.install).get(given.values[0])
    if found is None:
        return refused(f"Could not get '{given.values[0]}' option. Does it exist?")
    return Ended(0, f"{found}\n")


def _is_installed(given: Invocation) -> Ended:
    network = bool(given.options.get("network"))
    there = inside_of(given.install)["tables_exist"] and (not network or bool(given.install["is_multisite"]))
    return Ended(0 if there else 1)


def _verify_checksums(given: Invocation) -> Ended:
    inside = inside_of(given.install)
    if not inside["checksums_available"]:
        return refused("RuntimeException: Failed to get url 'https://api.wordpress.org/core/checksums/1.0/'.")
    modified = [f"Warning: File doesn't verify against checksum: {file}\n" for file in inside["modified_files"]]
    warnings = "".join([*modified, *(f"Warning: File should not exist: {file}\n" for file in inside["extra_files"])])
    if modified:
        return Ended(1, err=f"{warnings}Error: WordPress installation doesn't verify against checksums.\n")
    return Ended(0, "Success: WordPress installation verifies against checksums.\n", warnings)


def _list_plugins(given: Invocation) -> Ended:
    if given.options.get("format") != "json":
        return refused("The emulator prints plugins with --format=json only.")
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
        return refused(f"The constant or variable '{name}' is not defined in the 'wp-config.php' file.")
    value = values[name]
    if given.options.get("format") == "json":
        return Ended(0, json.dumps(value) + "\n")
    return Ended(0, f"{int(value) or ''}\n" if isinstance(value, bool) else f"{value}\n")


def _evaluate(given: Invocation) -> Ended:
    inside, code = inside_of(given.install), given.values[0]
    mail = inside["filters_mail"] or must_use_files.facts_of(given.install, "mail") is not None
    answers = {
        "echo wp_get_environment_type();": inside["environment_type"],
        'echo has_filter("pre_wp_mail") ? "yes" : "no";': "yes" if mail else "no",
    }
    if code.startswith('echo "gateways:";'):
        return Ended(0, " ".join(["gateways:", *_enabled_gateways(given.install), *inside["gateways"]]))
    if code.startswith('$f = (new ReflectionFunction("wp_mail"))'):
        return Ended(0, "replaced" if inside["replaces_wp_mail"] else "core")
    printed = answers.get(code) or must_use_files.evaluate(given.install, code, given.now)
    return Ended(255, err="The emulator does not interpret PHP.\n") if printed is None else Ended(0, printed)


def _enabled_gateways(install: Document) -> list[str]:
    """Return the ids of the gateways that the site's options enable, if it has a shop."""
    if "wp_wc_orders" not in install["database"].get("rows", {}):
        return []
    found = []
    for name, value in options(install).items():
        if name.startswith("woocommerce_") and name.endswith("_settings") and value.startswith("a:"):
            settings = unserialize(value)
            if settings.get("enabled") == "yes":
                found.append(name.removeprefix("woocommerce_").removesuffix("_settings"))
    return found


COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Invocation], Ended]]] = {
    "config get": (("format",), _get_config),
    "core is-installed": (("network",), _is_installed),
    "core verify-checksums": ((), _verify_checksums),
    "eval": ((), _evaluate),
    "option get": (("format",), _get_option),
    "plugin is-active": ((), _is_active),
    "plugin list": (("fields", "format", "status"), _list_plugins),
    **wp_cli_changes.COMMANDS,
}
