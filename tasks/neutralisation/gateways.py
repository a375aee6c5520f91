"""TEST_PAYMENTS and DISABLE_WEBHOOKS: no card is charged, and no other system is notified.

WooCommerce reports which gateways are enabled; a reviewed table knows how each is put into test mode. An enabled gateway that
the table does not know is named as still dangerous.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.estate.errors import Unreachable
from tasks.estate.recipes import CopyStep, StepCount, StepDone
from tasks.neutralisation.context import Context, SiteOptions, sites
from tasks.neutralisation.statements import Database, identifier
from tasks.wpcli.commands import Command
from tasks.wpcli.wordpress import QUIET

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

# Plugins must be loaded for this one. It prints the ids of the enabled gateways, after a word that shows that it ran.
ENABLED = (
    'echo "gateways:"; if (function_exists("WC")) { foreach (WC()->payment_gateways()->payment_gateways() as $g) '
    '{ if ($g->enabled === "yes") { echo " ", $g->id; } } }'
)
GATEWAY_ID = re.compile(r"[\w.:/-]{1,100}")


@dataclass(frozen=True)
class TestMode:
    """Where a gateway keeps its test mode: an option, the key in it (empty: the option is the value), and the value."""

    __test__ = False  # pytest takes a class of this name for a test

    option: str
    key: str
    value: str


@dataclass(frozen=True)
class Live:
    """An enabled gateway that charges for real, on one site of the WordPress."""

    gateway: str
    mode: TestMode
    site: SiteOptions


# Pattern of ids → its test mode. Checked against the plugins' settings in their published versions of 2021 to 2025.
KNOWN: tuple[tuple[str, TestMode], ...] = (
    (r"stripe(_.+)?", TestMode("woocommerce_stripe_settings", "testmode", "yes")),
    (r"woocommerce_payments(_.+)?", TestMode("woocommerce_woocommerce_payments_settings", "test_mode", "yes")),
    (r"paypal", TestMode("woocommerce_paypal_settings", "testmode", "yes")),
    (r"ppcp-.+", TestMode("woocommerce-ppcp-settings", "sandbox_on", "1")),
    (r"ppec_paypal", TestMode("woocommerce_ppec_paypal_settings", "environment", "sandbox")),
    (r"braintree_credit_card", TestMode("woocommerce_braintree_credit_card_settings", "environment", "sandbox")),
    (r"braintree_paypal", TestMode("woocommerce_braintree_paypal_settings", "environment", "sandbox")),
    (r"authorize_net_cim_credit_card", TestMode("woocommerce_authorize_net_cim_credit_card_settings", "environment", "test")),
    (r"mollie_wc_gateway_.+", TestMode("mollie-payments-for-woocommerce_test_mode_enabled", "", "yes")),
    (r"klarna_payments", TestMode("woocommerce_klarna_payments_settings", "testmode", "yes")),
    (r"kco", TestMode("woocommerce_kco_settings", "testmode", "yes")),
    (r"square_credit_card", TestMode("wc_square_settings", "enable_sandbox", "yes")),
    (r"amazon_payments_advanced", TestMode("woocommerce_amazon_payments_advanced_settings", "sandbox", "yes")),
    (r"eway", TestMode("woocommerce_eway_settings", "testmode", "yes")),
)  # fmt: skip
MANUAL = ("bacs", "cheque", "cod", "invoice", "other_payment")  # a person moves the money


def count_payments(connection: "Connection", context: Context) -> StepCount:
    """Return how many enabled gateways charge for real, or are not known. Raise as `Connection.run`."""
    live, unknown = _live_and_unknown(connection, context)
    note = f"not known: {', '.join(unknown)}" if unknown else ""
    return StepCount(step=CopyStep.TEST_PAYMENTS, places=len(live) + len(unknown), note=note)


def apply_payments(connection: "Connection", context: Context) -> StepDone:
    """Put every known gateway into test mode, and read it back. Raise as `Connection.run`."""
    live, unknown = _live_and_unknown(connection, context)
    for each in live:
        _put(connection, each.mode, each.site)
    left, _ = _live_and_unknown(connection, context)
    dangerous = [f"{each.gateway} still charges" for each in left]
    dangerous += [f"the gateway {gateway} is enabled and not known" for gateway in unknown]
    return StepDone(
        step=CopyStep.TEST_PAYMENTS,
        changed=len(live),
        checked=not left,
        still_dangerous="; ".join(dangerous),
    )


def _live_and_unknown(connection: "Connection", context: Context) -> tuple[list[Live], tuple[str, ...]]:
    """Return the enabled gateways that are known and not in test mode, and the ids of those that are not known."""
    live: list[Live] = []
    unknown: list[str] = []
    for site in sites(connection, context):
        for gateway in _enabled(connection, site):
            if gateway in MANUAL or gateway in context.recipe.harmless_gateways:
                continue
            mode = next((mode for pattern, mode in KNOWN if re.fullmatch(pattern, gateway)), None)
            if mode is None:
                unknown.append(gateway)
            elif not _is_in(connection, mode, site):
                live.append(Live(gateway, mode, site))
    return live, tuple(unknown)


def _enabled(connection: "Connection", site: SiteOptions) -> Iterator[str]:
    printed = connection.run(
        Command(("eval",), (ENABLED,), {k: v for k, v in site.items() if k not in QUIET})
    ).last_line
    word, *gateways = printed.split(" ")
    if word != "gateways:" or not all(GATEWAY_ID.fullmatch(each) for each in gateways):
        raise Unreachable("wp eval: the list of payment gateways cannot be read.")
    return iter(gateways)


def _is_in(connection: "Connection", mode: TestMode, site: SiteOptions) -> bool:
    words, values = (("option", "pluck"), (mode.option, mode.key)) if mode.key else (("option", "get"), (mode.option,))
    answer = connection.run(Command(words, values, site), accepted=(0, 1))
    return answer.status == 0 and answer.last_line == mode.value


def _put(connection: "Connection", mode: TestMode, site: SiteOptions) -> None:
    if mode.key:
        values = ("insert", mode.option, mode.key, mode.value)
        answer = connection.run(Command(("option", "patch"), values, site), accepted=(0, 1))
        if answer.status == 0:
            return
        values = ("update", *values[1:])  # `insert` refuses a key that exists, and `update` one that does not
        connection.run(Command(("option", "patch"), values, site))
    else:
        connection.run(Command(("option", "update"), (mode.option, mode.value), site))


def count_webhooks(connection: "Connection", context: Context) -> StepCount:
    """Return how many webhooks of WooCommerce are not disabled. Raise as `Connection.run`."""
    return StepCount(step=CopyStep.DISABLE_WEBHOOKS, places=_webhooks(Database(connection, context.prefix)))


def apply_webhooks(connection: "Connection", context: Context) -> StepDone:
    """Disable every webhook, and count again. Raise as `Connection.run`."""
    database = Database(connection, context.prefix)
    changed = sum(
        database.change(f"UPDATE {identifier(table)} SET status = 'disabled' WHERE status <> 'disabled'")
        for table in database.named("wc_webhooks")
    )
    connection.run(Command(("cache", "flush"), options=QUIET))  # WooCommerce keeps the list of webhooks in it
    left = _webhooks(database)
    return StepDone(
        step=CopyStep.DISABLE_WEBHOOKS,
        changed=changed,
        checked=not left,
        still_dangerous=f"{left} webhooks are active" if left else "",
    )


def _webhooks(database: Database) -> int:
    query = "SELECT COUNT(*) FROM {} WHERE status <> 'disabled'"
    return sum(database.number(query.format(identifier(table))) for table in database.named("wc_webhooks"))
