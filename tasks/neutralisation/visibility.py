"""What visitors and colleagues see of a staging site: kept out, hidden from search, marked; and that its e-mails are stopped.

Each of these steps is a must-use plugin. It is read back in a new PHP process, which proves that WordPress loads it. The web
side of the host may see a changed file some seconds later, so keeping out is also read as a visitor if the caller can visit.
"""

import json
import time
from typing import TYPE_CHECKING, Any

from tasks.estate.errors import CommandRefused
from tasks.estate.recipes import CopyStep, StepCount, StepDone
from tasks.neutralisation.context import Context
from tasks.neutralisation.must_use import MustUse, Part, content
from tasks.neutralisation.statements import Database, identifier, literal
from tasks.wpcli.commands import Command
from tasks.wpcli.wordpress import QUIET

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

OPTION = "understudy"  # of WordPress: source, moment and run of the copy
BEFORE = "understudy_public_before"  # the source's own `blog_public`, which a promotion puts back
_OURS = (OPTION, BEFORE, "understudy_mail_log")  # every option that the steps and their plugins write
SEEN_WITHIN = 60.0  # seconds until visitors must see a changed file; the host documents five or more
LOOK_EVERY = 2.0  # seconds
KEPT_OUT = ("x-understudy", "kept-out")  # the header of the page that keeps visitors out
# Constants and filters that a new PHP process has if the must-use plugin is loaded.
LOADED: dict[Part, str] = {
    Part.KEEP_OUT: 'echo defined("UNDERSTUDY_KEEPS_OUT") ? "yes" : "no";',
    Part.MAIL: 'echo defined("UNDERSTUDY_STOPS_MAIL") && has_filter("pre_wp_mail") ? "yes" : "no";',
    Part.SEARCH: 'echo defined("UNDERSTUDY_HIDES") ? "yes" : "no";',
    Part.BANNER: 'echo has_action("wp_footer") && is_file(WPMU_PLUGIN_DIR . "/understudy-banner.php") ? "yes" : "no";',
}
# Plugins must be loaded for this one: some define a wp_mail of their own, which does not ask the filter.
MAIL_FUNCTION = (
    '$f = (new ReflectionFunction("wp_mail"))->getFileName(); '
    'echo strpos($f, ABSPATH . "wp-includes") === 0 ? "core" : "replaced";'
)


def _file(part: Part, context: Context) -> bytes:
    facts: dict[str, Any] = {}
    if part is Part.MAIL:
        facts = {"mode": context.recipe.mail.mode, "address": context.recipe.mail.address}
    if part is Part.BANNER:
        moment = context.moment.strftime("%Y-%m-%d %H:%M UTC")
        facts = {"text": f"{context.recipe.banner} ({context.source}, {moment})"}
    return content(part, context.install, **facts)


def _missing(connection: "Connection", part: Part, context: Context) -> int:
    return 0 if MustUse(connection).is_written(part, _file(part, context)) else 1


def _install(connection: "Connection", part: Part, context: Context) -> int:
    """Write the must-use plugin if the install has another one or none, and return how many files were written."""
    missing = _missing(connection, part, context)
    if missing:
        MustUse(connection).write(part, _file(part, context))
    return missing


def _is_loaded(connection: "Connection", part: Part) -> bool:
    return connection.run(Command(("eval",), (LOADED[part],), QUIET)).last_line == "yes"


def count_keep_out(connection: "Connection", context: Context) -> StepCount:
    """Return whether the must-use plugin is missing. Raise as `Connection.run`."""
    return StepCount(step=CopyStep.KEEP_OUT, places=_missing(connection, Part.KEEP_OUT, context))


def apply_keep_out(connection: "Connection", context: Context) -> StepDone:
    """Keep visitors and cron away. Not known if the site cannot be visited, or still answers as before after a minute."""
    changed = _install(connection, Part.KEEP_OUT, context)
    if not _is_loaded(connection, Part.KEEP_OUT):
        return _not_loaded(CopyStep.KEEP_OUT, changed, "visitors are not kept out")
    seen = _visitors_see(context, kept_out=True)
    return StepDone(
        step=CopyStep.KEEP_OUT,
        changed=changed,
        checked=seen if context.visit else True,
        still_dangerous="" if seen is not False else "visitors still see the site",
    )


