"""The emulated WP-CLI: exit codes and words as they were measured at WP-CLI 2.5 on WordPress 6.1."""

import json

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.wp_cli import Ended, run_wp

HERE = "--path=/sites/schulstage"


def wp(estate: Host, *arguments: str, install: str = "schulstage") -> Ended:
    """Run `wp` on staging."""
    return run_wp(estate.named(install), [*arguments, f"--path=/sites/{install}"])


# Arguments, exit code, standard output, standard error. docs/faults.md states what is emulated.
MEASURED: list[tuple[list[str], int, str, str]] = [
    (["option", "get", "blog_public"], 0, "0\n", ""),
    (["option", "get", "absent"], 1, "", "Error: Could not get 'absent' option. Does it exist?\n"),
    (["plugin", "is-active", "forms"], 0, "", ""),
    (["plugin", "is-active", "shop"], 1, "", ""),
    (["core", "is-installed"], 0, "", ""),
    (["core", "is-installed", "--network"], 1, "", ""),
    (["core", "verify-checksums"], 0, "Success: WordPress installation verifies against checksums.\n", ""),
    (["eval", "echo wp_get_environment_type();"], 0, "staging", ""),
    (["config", "get", "table_prefix"], 0, "wp_\n", ""),
    (["config", "get", "WP_DEBUG", "--format=json"], 0, "false\n", ""),
    (["search-replace", "//www.schulfest.example", "//x", "--all-tables-with-prefix", "--dry-run", "--format=count"], 0, "0", ""),
    (["post", "list"], 1, "", "Error: 'post list' is not a registered wp command. See 'wp help' for available commands.\n"),
    (["option", "get", "home", "--colour=red"], 1, "", "Error: Parameter errors:\n unknown --colour parameter\n"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "status", "out", "err"), MEASURED, ids=[" ".join(row[0]) for row in MEASURED])
def test_a_command_ends_as_measured(arguments: list[str], status: int, out: str, err: str, estate: Host) -> None:
    """Exit code, output and errors are those of the real program."""
    assert wp(estate, *arguments) == Ended(status, out, err)


def test_a_folder_without_wordpress_is_refused(estate: Host) -> None:
    """A session of one install sees no other install."""
    found = run_wp(estate.named("schulstage"), ["option", "get", "home", "--path=/sites/schulprod"])
    assert found == Ended(1, "", "Error: This does not seem to be a WordPress installation.\n")


def test_an_unreplaced_copy_contains_urls_of_its_source(estate: Host) -> None:
    """After a copy without URL replacement, a dry run counts them by column; `guid` is left out."""
    document = estate.named("schulstage")
    document["database"] = estate.named("schulprod")["database"]
    found = run_wp(
        document,
        [
            "search-replace",
            "//www.schulfest.example",
            "//x",
            "--skip-columns=guid",
            "--report-changed-only",
            "--dry-run",
            HERE,
        ],
    )
    rows = [line.split("\t") for line in found.out.splitlines()]
    assert rows == [
        ["Table", "Column", "Replacements", "Type"],
        ["wp_options", "option_value", "2", "PHP"],
        ["wp_posts", "post_content", "12", "PHP"],
        ["Success: 14 replacements to be made."],
    ]


def test_a_list_of_plugins_is_json(estate: Host) -> None:
    """Only the fields that were asked for are listed; must-use plugins are among them."""
    found = json.loads(wp(estate, "plugin", "list", "--fields=name,status", "--format=json").out)
    assert found == [{"name": "forms", "status": "active"}, {"name": "mail-stop", "status": "must-use"}]


@pytest.mark.parametrize(
    "arguments",
    [["search-replace", "a", "b"], ["search-replace", "a", "--dry-run"], ["eval", "phpinfo();"], ["plugin", "list"]],
    ids=lambda arguments: " ".join(arguments),
)
def test_what_is_not_emulated_is_refused(arguments: list[str], estate: Host) -> None:
    """The emulator does not pretend to have done what it cannot do."""
    found = wp(estate, *arguments)
    assert found.status != 0
    assert found.err


def test_a_modified_core_is_named_file_by_file(estate: Host) -> None:
    """Each file is a warning, and the end is an error."""
    estate.change_inside("schulstage", modified_files=["wp-login.php"])
    found = wp(estate, "core", "verify-checksums")
    assert found.status == 1
    assert found.err.splitlines() == [
        "Warning: File doesn't verify against checksum: wp-login.php",
        "Error: WordPress installation doesn't verify against checksums.",
    ]
