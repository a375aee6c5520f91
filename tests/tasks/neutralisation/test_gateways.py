"""TEST_PAYMENTS and DISABLE_WEBHOOKS: known gateways, unknown ones, and what stays as it is."""

from dataclasses import replace
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.php_values import serialize, unserialize
from tasks.estate.errors import Unreachable
from tasks.estate.recipes import Recipe
from tasks.neutralisation import gateways
from tasks.neutralisation.context import Context


def settings_of(estate: Host, option: str) -> Any:
    """Return an option of staging that is serialised."""
    rows = {row[1]: row[2] for row in estate.named("schulstage")["database"]["rows"]["wp_options"]}
    return unserialize(rows[option])


def put(estate: Host, option: str, value: Any) -> None:
    """Put an option into staging."""
    install = estate.named("schulstage")
    rows = [row for row in install["database"]["rows"]["wp_options"] if row[1] != option]
    install["database"]["rows"]["wp_options"] = [*rows, [77, option, serialize(value), "yes"]]
    estate.store.put("installs", install)


def test_a_known_gateway_is_put_into_test_mode(connection: Any, context: Context, estate: Host) -> None:
    """Only its mode changes; cash and bank transfers stay as they are."""
    assert gateways.apply_payments(connection, context).is_safe
    found = settings_of(estate, "woocommerce_stripe_settings")
    assert found == {"enabled": "yes", "testmode": "yes", "secret_key": "planted-live-key"}


def test_a_gateway_that_never_had_a_mode_gets_one(connection: Any, context: Context, estate: Host) -> None:
    """A setting that is absent counts as live: plugins store it only after somebody saved the form."""
    put(estate, "woocommerce_stripe_settings", {"enabled": "yes"})
    assert gateways.apply_payments(connection, context).is_safe
    assert settings_of(estate, "woocommerce_stripe_settings")["testmode"] == "yes"


def test_a_gateway_in_test_mode_is_healthy(connection: Any, context: Context, estate: Host) -> None:
    """There is nothing to change."""
    put(estate, "woocommerce_stripe_settings", {"enabled": "yes", "testmode": "yes"})
    assert gateways.count_payments(connection, context).places == 0


def test_a_gateway_that_is_switched_off_is_left_alone(connection: Any, context: Context, estate: Host) -> None:
    """It charges nobody."""
    put(estate, "woocommerce_stripe_settings", {"enabled": "no", "testmode": "no"})
    assert gateways.apply_payments(connection, context).changed == 0
    assert settings_of(estate, "woocommerce_stripe_settings")["testmode"] == "no"


def test_an_unknown_gateway_is_dangerous_until_it_is_reviewed(connection: Any, context: Context, estate: Host) -> None:
    """It is named, in the count and in the result, and the known ones are put into test mode all the same."""
    estate.change_inside("schulstage", gateways=["pay_o_mat"])
    assert gateways.count_payments(connection, context).note == "not known: pay_o_mat"
    done = gateways.apply_payments(connection, context)
    assert done.still_dangerous == "the gateway pay_o_mat is enabled and not known"
    assert settings_of(estate, "woocommerce_stripe_settings")["testmode"] == "yes"
    reviewed = replace(context, recipe=Recipe(harmless_gateways=("pay_o_mat",)))
    assert gateways.apply_payments(connection, reviewed).is_safe


def test_a_list_that_cannot_be_read_is_not_an_empty_one(connection: Any, context: Context) -> None:
    """A page of errors in place of the gateways is temporary."""

    def broken(command: Any, when: str) -> None:
        if command.words == ("eval",):
            object.__setattr__(command, "values", ("echo wp_get_environment_type();",))

    connection.interrupt = broken
    with pytest.raises(Unreachable, match="payment gateways cannot be read"):
        gateways.count_payments(connection, context)


def test_webhooks_are_disabled_and_kept(connection: Any, context: Context, estate: Host) -> None:
    """Their addresses stay, so that a person can enable one on purpose."""
    gateways.apply_webhooks(connection, context)
    rows = estate.named("schulstage")["database"]["rows"]["wp_wc_webhooks"]
    assert [(row[2], row[3]) for row in rows] == [
        ("disabled", "https://erp.example/hook"),
        ("disabled", "https://old.example/"),
    ]


@pytest.mark.parametrize(("pattern", "mode"), gateways.KNOWN, ids=[pattern for pattern, _ in gateways.KNOWN])
def test_the_reviewed_table_names_a_test_mode(pattern: str, mode: gateways.TestMode) -> None:
    """Each entry has an option, and a value that is not that of a live gateway."""
    assert mode.option
    assert mode.value in ("yes", "sandbox", "test", "1")