def let_in(connection: "Connection", context: Context) -> StepDone:
    """Let visitors in again: after all other steps. Raise as `Connection.run`."""
    changed = MustUse(connection).remove(Part.KEEP_OUT)
    seen = _visitors_see(context, kept_out=False)
    return StepDone(step=CopyStep.KEEP_OUT, changed=changed, checked=seen if context.visit else True)


def _visitors_see(context: Context, *, kept_out: bool) -> bool | None:
    """Return whether visitors see the expected side within `SEEN_WITHIN`; None if the site never answered or cannot be visited."""
    if context.visit is None:
        return None
    name, value = KEPT_OUT
    deadline, seen = time.monotonic() + SEEN_WITHIN, None
    while True:
        headers = context.visit()
        if headers is not None:
            seen = ({key.lower(): each for key, each in headers.items()}.get(name) == value) == kept_out
        if seen or time.monotonic() > deadline:
            return seen
        time.sleep(LOOK_EVERY)


def _not_loaded(step: CopyStep, changed: int, danger: str) -> StepDone:
    return StepDone(
        step=step,
        changed=changed,
        checked=False,
        still_dangerous=f"{danger}: WordPress does not load the must-use plugin",
    )


def count_mail(connection: "Connection", context: Context) -> StepCount:
    """Return whether the must-use plugin is missing. Raise as `Connection.run`."""
    return StepCount(step=CopyStep.STOP_MAIL, places=_missing(connection, Part.MAIL, context))


def apply_mail(connection: "Connection", context: Context) -> StepDone:
    """Stop, log or redirect e-mails. Names it if a plugin has replaced WordPress's own function, which asks the filter."""
    changed = _install(connection, Part.MAIL, context)
    if not _is_loaded(connection, Part.MAIL):
        return _not_loaded(CopyStep.STOP_MAIL, changed, "e-mails are sent")
    try:
        function = connection.run(Command(("eval",), (MAIL_FUNCTION,))).last_line
    except CommandRefused:  # PHP fails with the site's plugins: which function sends is not known
        function = ""
    replaced = function == "replaced"
    return StepDone(
        step=CopyStep.STOP_MAIL,
        changed=changed,
        checked=None if function not in ("core", "replaced") else not replaced,
        still_dangerous="a plugin sends e-mails by a function of its own" if replaced else "",
    )


def count_hidden(connection: "Connection", context: Context) -> StepCount:
    """Return how many sites ask search engines to index them, and a missing must-use plugin as one place."""
    database = Database(connection, context.prefix)
    places = _public(database) + _missing(connection, Part.SEARCH, context)
    return StepCount(step=CopyStep.HIDE_FROM_SEARCH, places=places)


def apply_hidden(connection: "Connection", context: Context) -> StepDone:
    """Set `blog_public` to 0, remember the source's own value once, and send `X-Robots-Tag` with every page."""
    database = Database(connection, context.prefix)
    changed = _install(connection, Part.SEARCH, context)
    for table in database.named("options"):
        name = identifier(table)
        remembered = f"(SELECT option_name FROM {name} WHERE option_name = {literal(BEFORE)})"
        database.change(
            f"INSERT INTO {name} (option_name, option_value, autoload) SELECT {literal(BEFORE)}, option_value, 'no' "
            f"FROM {name} WHERE option_name = 'blog_public' AND NOT EXISTS (SELECT 1 FROM {remembered} AS remembered)"
        )
        changed += database.change(
            f"UPDATE {name} SET option_value = '0' WHERE option_name = 'blog_public' AND option_value <> '0'"
        )
    connection.run(Command(("cache", "flush"), options=QUIET))  # options are kept in it
    if not _is_loaded(connection, Part.SEARCH):
        return _not_loaded(CopyStep.HIDE_FROM_SEARCH, changed, "search engines are not kept away")
    left = _public(database)
    return StepDone(
        step=CopyStep.HIDE_FROM_SEARCH,
        changed=changed,
        checked=not left,
        still_dangerous="the site asks search engines to index it" if left else "",
    )


