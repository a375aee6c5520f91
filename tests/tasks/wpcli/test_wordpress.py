"""What WP-CLI reports, typed: each answer of a healthy site, of a broken one, and answers that cannot be read."""

import contextlib

import pytest
from hypothesis import given, settings, strategies

from deployments.sandbox.host.host import Host
from tasks.estate.errors import Unreachable
from tasks.wpcli.commands import Command
from tasks.wpcli.connection import Answer
from tasks.wpcli.wordpress import Places, Plugin, Search, WordPress

STAGE = "schulstage.wpengine.example"
OUTDATED = {"name": "shop", "update": "available", "version": "1.0", "update_version": "1.2"}


class Printing:
    """A connection whose commands all print the same, and end with the same exit code."""

    def __init__(self, output: str, status: int = 0, error: str = "") -> None:
        self.answer = Answer(status, output, error)
        self.commands: list[Command] = []

    def run(self, command: Command, **_: object) -> Answer:
        self.commands.append(command)
        return self.answer


def printing(output: str, status: int = 0, error: str = "") -> WordPress:
    """Return a WordPress whose commands all answer the same."""
    return WordPress(Printing(output, status, error))  # type: ignore[arg-type]  # a double


def test_a_healthy_staging_site(wordpress: WordPress) -> None:
    """Each command has its answer."""
    assert wordpress.is_installed()
    assert wordpress.environment_type() == "staging"
    assert wordpress.filters_mail()
    assert not wordpress.constant("WP_DEBUG")
    assert wordpress.modified_core_files() == 0
    assert wordpress.outdated_plugins() == ()
    assert wordpress.search("//www.schulfest.example") == Search(())


def test_a_site_with_everything_wrong(wordpress: WordPress, estate: Host) -> None:
    """Every answer is the other one."""
    estate.change_inside(
        "schulstage", environment_type="production", constants={"WP_DEBUG": True}, filters_mail=False,
        modified_files=["wp-login.php", "wp-includes/load.php"],
        plugins=[OUTDATED | {"status": "active"}, OUTDATED | {"status": "inactive", "name": "old"}],
    )  # fmt: skip
    assert wordpress.environment_type() == "production"
    assert wordpress.constant("WP_DEBUG")
    assert not wordpress.filters_mail()
    assert wordpress.modified_core_files() == 2
    assert wordpress.outdated_plugins() == (Plugin("shop", "1.0", "1.2"),)
    estate.change_inside("schulstage", tables_exist=False, checksums_available=False)
    assert not wordpress.is_installed()
    assert wordpress.modified_core_files() is None


def test_rows_are_counted_by_column_and_guid_is_left_out(wordpress: WordPress, estate: Host) -> None:
    """URLs in options, texts and a page builder's JSON are found by their spelling, and tables that were not searched named."""
    found = wordpress.search(f"//{STAGE}")
    assert found == Search((Places("wp_options", "option_value", 2), Places("wp_posts", "post_content", 7)))
    estate.change_inside("schulstage", tables_without_key=["wp_log", "wp_statistics"])
    assert wordpress.search(rf"\/\/{STAGE}") == Search(
        (Places("wp_postmeta", "meta_value", 2),), ("wp_log", "wp_statistics")
    )


def test_a_search_replaces_nothing() -> None:
    """The command that could change a site is a dry run, and leaves guid alone."""
    connection = Printing("Table\tColumn\tReplacements\tType\nSuccess: 0 replacements to be made.\n")
    WordPress(connection).search("//a.example")  # type: ignore[arg-type]  # a double
    (command,) = connection.commands
    assert command.options["dry-run"] is True
    assert command.options["skip-columns"] == "guid"


@pytest.mark.parametrize(
    "output",
    ["", "Success: 3 replacements to be made.", "wp_posts\tpost_content\t2\tPHP\nSuccess: 3 replacements to be made."],
)
def test_a_table_that_cannot_be_read_is_no_clean_database(output: str) -> None:
    """The rows must add up to the total: another form of the table never reads as "none"."""
    with pytest.raises(Unreachable, match="cannot be read"):
        printing(output).search("//a.example")


@pytest.mark.parametrize("output", ["", "qa", "production? perhaps"])
def test_an_environment_that_wordpress_does_not_know_is_not_read(output: str) -> None:
    """An unknown word is not taken for an environment, and is not repeated."""
    with pytest.raises(Unreachable, match="is not one of") as refused:
        printing(output).environment_type()
    assert "perhaps" not in refused.value.message


@pytest.mark.parametrize("output", ["", "<br />", "{}", "[1]", "null"])
def test_a_list_that_is_none_is_not_read(output: str) -> None:
    """A page of errors is not an empty list of plugins."""
    with pytest.raises(Unreachable, match="not a list in JSON"):
        printing(output).outdated_plugins()


def test_warnings_of_php_before_an_answer_are_ignored() -> None:
    """PHP prints notices before what a command prints."""
    assert printing("Deprecated: old thing in /sites/a/x.php on line 3\n\nstaging").environment_type() == "staging"


@pytest.mark.parametrize(
    ("output", "status", "value"),
    [
        ("true", 0, True),
        ("1", 0, True),
        ('"true"', 0, True),
        ("false", 0, False),
        ('""', 0, False),
        ("null", 0, False),
        ("", 1, False),
    ],
)
def test_a_constant_is_true_or_false(output: str, status: int, value: bool) -> None:
    """A constant that is absent counts as false, as in WordPress; one with a path counts as true."""
    assert printing(output, status).constant("WP_DEBUG") is value


def test_checksums_are_counted_by_their_warnings() -> None:
    """A file too many ends with exit code 0, and checksums that could not be fetched with 1: neither is what the code seems."""
    extra = "Warning: File should not exist: wp-includes/shell.php\n"
    assert printing("Success: …\n", 0, extra).modified_core_files() == 1
    assert printing("", 1, "Error: RuntimeException: Failed to get url.\n").modified_core_files() is None


@settings(max_examples=50)
@given(strategies.text())
def test_no_output_breaks_the_reading(output: str) -> None:
    """Whatever a command prints is an answer or `Unreachable`."""
    site = printing(output)
    for ask in (site.environment_type, site.outdated_plugins, site.modified_core_files, lambda: site.search("//a")):
        with contextlib.suppress(Unreachable):
            ask()
