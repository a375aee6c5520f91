"""The emulated WP-CLI: exit codes and words as they were measured at WP-CLI 2.5 on WordPress 6.1."""

import json
from typing import Any

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
        ["wp_options", "option_value", "3", "SQL"],
        ["wp_posts", "post_content", "12", "SQL"],
        ["Success: 15 replacements to be made."],
    ]


def test_a_list_of_plugins_is_json(estate: Host) -> None:
    """Only the fields that were asked for are listed; must-use plugins are among them."""
    found = json.loads(wp(estate, "plugin", "list", "--fields=name,status", "--format=json").out)
    assert found == [{"name": "forms", "status": "active"}, {"name": "mail-stop", "status": "must-use"}]


@pytest.mark.parametrize(
    "arguments",
    [
        ["db", "query", "SELECT nothing"],
        ["search-replace", "a", "--dry-run"],
        ["eval", "phpinfo();"],
        ["plugin", "list"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_what_is_not_emulated_is_refused(arguments: list[str], estate: Host) -> None:
    """The emulator does not pretend to have done what it cannot do."""
    found = wp(estate, *arguments)
    assert found.status != 0
    assert found.err


def test_tables_without_a_primary_key_are_passed_over(estate: Host) -> None:
    """The table names them, unless only changes are reported."""
    estate.change_inside("schulstage", tables_without_key=["wp_log"])
    search = ["search-replace", "//a", "//b", "--dry-run"]
    assert "\nwp_log\t\tskipped\n" in wp(estate, *search).out
    assert "wp_log" not in wp(estate, *search, "--report-changed-only").out


@pytest.mark.parametrize(
    ("facts", "status", "lines"),
    [
        (
            {"modified_files": ["wp-login.php"]},
            1,
            ["doesn't verify against checksum: wp-login.php", "doesn't verify against checksums."],
        ),
        ({"extra_files": ["wp-includes/shell.php"]}, 0, ["File should not exist: wp-includes/shell.php"]),
        ({"checksums_available": False}, 1, ["https://api.wordpress.org/core/checksums/1.0/'."]),
    ],
    ids=["modified", "extra", "unavailable"],
)
def test_checksums_end_as_the_real_ones(facts: dict[str, Any], status: int, lines: list[str], estate: Host) -> None:
    """Each file is a warning; a file too many is no error, and an unavailable list is one."""
    estate.change_inside("schulstage", **facts)
    found = wp(estate, "core", "verify-checksums")
    assert found.status == status
    assert [line.endswith(end) for line, end in zip(found.err.splitlines(), lines, strict=True)] == [True] * len(lines)