def _public(database: Database) -> int:
    query = "SELECT COUNT(*) FROM {} WHERE option_name = 'blog_public' AND option_value <> '0'"
    return sum(database.number(query.format(identifier(table))) for table in database.named("options"))


def mark_of(context: Context) -> str:
    """Return the value of the option `understudy`: source, moment (UTC), run, and the recipe's digest, as JSON."""
    facts = {
        "source": context.source,
        "moment": context.moment.isoformat(),
        "run": context.run,
        "recipe": context.recipe.digest,
        "masked": CopyStep.MASK_PEOPLE not in context.recipe.off,
    }
    return json.dumps(facts, sort_keys=True)


def read_mark(connection: "Connection") -> dict[str, Any] | None:
    """Return the facts of the option `understudy`, or None if the site is not marked. Raise as `Connection.run`."""
    answer = connection.run(Command(("option", "get"), (OPTION,), QUIET), accepted=(0, 1))
    try:
        found = json.loads(answer.last_line) if answer.status == 0 else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def count_mark(connection: "Connection", context: Context) -> StepCount:
    """Return how many of banner and option are missing or of another copy. Raise as `Connection.run`."""
    places = _missing(connection, Part.BANNER, context) + int(not _is_marked(connection, context))
    return StepCount(step=CopyStep.MARK_STAGING, places=places)


def apply_mark(connection: "Connection", context: Context) -> StepDone:
    """Show the banner on every page and in wp-admin, and set the option. Raise as `Connection.run`."""
    changed = _install(connection, Part.BANNER, context)
    if not _is_marked(connection, context):
        connection.run(Command(("option", "update"), (OPTION, mark_of(context)), QUIET))
        changed += 1
    if not _is_loaded(connection, Part.BANNER):
        return _not_loaded(CopyStep.MARK_STAGING, changed, "the banner is not shown")
    marked = _is_marked(connection, context)
    return StepDone(
        step=CopyStep.MARK_STAGING,
        changed=changed,
        checked=marked,
        still_dangerous="" if marked else f"the option {OPTION} is not set",
    )


def _is_marked(connection: "Connection", context: Context) -> bool:
    return bool(read_mark(connection) == json.loads(mark_of(context)))


def count_flush(connection: "Connection", context: Context) -> StepCount:
    """Return an unknown number: what a cache holds cannot be counted."""
    return StepCount(step=CopyStep.FLUSH, places=None, note="what caches hold cannot be counted")


def apply_flush(connection: "Connection", context: Context) -> StepDone:
    """Empty the object cache and all transients, which may hold people, and rebuild the rewrite rules."""
    commands: tuple[tuple[tuple[str, ...], dict[str, str | bool]], ...] = (
        (("transient", "delete"), {"all": True}),
        (("cache", "flush"), {}),
        (("rewrite", "flush"), {}),
    )
    for words, options in commands:
        connection.run(Command(words, options={**QUIET, **options}))
    return StepDone(step=CopyStep.FLUSH, changed=None, checked=True)


def remove_marks(connection: "Connection", context: Context) -> tuple[str, ...]:
    """Remove what the steps added to a site: all must-use plugins, the mark, and the hiding. Return what is left, by name.

    `blog_public` becomes what it was at the source of the copy. Masked people, cancelled jobs and disabled webhooks do not come
    back. Called on production after a promotion, on staging never.
    """
    plugins, database = MustUse(connection), Database(connection, context.prefix)
    for part in Part:
        plugins.remove(part)
    for table in database.named("options"):
        name = identifier(table)
        remembered = f"(SELECT option_name, option_value FROM {name}) AS remembered"
        before = f"(SELECT option_value FROM {remembered} WHERE option_name = {literal(BEFORE)})"
        database.change(
            f"UPDATE {name} SET option_value = COALESCE({before}, option_value) WHERE option_name = 'blog_public'"
        )
        database.change(f"DELETE FROM {name} WHERE option_name IN ({', '.join(map(literal, _OURS))})")
    connection.run(Command(("cache", "flush"), options=QUIET))
    query = "SELECT COUNT(*) FROM {} WHERE option_name IN ({})"
    left = sum(
        database.number(query.format(identifier(table), ", ".join(map(literal, _OURS))))
        for table in database.named("options")
    )
    return (*plugins.present(), *([f"{left} options"] if left else []))
