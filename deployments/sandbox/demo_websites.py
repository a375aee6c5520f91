"""First part of the demo: a scheduled refresh of a website, then a promotion that a person approves."""

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import httpx

from deployments.sandbox import notice_receiver
from deployments.sandbox.demo_guide import Guide
from deployments.sandbox.host.site_tables import PEOPLE
from deployments.sandbox.leads import LEAD

STAGING, PRODUCTION = "schulstage", "schulprod"
VERIFIED = "Verified"
SENDS = {
    "mail": "e-mails",
    "charge": "charges",
    "webhook": "webhooks",
}  # kinds of what leaves an emulated site, in words
BANNER = re.compile(r'id="understudy-banner"[^>]*>([^<]*)<')


class WebsitesDemo:
    """A refresh of staging under a standing approval, and a promotion to production with a person's approval."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._narrator = guide.narrator

    def play(self) -> bool:
        """Refresh, then promote. Return whether both were verified or, with a person at the form, rejected."""
        good = self._refresh() and self._promote()
        self._narrator.heading("The websites after both runs")
        self._show_estate()
        self._show_notices()
        return good

    def _refresh(self) -> bool:
        self._narrator.heading("1. Scheduled refresh: production is copied to staging, under a standing approval")
        self._publish(PRODUCTION, "post", "An editor published a post on")
        return self._guide.lead_alone("refresh/nightly-refresh", until=VERIFIED) and self._show_neutralised()

    def _show_neutralised(self) -> bool:
        """Let an hour pass on both sites, and print what left them and which tables contain production's people.

        Return whether nothing left staging, nobody is in its tables, and its pages show the banner.
        """
        self._narrator.heading("Staging after the steps: one hour of both sites, and a search for production's people")
        for name in (PRODUCTION, STAGING):
            self._admin("POST", "/_sandbox/hour", json={"install": name})
        sent = Counter((row["install"], row["kind"]) for row in self._admin("GET", "/_sandbox/outbox"))
        for name in (PRODUCTION, STAGING):
            kinds = ", ".join(f"{sent[name, kind]} {words}" for kind, words in SENDS.items())
            self._narrator.say(f"  {name:<10} in an hour: {kinds}")
        found = {name: self._tables_with_people(name) for name in (PRODUCTION, STAGING)}
        for name, tables in found.items():
            self._narrator.say(f"  {name:<10} planted people are in {len(tables)} tables {' '.join(tables)}".rstrip())
        banner = BANNER.search(self._page(STAGING))
        self._narrator.say(f"  {STAGING:<10} its pages show: {banner[1] if banner else 'no banner'}")
        silent = not any(sent[STAGING, kind] for kind in SENDS)
        return silent and bool(found[PRODUCTION]) and not found[STAGING] and banner is not None

    def _tables_with_people(self, install: str) -> list[str]:
        """Return the tables of an install that contain an address or a phone number of production's planted people."""
        tables: dict[str, list[Any]] = self._admin("GET", "/_sandbox/tables")[install]
        planted = [value for person in PEOPLE for value in person[2:4]]
        return [name for name, rows in tables.items() if any(value in str(rows) for value in planted)]

    def _page(self, install: str) -> str:
        """Return the front page of an install, past the page cache."""
        with httpx.Client(base_url=self._guide.stack.emulator_url, trust_env=False, timeout=10) as client:
            host = {"host": f"{install}.wpengine.example"}
            return client.get("/", params={"fresh": "1"}, headers=host, follow_redirects=False).text

    def _promote(self) -> bool:
        self._narrator.heading(
            "2. Promotion: newer files of staging are copied to production, after a person's approval"
        )
        self._publish(STAGING, "files", "A developer published newer files on")
        outcome = self._guide.lead(
            "promote/promote",
            reason="demo of a release",
            at_desk=True,
            arrival=self._arrival,
            source=STAGING,
            destination=PRODUCTION,
            requested_by="the demo",
        )
        return self._guide.accepts(outcome, VERIFIED)

    def _arrival(self) -> dict[str, str]:
        """Return the demo lead's answer about what the host's e-mail would contain."""
        versions = {name: site["files_version"] for name, site in self._estate().items()}
        landed = versions[STAGING] == versions[PRODUCTION]
        words = f"sandbox: files {versions[PRODUCTION]} on {PRODUCTION}, {versions[STAGING]} on {STAGING}"
        email = "completed" if landed else "failed"
        return {"email": email, "approver": LEAD, "proof": self._guide.proof(), "words": words}

    def _show_notices(self) -> None:
        """Show the subjects only: their bodies repeat the requests above."""
        self._narrator.heading("Notices that were sent to people")
        for caught in notice_receiver.read(self._guide.stack.notices_file):
            self._narrator.say(f"  {caught.at:%H:%M:%S} UTC {caught.subject}")

    def _publish(self, install: str, kind: str, what: str) -> None:
        """Make the two sides differ: otherwise nothing could prove an arrival."""
        self._admin("POST", "/_sandbox/publish", json={"install": install, "kind": kind})
        self._narrator.say(f"{what} {install}.")
        self._show_estate()

    def _admin(self, method: str, path: str, **request: Any) -> Any:
        """Call the control interface of the emulator, which the real host does not have."""
        with httpx.Client(base_url=self._guide.stack.emulator_url, trust_env=False, timeout=10) as client:
            return client.request(method, path, **request).raise_for_status().json()

    def _estate(self) -> dict[str, dict[str, Any]]:
        """Return the installs of the emulated host by name."""
        installs: dict[str, dict[str, Any]] = self._admin("GET", "/_sandbox/estate")["installs"]
        return installs

    def _show_estate(self) -> None:
        installs = self._estate()
        for name in (PRODUCTION, STAGING):
            site = installs[name]
            newest = datetime.fromtimestamp(site["newest"], UTC)
            facts = (
                f"files {site['files_version']}, {site['totals']['posts']} posts, newest {newest:%Y-%m-%d %H:%M:%S} UTC"
            )
            self._narrator.say(f"  {name:<10} ({site['environment']}): {facts}")
