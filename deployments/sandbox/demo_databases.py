"""Second part of the demo: production's rows are masked and loaded to staging, first approved, then scheduled."""

import psycopg

from deployments.sandbox.database_comparison import SideBySide, aligned
from deployments.sandbox.demo_guide import Guide
from deployments.sandbox.school.database import CANARIES, OWNER, READER
from deployments.sandbox.stack import HOSTNAME

LOADED = "Loaded"
TEACHER = 22  # a user with every field filled in, on both sides
NEWCOMER = "neele.neuling@gmx.example"
REGISTER = """INSERT INTO users (email, username, role, first_name, last_name, phone, birth_date, password_hash, iban)
    SELECT %s, 'neele', 'guardian', 'Neele', 'Neuling', '01/5550199', '1984-05-06', password_hash, 'AT611904300234573201'
    FROM users WHERE id = %s"""


class DatabasesDemo:
    """Two masked loads of production's database to staging, and a comparison of both."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._narrator = guide.narrator
        self._production, self._staging = (guide.stack.databases[side] for side in ("production", "staging"))

    def play(self) -> bool:
        """Reload with an approval, then by schedule, and compare. Return whether all succeeded or a person rejected."""
        with SideBySide(self._production.url(READER), self._staging.url(READER)) as sides:
            before = sides.counts()
            outcome = self._first_reload()
            if outcome != LOADED:
                self._narrator.say(
                    "Without a first load no marker proves that the target is staging, so there is no nightly reload."
                )
                return self._guide.accepts(outcome, LOADED)
            return self._nightly_reload() and self._compare(sides, before)

    def _first_reload(self) -> str:
        self._narrator.heading(
            "3. First reload: masked rows of production are loaded to staging, after a person's approval"
        )
        return self._guide.lead(
            "reload/reload",
            reason="demo of a first load",
            at_desk=False,  # in Prefect's form, which stays usable
            hostname=HOSTNAME,
            requested_by="the demo",
        )

    def _nightly_reload(self) -> bool:
        self._narrator.heading(
            "4. Scheduled reload: the marker proves that the target is staging, so no approval is needed"
        )
        with psycopg.connect(self._production.url(OWNER)) as application:
            application.execute(REGISTER, (NEWCOMER, TEACHER))
        self._narrator.say("A new guardian registered on production.")
        return self._guide.lead_alone("reload/nightly-reload", until=LOADED)

    def _compare(self, sides: SideBySide, before: dict[str, tuple[int, int]]) -> bool:
        """Show both databases and return whether they are as expected."""
        self._narrator.heading("Three people on production and staging: a teacher, the new guardian, a canary")
        people = (TEACHER, sides.person(NEWCOMER), sides.person(CANARIES["email"]))
        self._narrator.quote("\n".join(sides.people(people)))
        self._narrator.heading("Rows")
        rows = [(name, there, before[name][1], here) for name, (there, here) in sides.counts().items()]
        self._narrator.quote("\n".join(aligned([("table", "production", "staging before", "staging now"), *rows])))
        self._narrator.heading("The marker of staging")
        self._narrator.quote("\n".join(sides.marker()))
        opens, login = sides.login()
        self._narrator.heading("Logins on staging")
        self._narrator.quote(login)
        clean, found = sides.search()
        self._narrator.heading("Canaries: known values on production, searched for in every row")
        self._narrator.quote("\n".join(found))
        return sides.counts_agree() and opens and clean
