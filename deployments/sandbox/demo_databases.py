"""The second act of the demo: staging's database gets production's rows, masked, by a person's leave and then by night."""

import psycopg

from deployments.prefect_server import Form
from deployments.sandbox.database_comparison import SideBySide, aligned
from deployments.sandbox.guide import Guide
from deployments.sandbox.leads import LEAD
from deployments.sandbox.school.database import CANARIES, OWNER, READER
from deployments.sandbox.stack import HOSTNAME

LOADED = "Loaded"
TEACHER = 22  # a user with every field filled in, on both sides
NEWCOMER = "neele.neuling@gmx.example"
REGISTERS = """INSERT INTO users (email, username, role, first_name, last_name, phone, birth_date, password_hash, iban)
    SELECT %s, 'neele', 'guardian', 'Neele', 'Neuling', '01/5550199', '1984-05-06', password_hash, 'AT611904300234573201'
    FROM users WHERE id = %s"""


class SecondAct:
    """Databases: down to staging only, and never as they are."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._narrator = guide.narrator
        self._production, self._staging = (guide.stack.databases[side] for side in ("production", "staging"))

    def play(self) -> bool:
        """Reload by a person's leave, then by night, and compare. True if all went well, or a person rejected."""
        with SideBySide(self._production.url(READER), self._staging.url(READER)) as sides:
            before = sides.counts()
            outcome = self._first_reload()
            if outcome != LOADED:
                self._narrator.say("Without a first load nothing says that the target is staging: no nightly reload.")
                return self._guide.accepts(outcome, LOADED)
            return self._nightly_reload() and self._compare(sides, before)

    def _first_reload(self) -> str:
        self._narrator.heading("3. The first reload: staging's database gets production's rows, if a person says yes")
        return self._guide.lead(
            "reload/reload",
            answer=self._answer,
            example=f"approve, the plan's code, {HOSTNAME}, {LEAD}, the six digits below, any reason",
            hostname=HOSTNAME,
            requested_by="the demo",
        )

    def _answer(self, question: Form) -> dict[str, str]:
        return {
            "decision": "approve", "plan": question.plan_code, "destination": HOSTNAME, "approver": LEAD,
            "proof": self._guide.proof(), "reason": "demo of a first load",
        }  # fmt: skip

    def _nightly_reload(self) -> bool:
        self._narrator.heading("4. The nightly reload: the marker proves that it is staging, so nobody is asked")
        with psycopg.connect(self._production.url(OWNER)) as application:
            application.execute(REGISTERS, (NEWCOMER, TEACHER))
        self._narrator.say("A new guardian registered on production.")
        return self._guide.lead_alone("reload/nightly-reload", until=LOADED)

    def _compare(self, sides: SideBySide, before: dict[str, tuple[int, int]]) -> bool:
        """Show both databases; True if they are as they should be."""
        self._narrator.heading("Production and staging side by side: a teacher, the newcomer, a canary")
        people = (TEACHER, sides.person(NEWCOMER), sides.person(CANARIES["email"]))
        self._narrator.quote("\n".join(sides.people(people)))
        self._narrator.heading("Rows")
        rows = [(name, there, before[name][1], here) for name, (there, here) in sides.counts().items()]
        self._narrator.quote("\n".join(aligned([("table", "production", "staging before", "staging now"), *rows])))
        self._narrator.heading("What staging says of itself")
        self._narrator.quote("\n".join(sides.marker()))
        opens, told = sides.login()
        self._narrator.heading("Who logs in on staging")
        self._narrator.quote(told)
        clean, found = sides.search()
        self._narrator.heading("Canaries: unmistakable values, planted on production, searched for in every row")
        self._narrator.quote("\n".join(found))
        return sides.counts_agree() and opens and clean
