"""REPLACE_URLS: which domains, which spellings, and what is left alone."""

from dataclasses import replace
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.php_values import unserialize
from tasks.neutralisation import urls
from tasks.neutralisation.context import Context, sites
from tasks.wpcli.wordpress import QUIET
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


@pytest.fixture
def network(estate: Host, context: Context) -> Context:
    """A network of three sites: the first one, one on a subdomain, and one on a domain of its own."""
    install = estate.named("schulstage")
    install["is_multisite"] = True
    domains = ("schulfest.example", "shop.schulfest.example", "verein.example")
    install["database"]["rows"]["wp_blogs"] = [[number, domain, "/"] for number, domain in enumerate(domains, 1)]
    estate.store.put("installs", install)
    return replace(context, is_network=True, own_domains=("stage.example",), other_domains=domains)


def test_sites_of_a_network_get_their_own_domains(network: Context, connection: Any, estate: Host) -> None:
    """A site on a subdomain keeps its label; one without a domain here is named, and its URLs are not pointed elsewhere."""
    assert urls.count(connection, network).places == 3
    done = urls.apply(connection, network)
    assert (done.changed, done.checked) == (2, False)
    assert done.still_dangerous == "URLs of schulprod in wp_blogs; no domain here for verein.example"
    rows = estate.named("schulstage")["database"]["rows"]["wp_blogs"]
    assert [row[1] for row in rows] == ["stage.example", "shop.stage.example", "verein.example"]
    sent = {each.values[:2] for each in connection.commands if each.words == ("search-replace",)}
    assert ("//shop.schulfest.example", "//shop.stage.example") in sent


def test_a_network_without_other_domains_is_safe(network: Context, connection: Any) -> None:
    """Once all its sites have domains here, nothing is left."""
    assert urls.apply(connection, replace(network, other_domains=network.other_domains[:2])).is_safe


def test_each_site_of_a_network_is_addressed(network: Context, connection: Any) -> None:
    """Jobs and gateways belong to one site: each has options of its own for WP-CLI."""
    found = [site["url"] for site in sites(connection, network)]
    assert found == ["http://schulfest.example/", "http://shop.schulfest.example/", "http://verein.example/"]
    assert [*sites(connection, replace(network, is_network=False))] == [QUIET]
