"""First part of the demo: a scheduled refresh of a website, then a promotion that a person approves."""

from datetime import UTC, datetime
from typing import Any

import httpx

from deployments.prefect_server import Form
from deployments.sandbox import notice_receiver
from deployments.sandbox.demo_guide import Guide
from deployments.sandbox.leads import LEAD

STAGING, PRODUCTION = "schulstage", "schulprod"
VERIFIED = "Verified"


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
        return self._guide.lead_alone("refresh/nightly-refresh", until=VERIFIED)

    def _promote(self) -> bool:
        self._narrator.heading(
            "2. Promotion: newer files of staging are copied to production, after a person's approval"
        )
        self._publish(STAGING, "files", "A developer published newer files on")
        outcome = self._guide.lead(
            "promote/promote",
            answer=self._answer,
            example=f"approve, any reason, {LEAD}, the six digits below",
            source=STAGING,
            destination=PRODUCTION,
            requested_by="the demo",
        )
        return self._guide.accepts(outcome, VERIFIED)

    def _answer(self, form: Form) -> dict[str, str]:
        """Return the demo lead's answer: an approval, or what the host's e-mail would contain."""
        if "decision" in form.fields:
            return {
                "decision": form.approval, "approver": LEAD, "proof": self._guide.proof(),
                "reason": "demo of a release",
            }  # fmt: skip
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
