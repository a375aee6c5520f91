"""What an emulated site does by itself in an hour: e-mails, charges and webhooks. An outbox shows what left it.

A site does what its tables, options and must-use plugins make it do, so that a copy of production does it a second time.
"""

import json
import re
from typing import TYPE_CHECKING, Any

from deployments.sandbox.host.must_use_files import seen_by_visitors
from deployments.sandbox.host.php_values import unserialize
from deployments.sandbox.host.site_tables import SCHEMA, options
from deployments.sandbox.host.wp_cli import inside_of

if TYPE_CHECKING:
    from deployments.sandbox.host.host_state import Estate

Document = dict[str, Any]


class Hour:
    """One hour of one install. What it sends is put into the outbox: kind (mail, charge, webhook), install, and to whom."""

    def __init__(self, estate: "Estate", name: str) -> None:
        self._estate, self._install = estate, estate.named(name)
        self._rows: Document = self._install["database"].get("rows", {})

    def _part(self, part: str) -> Document | None:
        return seen_by_visitors(self._install, part, self._estate.store.clock(), self._estate.scale)

    def _table(self, name: str) -> list[Document]:
        columns = SCHEMA[f"wp_{name}"].split()
        return [dict(zip(columns, row, strict=True)) for row in self._rows.get(f"wp_{name}", [])]

    def run(self) -> None:
        """Run cron, the pending actions and the webhooks, unless visitors and cron are kept out."""
        if self._part("keep-out") is not None:
            return
        jobs = self._part("jobs")
        for hook in self._hooks():
            if jobs is None or not re.search(jobs["hooks"], hook, re.IGNORECASE):
                self._fire(hook)
        if jobs is None:
            self._run_actions()
        for webhook in self._table("wc_webhooks"):
            if webhook["status"] == "active":
                self._send("webhook", webhook["delivery_url"])
        self._mail(self._table("users")[0]["user_email"], "Your site's weekly summary")

    def _hooks(self) -> list[str]:
        cron = unserialize(options(self._install).get("cron", "a:0:{}"))
        return [hook for events in cron.values() for hook in events]

    def _fire(self, hook: str) -> None:
        if hook == "newsletter":
            for reader in self._table("newsletter"):
                self._mail(reader["email"], "News")
        elif hook == "woocommerce_abandoned_cart_reminder":
            for order in self._table("wc_orders"):
                self._mail(order["billing_email"], "You left something behind")

    def _run_actions(self) -> None:
        for row in self._rows.get("wp_actionscheduler_actions", []):
            if row[2] != "pending":
                continue
            row[2] = "complete"
            for address in json.loads(row[3]) if row[3].startswith("[") else []:
                if "payment" in row[1]:
                    self._charge(address)
                self._mail(address, "Your order")
        self._estate.store.put("installs", self._install)

    def _charge(self, customer: str) -> None:
        """Charge by the enabled gateway with a stored token, for real unless it is in test mode."""
        settings = unserialize(options(self._install).get("woocommerce_stripe_settings", "a:0:{}"))
        if (
            settings.get("enabled") == "yes"
            and self._table("woocommerce_payment_tokens")
            and settings.get("testmode") != "yes"
        ):
            self._send("charge", customer)

    def _mail(self, to: str, subject: str) -> None:
        stopped = self._part("mail")
        if stopped is None and not inside_of(self._install)["filters_mail"]:
            self._send("mail", to, subject=subject)
        elif stopped is not None and stopped["mode"] == "redirect":
            self._send("mail", stopped["address"], subject=f"[staging] {subject}")

    def _send(self, kind: str, to: str, **facts: str) -> None:
        store = self._estate.store
        number = len(store.all("outbox")) + 1
        store.put("outbox", {"id": str(number), "kind": kind, "install": self._install["name"], "to": to, **facts})
