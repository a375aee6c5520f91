"""The steps after a copy on a real WordPress, with a real MariaDB and real PHP: what they promise is seen from the outside.

Where WP-CLI is not installed, `php/wp.php` runs its commands in the same WordPress; only `search-replace` is missing there.
"""

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings, strategies

from deployments.sandbox.host.site_tables import Sql
from tasks.estate.recipes import CopyStep, Mail, Recipe, Staff
from tasks.neutralisation.context import Context
from tasks.neutralisation.leaks import sample_people, search_people
from tasks.neutralisation.mask_people import hashed_password
from tasks.neutralisation.statements import Database, literal
from tasks.neutralisation.steps import STEPS
from tasks.neutralisation.visibility import let_in, remove_marks
from tasks.wpcli.commands import Command
from tasks.wpcli.connection import Answer
from tests.drills.wordpress.conftest import PRODUCTION, STAGING, Pair
from tests.drills.wordpress.host import HERE, Sites

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]
SHOP = HERE / "shop.sql"  # tables as WooCommerce 8 and others create them, with planted people
PASSWORD = "staging password"


class Real:
    """A connection to a real site: WP-CLI if it is installed, otherwise `php/wp.php`; SQL by MariaDB's own client."""

    def __init__(self, sites: Sites, name: str) -> None:
        self._sites, self.name = sites, name
        self._root = str(sites.by_name[name].root)

    def run(self, command: Command, *, within: float = 120, accepted: Collection[int] = (0,)) -> Answer:
        arguments = command.arguments(self._root)
        if command.words == ("db", "query"):
            client = ["mariadb", "--no-defaults", f"--socket={self._sites.socket}", "-uroot", "--batch", "-N"]
            line = [*client, self.name, "-e", command.values[0]]
        elif shutil.which("wp"):
            line = arguments
        else:
            line = ["php", str(HERE / "php" / "wp.php"), self._root, *arguments[1:]]
        ended = subprocess.run(line, capture_output=True, check=False, env=os.environ | {"WP_CLI_ALLOW_ROOT": "1"})
        answer = Answer(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
        assert answer.status in accepted, (str(command), answer.status, answer.error[-2000:])
        return answer

    def evaluate(self, code: str) -> str:
        """Return what PHP prints in this WordPress, with its plugins."""
        return self.run(Command(("eval",), (code,))).output


@pytest.fixture(scope="module")
def copied(pair: Pair) -> Pair:
    """Both sites have the same shop with planted people, as after a copy."""
    for name in ("schulprod", "schulstage"):
        pair.sites.load(name, SHOP.read_bytes())
    return pair


@pytest.fixture
def staging(copied: Pair) -> Iterator[Any]:
    """Staging, without anything of ours before and after."""
    yield Real(copied.sites, "schulstage")
    shutil.rmtree(copied.sites.by_name["schulstage"].content / "mu-plugins", ignore_errors=True)


@pytest.fixture
def context(copied: Pair) -> Context:
    """The safe recipe, for staging, which a visitor can look at."""
    port = copied.sites.by_name["schulstage"].port

    def visit() -> Mapping[str, str] | None:
        return httpx.get(f"http://127.0.0.1:{port}/", headers={"Host": STAGING}, trust_env=False).headers

    return Context(
        recipe=Recipe(banner="Nicht die echte Seite <b>"), install="schulstage", source="schulprod",
        own_domains=(STAGING,), other_domains=(PRODUCTION,), moment=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        run="drill", key=b"0123456789abcdef" * 2, password_hash=hashed_password(PASSWORD), visit=visit,
    )  # fmt: skip


def page(pair: Pair, path: str = "/") -> httpx.Response:
    """Return a page of staging as a visitor sees it."""
    port = pair.sites.by_name["schulstage"].port
    return httpx.get(f"http://127.0.0.1:{port}{path}", headers={"Host": STAGING}, trust_env=False)


def applied(step: CopyStep, connection: Any, context: Context) -> None:
    """Apply a step; it must be safe, find nothing left, and change nothing when it is repeated."""
    assert STEPS[step].apply(connection, context).is_safe
    assert STEPS[step].count(connection, context).places in (0, None)
    assert not STEPS[step].apply(connection, context).changed


SEND = (  # prints the recipients of an e-mail at the moment at which PHPMailer would send it, and sends nothing
    'add_action("phpmailer_init", function ($m) { echo "[", implode(",", array_keys($m->getAllRecipientAddresses())), "]"; '
    "throw new Exception; }, PHP_INT_MAX); "
    'try { wp_mail("planted@customer.example", "s", "m", "Bcc: planted@customer.example"); } catch (Exception $e) {} echo "end";'
)


def test_an_email_reaches_phpmailer_only_without_the_step(staging: Any, context: Context) -> None:
    """Without the must-use plugin an e-mail is sent to its recipient; with it, it is not sent at all."""
    assert staging.evaluate(SEND) == "[planted@customer.example]end"
    applied(CopyStep.STOP_MAIL, staging, context)
    assert staging.evaluate(SEND) == "end"


def test_a_redirected_email_reaches_one_address_only(staging: Any, context: Context) -> None:
    """A redirect goes to the address of the recipe and to nobody who is in Cc or Bcc."""
    mail = Mail(mode="redirect", address="team@example.org")
    applied(CopyStep.STOP_MAIL, staging, replace(context, recipe=Recipe(mail=mail)))
    assert staging.evaluate(SEND) == "[team@example.org]end"


def test_a_logged_email_is_in_the_log_and_not_sent(staging: Any, context: Context) -> None:
    """The log has the subject."""
    applied(CopyStep.STOP_MAIL, staging, replace(context, recipe=Recipe(mail=Mail(mode="log"))))
    assert staging.evaluate(SEND) == "end"
    assert staging.evaluate('echo get_option("understudy_mail_log")[0]["subject"];') == "s"


def test_a_function_of_a_plugin_for_emails_is_named(staging: Any, context: Context, copied: Pair) -> None:
    """A plugin that defines wp_mail itself does not ask the filter, so the step is not safe."""
    folder = copied.sites.by_name["schulstage"].content / "mu-plugins"
    folder.mkdir(exist_ok=True)
    (folder / "a-mailer.php").write_text("<?php function wp_mail() { return true; }")
    done = STEPS[CopyStep.STOP_MAIL].apply(staging, context)
    assert "function of its own" in done.still_dangerous


def test_visitors_are_kept_out_until_they_are_let_in(staging: Any, context: Context, copied: Pair) -> None:
    """Pages and the REST API answer 503 and are not indexed; WP-CLI still works."""
    assert page(copied).status_code == 200
    applied(CopyStep.KEEP_OUT, staging, context)
    for path in ("/", "/?p=1", "/wp-json/wp/v2/users", "/wp-login.php"):
        assert page(copied, path).status_code == 503
    assert page(copied).headers["x-robots-tag"] == "noindex, nofollow"
    assert let_in(staging, context).is_safe
    assert page(copied).status_code == 200


def test_a_hidden_site_asks_not_to_be_indexed(staging: Any, context: Context, copied: Pair) -> None:
    """Pages and feeds have the header, and WordPress itself treats the site as hidden; removing it puts back what was."""
    assert "x-robots-tag" not in page(copied).headers
    public = "UPDATE wp_options SET option_value = '1' WHERE option_name = 'blog_public'"  # as production's copy
    copied.sites.ask("schulstage", public)
    applied(CopyStep.HIDE_FROM_SEARCH, staging, context)
    for path in ("/", "/?feed=rss2"):
        assert "noindex" in page(copied, path).headers["x-robots-tag"]
    assert "noindex" in page(copied).text
    assert remove_marks(staging, context) == ()
    assert "x-robots-tag" not in page(copied).headers
    query = "SELECT option_value FROM wp_options WHERE option_name = 'blog_public'"
    assert copied.sites.ask("schulstage", query) == "1"


def test_the_banner_is_on_every_page_and_in_the_admin(staging: Any, context: Context, copied: Pair) -> None:
    """Its text is escaped, and names the source and the moment."""
    applied(CopyStep.MARK_STAGING, staging, context)
    text = "Nicht die echte Seite &lt;b&gt; (schulprod, 2026-01-02 03:04 UTC)"
    assert text in page(copied).text
    assert text in page(copied, "/wp-login.php").text
    assert text in staging.evaluate('do_action("admin_notices");')


def test_jobs_that_send_are_removed_and_cannot_be_scheduled_again(staging: Any, context: Context) -> None:
    """A plugin that schedules its newsletter at each request does not succeed; WordPress's own jobs stay."""
    schedule = 'echo wp_schedule_event(time() + 60, "hourly", "shop_newsletter") ? "yes" : "no";'
    staging.evaluate('wp_schedule_event(time() + 60, "hourly", "wp_version_check");')
    assert staging.evaluate(schedule) == "yes"
    applied(CopyStep.PAUSE_JOBS, staging, context)
    assert staging.evaluate(schedule) == "no"
    assert staging.evaluate('echo wp_next_scheduled("wp_version_check") ? "yes" : "no";') == "yes"
    assert staging.evaluate('echo apply_filters("action_scheduler_queue_runner_concurrent_batches", 5);') == "0"


def test_our_plugins_do_nothing_on_another_install(staging: Any, context: Context) -> None:
    """A promotion copies the files to production, where the host defines another name: e-mails are sent there."""
    applied(CopyStep.STOP_MAIL, staging, context)
    loaded = 'define("PWP_NAME", "schulprod"); remove_all_filters("pre_wp_mail"); include WPMU_PLUGIN_DIR . "/understudy-mail.php"; '
    assert staging.evaluate(loaded + 'echo has_filter("pre_wp_mail") ? "stops" : "sends";') == "sends"


def test_nobody_of_production_is_left(staging: Any, context: Context, copied: Pair) -> None:
    """Every planted value is gone from every table, staff can still log in, and everybody else has the known password."""
    production: Any = Real(copied.sites, "schulprod")
    sample = sample_people(production, context, prefix="wp_")
    assert len(sample) >= 5
    assert len(search_people(staging, context, sample)) > 10
    assert STEPS[CopyStep.MASK_PEOPLE].count(production, context).places
    applied(CopyStep.MASK_PEOPLE, staging, context)
    assert search_people(staging, context, sample) == {}
    dump = copied.sites.dump("schulstage").decode().lower()
    assert "planted" not in dump
    assert "admin@" in dump
    login = 'echo is_wp_error(wp_authenticate("{}", "{}")) ? "no" : "yes";'
    assert staging.evaluate(login.format("user-7001", PASSWORD)) == "yes"
    assert staging.evaluate(login.format("admin", "a password of the drill")) == "yes"
    assert staging.evaluate(login.format("user-7002", PASSWORD)) == "no"  # an editor, who is not staff by this recipe
    assert staging.evaluate('echo get_user_by("login", "user-7001")->first_name;') in staging.evaluate(
        'echo get_user_by("login", "user-7001")->display_name;'
    )


def test_a_table_that_no_rule_knows_is_named(staging: Any, context: Context, copied: Pair) -> None:
    """A plugin's table with addresses makes the step unsafe until a person has reviewed it; an empty one does not."""
    copied.sites.ask(
        "schulstage", "CREATE TABLE wp_raffle (id int PRIMARY KEY, email varchar(99), first_name varchar(99))"
    )
    try:
        step = STEPS[CopyStep.MASK_PEOPLE]
        assert step.apply(staging, context).is_safe
        copied.sites.ask("schulstage", "INSERT INTO wp_raffle VALUES (1, 'somebody@customer.example', '')")
        assert step.apply(staging, context).still_dangerous == "no rule knows wp_raffle"
        reviewed = replace(context, recipe=Recipe(harmless_tables=("raffle",)))
        assert step.apply(staging, reviewed).is_safe
    finally:
        copied.sites.ask("schulstage", "DROP TABLE wp_raffle")


def test_staff_of_a_domain_are_kept(staging: Any, context: Context, copied: Pair) -> None:
    """An account with an address of the domain is left as it is."""
    copied.sites.load("schulstage", SHOP.read_bytes())
    recipe = Recipe(staff=Staff(roles=(), domains=("customer.example",)))
    assert STEPS[CopyStep.MASK_PEOPLE].apply(staging, replace(context, recipe=recipe)).checked
    kept = copied.sites.ask("schulstage", "SELECT count(*) FROM wp_users WHERE user_email LIKE '%@customer.example'")
    assert int(kept) >= 2


@settings(max_examples=40, deadline=None)
@given(
    values=strategies.lists(
        strategies.text(strategies.characters(blacklist_categories=["Cs"])), min_size=1, max_size=20
    )
)
def test_a_literal_is_what_it_was(copied: Pair, values: list[str]) -> None:
    """MariaDB reads every literal as the text that it was made of, in every SQL mode."""
    connection: Any = Real(copied.sites, "schulstage")
    for mode in ("", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"):
        shown = ", ".join(f"HEX(CONVERT({literal(value)} USING utf8mb4))" for value in values)
        database = Database(connection, "wp_")
        (row,) = database.rows(f"SET SESSION sql_mode = '{mode}'; SELECT {shown}")
        assert [bytes.fromhex(each).decode() for each in row] == values


EXPRESSIONS = [  # what the statements of the steps are made of
    "SHA2(CONCAT(X'00ff', CAST(CONVERT('ü' USING utf8mb4) AS BINARY)), 256)",
    "SHA2(CONCAT(X'00', UNHEX(SHA2('a', 256))), 256)",
    "MOD(CONV('ffffffff', 16, 10), 64), MOD(CONV('00000007', 16, 10), 5)",
    "ELT(2, 'a', 'b'), ELT(3, 'a', 'b'), ELT(1 + MOD(CONV('05', 16, 10), 2), 'a', 'b')",
    "CONCAT('a', 1, 'b'), CONCAT('a', NULL)",
    "SUBSTR('abcdef', 2, 3), SUBSTR(CONCAT('000', 7), -3), SUBSTR('abc', 1, 99)",
    "'a_c' LIKE 'a\\_c', 'abc' LIKE 'a\\_c', 'ABC' LIKE 'a%', NULL LIKE 'a', 'a\nb' LIKE 'a%b'",
    "'wp_2_capabilities' REGEXP '^wp_([0-9]+_)?capabilities$', 'wp_x_capabilities' REGEXP '^wp_([0-9]+_)?capabilities$'",
    "REGEXP_SUBSTR('to a.b@c.example, d@e.example', '[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}')",
    "REGEXP_SUBSTR('nobody', '[a-z]+@'), INSTR('abc', 'c'), INSTR('abc', 'x'), CHAR_LENGTH('äöü'), LOWER(TRIM(' A '))",
    "_utf8mb4 X'c3a9', _utf8mb4 X'5c27', 'tab\there', NULL, EXISTS (SELECT 1), COALESCE(NULL, 3)",
    "CASE WHEN 'a' = '' THEN 'x' ELSE 'y' END, NULL <> 'a', SUM(CASE WHEN 1 = 1 THEN 1 ELSE 0 END)",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_emulated_database_answers_as_mariadb_does(expression: str, copied: Pair) -> None:
    """The same expressions have the same values in both, as the client prints them."""
    real: Any = Real(copied.sites, "schulstage")
    printed = real.run(Command(("db", "query"), (f"SELECT {expression}",), {"skip-column-names": True})).output
    assert (
        Sql({"database": {"home": "a", "title": "a"}, "environment": "staging"}).run(f"SELECT {expression}") == printed
    )


def test_urls_of_production_are_replaced(staging: Any, context: Context) -> None:
    """Every spelling is replaced, and nothing else."""
    if shutil.which("wp") is None:
        pytest.skip("WP-CLI is not installed: php/wp.php has no search-replace")
    applied(CopyStep.REPLACE_URLS, staging, context)
