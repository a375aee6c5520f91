"""The first act of the demo: a nightly refresh of a website, then a promotion that waits for a person."""

from datetime import UTC, datetime
from typing import Any

import httpx

from deployments.prefect_server import Form
from deployments.sandbox import notices
from deployments.sandbox.guide import Guide
from deployments.sandbox.leads import LEAD

STAGING, PRODUCTION = "schulstage", "schulprod"
VERIFIED = "Verified"


class FirstAct:
    """Websites: down to staging by night, up to production by a person's leave."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._narrator = guide.narrator

    def play(self) -> bool:
        """Refresh, then promote. True if both ended well: verified, or, with a person at the form, rejected as told."""
        good = self._refresh() and self._promote()
        self._narrator.heading("What became of the websites")
        self._show_estate()
        self._show_notices()
        return good

    def _refresh(self) -> bool:
        self._narrator.heading("1. The nightly refresh: staging becomes what production is")
        self._publish(PRODUCTION, "post", "An editor published a post on")
        return self._guide.lead_alone("refresh/nightly-refresh", until=VERIFIED)

    def _promote(self) -> bool:
        self._narrator.heading("2. A promotion: newer files on staging go to production, if a person says yes")
        self._publish(STAGING, "files", "A developer published newer files on")
        outcome = self._guide.lead(
            "promote/promote",
            answer=self._answer,
            example=f"approve, the plan's code, {PRODUCTION}, {LEAD}, the six digits below, any reason, no",
            source=STAGING,
            destination=PRODUCTION,
            requested_by="the demo",
        )
        return self._guide.accepts(outcome, VERIFIED)

    def _answer(self, question: Form) -> dict[str, str]:
        """What the demo lead answers: yes to the plan; and about the host's e-mail, what the emulated host knows."""
        if "decision" in question.fields:
            return {
                "decision": "approve", "plan": question.plan_code, "destination": PRODUCTION, "approver": LEAD,
                "proof": self._guide.proof(), "reason": "demo of a release", "restore": "no",
            }  # fmt: skip
        versions = {name: site["files_version"] for name, site in self._estate().items()}
        landed = versions[STAGING] == versions[PRODUCTION]
        words = f"sandbox: files {versions[PRODUCTION]} on {PRODUCTION}, {versions[STAGING]} on {STAGING}"
        email = "completed" if landed else "failed"
        return {"email": email, "approver": LEAD, "proof": self._guide.proof(), "words": words}

    def _show_notices(self) -> None:
        """The subjects only: their bodies repeat the questions above."""
        self._narrator.heading("What people were told meanwhile, with links and the ledger's head, where notices go")
        for caught in notices.read(self._guide.stack.notices_file):
            self._narrator.say(f"  {caught.at:%H:%M:%S} UTC {caught.subject}")

    def _publish(self, install: str, kind: str, what: str) -> None:
        """Make the two sides differ, or there is nothing to see, and nothing that could prove an arrival."""
        self._admin("POST", "/_sandbox/publish", json={"install": install, "kind": kind})
        self._narrator.say(f"{what} {install}.")
        self._show_estate()

    def _admin(self, method: str, path: str, **request: Any) -> Any:
        """The emulator's own back door, which the real host does not have."""
        with httpx.Client(base_url=self._guide.stack.emulator_url, trust_env=False, timeout=10) as client:
            return client.request(method, path, **request).raise_for_status().json()

    def _estate(self) -> dict[str, dict[str, Any]]:
        """The installs of the emulated host by name."""
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
