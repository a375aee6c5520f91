"""PAUSE_JOBS: what production had scheduled is not done a second time by staging.

Pending actions of Action Scheduler (renewals, newsletters, reminders of abandoned carts) are cancelled, cron events that send or
charge are removed, and a must-use plugin keeps plugins from scheduling them again.
"""

import json
import re
from typing import TYPE_CHECKING

from tasks.estate.errors import Unreachable
from tasks.estate.recipes import CopyStep, StepCount, StepDone
from tasks.neutralisation.context import Context, SiteOptions, sites
from tasks.neutralisation.must_use import MustUse, Part, content
from tasks.neutralisation.statements import Database, identifier
from tasks.wpcli.commands import Command

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

STEP = CopyStep.PAUSE_JOBS
# Words in the names of cron events that send or charge; the must-use plugin has the same pattern, in PHP's dialect.
HOOKS = (
    "mail|newsletter|campaign|subscri|renewal|payment|charge|invoice|billing|abandon|reminder|follow_?up|notif|digest|"
    "payout|refund|webhook|sms|mailpoet|automatewoo|autorespond|klaviyo|hubspot|zapier|feed_export"
)
PENDING = "status IN ('pending', 'in-progress')"
HOOK = re.compile(r"[\w./:-]{1,190}")


def count(connection: "Connection", context: Context) -> StepCount:
    """Return how many pending actions and cron events would be removed, and a missing must-use plugin as one place."""
    database = Database(connection, context.prefix)
    hooks = [hook for site in sites(connection, context) for hook in _hooks(connection, site)]
    plugin = 0 if MustUse(connection).is_written(Part.JOBS, _file(context)) else 1
    return StepCount(step=STEP, places=_pending(database) + len(hooks) + plugin, note=", ".join(hooks[:12]))


def apply(connection: "Connection", context: Context) -> StepDone:
    """Install the must-use plugin, cancel and remove, then read back. Raise as `Connection.run`."""
    plugins, database = MustUse(connection), Database(connection, context.prefix)
    changed = 0
    if not plugins.is_written(Part.JOBS, _file(context)):
        plugins.write(Part.JOBS, _file(context))
        changed += 1
    for table in database.named("actionscheduler_actions"):
        for part in database.slices(table):
            changed += database.change(
                f"UPDATE {identifier(table)} SET status = 'canceled' WHERE {part} AND {PENDING}"  # its own spelling
            )
    left: list[str] = []
    for site in sites(connection, context):
        for hook in _hooks(connection, site):
            connection.run(
                Command(("cron", "event", "delete"), (hook,), site), accepted=(0, 1)
            )  # 1: it is gone already
            changed += 1
        left += _hooks(connection, site)
    pending = _pending(database)
    if pending:
        left.append(f"{pending} pending actions")
    return StepDone(step=STEP, changed=changed, checked=not left, still_dangerous=", ".join(left[:12]))


def _file(context: Context) -> bytes:
    return content(Part.JOBS, context.install, hooks=HOOKS)


def _pending(database: Database) -> int:
    query = f"SELECT COUNT(*) FROM {{}} WHERE {PENDING}"
    return sum(database.number(query.format(identifier(table))) for table in database.named("actionscheduler_actions"))


def _hooks(connection: "Connection", site: SiteOptions) -> tuple[str, ...]:
    """Return the cron events that send or charge, sorted. Raise `Unreachable` if the list cannot be read."""
    options = {**site, "fields": "hook", "format": "json"}
    printed = connection.run(Command(("cron", "event", "list"), options=options)).last_line
    try:
        names = {str(row["hook"]) for row in json.loads(printed)}
    except (ValueError, TypeError, KeyError):
        raise Unreachable("wp cron event list: the answer is not a list in JSON.") from None
    found = {name for name in names if re.search(HOOKS, name, re.IGNORECASE) and HOOK.fullmatch(name)}
    return tuple(sorted(found))
