"""The leak search: hashes of production's values are found where they are, and nothing else is."""

from dataclasses import replace
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.site_tables import PLANTED, STAFF
from tasks.neutralisation import mask_people
from tasks.neutralisation.context import Context
from tasks.neutralisation.leaks import Sample, sample_people, search_people


@pytest.fixture
def sample(source: Any, context: Context) -> Sample:
    """What production's database returns."""
    return sample_people(source, context, prefix="wp_")


def plant(estate: Host, table: str, place: int, text: str) -> None:
    """Put a text into the first row of a table of staging."""
    install = estate.named("schulstage")
    install["database"]["rows"][table][0][place] = text
    estate.store.put("installs", install)


def test_an_unmasked_copy_leaks_everywhere(connection: Any, context: Context, sample: Sample) -> None:
    """Accounts, orders, comments, arguments of jobs and sessions contain values of the sample."""
    found = search_people(connection, context, sample)
    assert {"wp_users.user_email", "wp_wc_orders.billing_email", "wp_actionscheduler_actions.args"} <= {*found}
    assert found["wp_users.user_email"] == 3


def test_a_masked_copy_does_not_leak(connection: Any, context: Context, sample: Sample) -> None:
    """Nothing of the sample is found, and staff, who are kept, are no leak."""
    mask_people.apply(connection, context)
    assert search_people(connection, context, sample) == {}


@pytest.mark.parametrize(
    "text",
    [
        "planted.greta@customer.example",
        " Planted.Greta@Customer.example",
        "+43 660 5550101",
        "to office@nowhere.example, cc planted.greta@customer.example!",
        'a:1:{s:5:"email";s:30:"planted.greta@customer.example";}',
    ],
)
def test_a_value_is_found_in_each_form(
    text: str, connection: Any, context: Context, sample: Sample, estate: Host
) -> None:
    """As a whole value in any case, and as an address inside of a text or a serialised value."""
    mask_people.apply(connection, context)
    plant(estate, "wp_posts", 2, text)
    assert search_people(connection, context, sample) == {"wp_posts.post_content": 1}


def test_what_is_not_in_the_sample_is_not_found(
    connection: Any, context: Context, sample: Sample, estate: Host
) -> None:
    """The site's own address and other people's are no leak."""
    mask_people.apply(connection, context)
    plant(estate, "wp_posts", 2, f"write to {STAFF} or office@nowhere.example, +43 1 0000")
    assert search_people(connection, context, sample) == {}


def test_only_hashes_leave_the_source(source: Any, context: Context, sample: Sample) -> None:
    """No command contains a value, the sample has none, and another key makes other hashes."""
    assert len(sample) == 9
    seen = repr(sample) + repr([each.values for each in source.commands]) + "".join(sample.hashes)
    assert not [value for value in PLANTED if value in seen.lower()]
    other = sample_people(source, replace(context, key=b"another key of thirty-two bytes!"), prefix="wp_")
    assert not {*other.hashes} & {*sample.hashes}


def test_addresses_of_the_site_itself_are_not_in_the_sample(source: Any, context: Context, estate: Host) -> None:
    """An order from the shop's own address is no secret: that address is on every page."""
    install = estate.named("schulprod")
    install["database"]["rows"]["wp_wc_orders"][0][1] = "shop@schulfest.example"
    install["database"]["rows"]["wp_newsletter"].append([90, STAFF, "A", "B", "", ""])
    estate.store.put("installs", install)
    assert len(sample_people(source, context, prefix="wp_")) == 9


def test_a_site_without_people_has_nothing_to_search(connection: Any, context: Context) -> None:
    """An empty sample needs no command."""
    assert search_people(connection, context, Sample(())) == {}
    assert connection.commands == []
