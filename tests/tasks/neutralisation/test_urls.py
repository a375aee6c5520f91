"""REPLACE_URLS: which domains, which spellings, and what is left alone."""

from dataclasses import replace
from typing import Any

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.php_values import unserialize
from tasks.neutralisation import urls
from tasks.neutralisation.context import Context
from tests.tasks.neutralisation.conftest import PRODUCTION, STAGING, tables


def test_every_spelling_is_replaced_also_in_serialised_values(connection: Any, context: Context, estate: Host) -> None:
    """HTML, JSON and the query of a URL; a serialised text keeps its right length, and guid stays."""
    urls.apply(connection, context)
    rows = {row[1]: row[2] for row in estate.named("schulstage")["database"]["rows"]["wp_options"]}
    assert unserialize(rows["builder_page"])["hero"] == f"https://{STAGING}/summer"
    assert unserialize(rows["builder_page"])["share"] == f"https%3A%2F%2F{STAGING}%2Fsummer"
    assert rows["builder_json"] == f'{{"url":"http:\\/\\/{STAGING}\\/shop"}}'
    assert tables(estate).count(PRODUCTION) == 1  # the guid of the order


def test_every_domain_of_the_other_side_is_replaced_by_our_first(context: Context, connection: Any) -> None:
    """Longer domains come first, and a domain that both sides have is not replaced."""
    two = replace(
        context,
        own_domains=("stage.example", "cdn.example"),
        other_domains=("a.example", "www.a.example", "cdn.example"),
    )
    urls.apply(connection, two)
    sent = [
        each.values
        for each in connection.commands
        if each.words == ("search-replace",) and not each.options.get("dry-run")
    ]
    assert sent == [
        (f"{slashes}{domain}", f"{slashes}stage.example")
        for domain in ("www.a.example", "a.example")
        for slashes in ("//", r"\/\/", "%2F%2F", "%2f%2f")
    ]  # fmt: skip


def test_a_domain_with_which_another_begins_is_replaced_by_a_pattern(
    context: Context, connection: Any, estate: Host
) -> None:
    """`schule.example` is not replaced inside of `schule.example.org`, and a repetition does not replace it again."""
    install = estate.named("schulstage")
    install["database"]["rows"]["wp_options"] += [
        [90, "links", "//schule.example/x //schule.example.org/y //schule.example", "no"]
    ]
    estate.store.put("installs", install)
    nested = replace(context, own_domains=("schule.example.org",), other_domains=("schule.example",))
    for _ in range(2):
        assert urls.apply(connection, nested).is_safe
    rows = {row[1]: row[2] for row in estate.named("schulstage")["database"]["rows"]["wp_options"]}
    assert rows["links"] == "//schule.example.org/x //schule.example.org/y //schule.example.org"


def test_tables_without_a_primary_key_are_named_if_they_have_urls(
    context: Context, connection: Any, estate: Host
) -> None:
    """WP-CLI passes over them: without a URL the step is safe, with one it names the table."""
    estate.change_inside("schulstage", tables_without_key=["wp_newsletter"])
    assert urls.apply(connection, context).is_safe
    install = estate.named("schulstage")
    install["database"]["rows"]["wp_newsletter"][0][2] = f"https%3A%2F%2F{PRODUCTION}%2F"
    estate.store.put("installs", install)
    assert urls.count(connection, context).places == 2  # WP-CLI's own count in the emulator, and the one by SQL


def test_what_is_left_is_named_without_its_value(context: Context, connection: Any) -> None:
    """A search-replace that replaces nothing, although it reports success, is seen by the second search."""

    def nothing(command: Any, when: str) -> None:
        if command.words == ("search-replace",):
            command.options["dry-run"] = True

    connection.interrupt = nothing
    done = urls.apply(connection, context)
    assert done.checked is False
    assert done.still_dangerous == "URLs of schulprod in wp_options"
