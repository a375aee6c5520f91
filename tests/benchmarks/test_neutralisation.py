"""How long masking a big shop takes inside of its own MariaDB: 200,000 orders, and tables of some 2 GB. No row travels."""

import os
import subprocess
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from tasks.estate.recipes import CopyStep, Recipe
from tasks.neutralisation.context import Context
from tasks.neutralisation.leaks import sample_people, search_people
from tasks.neutralisation.steps import STEPS
from tasks.wpcli.commands import LONGEST_COMMAND, Command
from tasks.wpcli.connection import Answer
from tests.benchmarks.measuring import Page
from tests.drills.wordpress.servers import database_server, missing, run

ORDERS = int(os.environ.get("BENCH_ORDERS", "200000"))
PAGES_OF_META = 10  # rows of metadata of an order that are not personal, with a kilobyte each
LACKING = [name for name in missing() if name.startswith("mariadb")]
SHOP = """
CREATE TABLE wp_users (ID bigint unsigned AUTO_INCREMENT PRIMARY KEY, user_login varchar(60), user_pass varchar(255),
  user_nicename varchar(50), user_email varchar(100), user_url varchar(100), user_activation_key varchar(255),
  display_name varchar(250));
CREATE TABLE wp_usermeta (umeta_id bigint unsigned AUTO_INCREMENT PRIMARY KEY, user_id bigint unsigned, meta_key varchar(255),
  meta_value longtext, KEY user_id (user_id), KEY meta_key (meta_key(191)));
CREATE TABLE wp_posts (ID bigint unsigned AUTO_INCREMENT PRIMARY KEY, post_content longtext, post_title text, post_excerpt text,
  post_type varchar(20));
CREATE TABLE wp_postmeta (meta_id bigint unsigned AUTO_INCREMENT PRIMARY KEY, post_id bigint unsigned, meta_key varchar(255),
  meta_value longtext, KEY post_id (post_id), KEY meta_key (meta_key(191)));
CREATE TABLE wp_wc_orders (id bigint unsigned PRIMARY KEY, billing_email varchar(320), ip_address varchar(100), user_agent text,
  customer_note text, transaction_id varchar(100));
CREATE TABLE wp_wc_order_addresses (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, order_id bigint unsigned, first_name text,
  last_name text, company text, address_1 text, address_2 text, city text, postcode text, phone varchar(100), email varchar(320));
INSERT INTO wp_users SELECT seq, CONCAT('login', seq), '$P$B', CONCAT('login', seq), CONCAT('p', seq, '@customer.example'), '', '',
  CONCAT('Person ', seq) FROM seq_1_to_{users};
INSERT INTO wp_usermeta (user_id, meta_key, meta_value) SELECT seq, meta_key, CONCAT(meta_key, ' of ', seq) FROM seq_1_to_{users},
  (SELECT 'first_name' AS meta_key UNION SELECT 'last_name' UNION SELECT 'billing_email' UNION SELECT 'billing_phone'
   UNION SELECT 'billing_address_1' UNION SELECT 'locale' UNION SELECT 'rich_editing') AS keys_of_a_user;
INSERT INTO wp_wc_orders SELECT seq, CONCAT('p', seq, '@customer.example'), '203.0.113.7', 'Browser', '', CONCAT('txn', seq)
  FROM seq_1_to_{orders};
INSERT INTO wp_wc_order_addresses (order_id, first_name, last_name, company, address_1, address_2, city, postcode, phone, email)
  SELECT seq, 'Greta', 'Planted', '', CONCAT('Street ', seq), '', 'Town', '3100', CONCAT('+43', seq),
  CONCAT('p', seq, '@customer.example')
  FROM seq_1_to_{orders};
INSERT INTO wp_postmeta (post_id, meta_key, meta_value) SELECT seq, meta_key, CONCAT('p', seq, '@customer.example')
  FROM seq_1_to_{orders}, (SELECT '_billing_email' AS meta_key UNION SELECT '_billing_last_name' UNION SELECT '_billing_phone') AS k;
"""
PAGES = """INSERT INTO wp_postmeta (post_id, meta_key, meta_value)
SELECT seq, '_data_{number}', REPEAT('x', 960) FROM seq_1_to_{orders};"""


class Local:
    """A connection whose SQL goes to a MariaDB of this machine. Counts commands, bytes and the longest command."""

    def __init__(self, socket_file: Path) -> None:
        self._client = ["mariadb", "--no-defaults", f"--socket={socket_file}", "-uroot", "shop", "-N", "--batch", "-e"]
        self.commands, self.received, self.longest = 0, 0, 0.0

    def run(self, command: Command, *, within: float = 120, accepted: Collection[int] = (0,)) -> Answer:
        started = perf_counter()
        ended = subprocess.run([*self._client, command.values[0]], capture_output=True, check=True)
        self.longest = max(self.longest, perf_counter() - started)
        self.commands, self.received = self.commands + 1, self.received + len(ended.stdout)
        return Answer(0, ended.stdout.decode(), "")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a MariaDB with the shop."""
    with database_server(tmp_path_factory.mktemp("shop")) as socket_file:
        client = ["mariadb", "--no-defaults", f"--socket={socket_file}", "-uroot"]
        run(
            [
                *client,
                "-e",
                "CREATE DATABASE shop CHARACTER SET utf8mb4; SET GLOBAL innodb_buffer_pool_size = 1073741824",
            ]
        )
        run([*client, "shop", "-e", SHOP.format(orders=ORDERS, users=ORDERS // 2)])
        for number in range(PAGES_OF_META):
            run([*client, "shop", "-e", PAGES.format(orders=ORDERS, number=number)])
        run(
            [
                *client,
                "shop",
                "-e",
                "ANALYZE TABLE wp_users, wp_usermeta, wp_postmeta, wp_wc_orders, wp_wc_order_addresses",
            ]
        )
        yield socket_file


@pytest.mark.bench
@pytest.mark.timeout(3600)
@pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)} (Debian's packages)")
def test_masking_a_big_shop(shop: Path, page: Page) -> None:
    """Seconds of the dry run, the masking with its check, and the leak search; the longest command stays below the limit."""
    context = Context(
        recipe=Recipe.safe(), install="shopstage", source="shop", own_domains=("stage.example",), other_domains=("shop.example",),
        moment=datetime(2026, 1, 2, tzinfo=UTC), run="bench", key=bytes(range(32)), password_hash="$2y$10$hash",
    )  # fmt: skip
    size = "SELECT ROUND(SUM(data_length + index_length) / 1048576) FROM information_schema.tables WHERE table_schema = 'shop'"
    connection: Any = Local(shop)
    megabytes = int(connection.run(Command(("db", "query"), (size,))).output)
    step, rows = STEPS[CopyStep.MASK_PEOPLE], []

    def measured(what: str, work: Callable[[], Any]) -> Any:
        using: Any = connection
        using.commands, using.received, using.longest = 0, 0, 0.0
        started = perf_counter()
        result = work()
        rows.append([what, perf_counter() - started, using.commands, using.longest, using.received])
        assert using.longest < LONGEST_COMMAND
        return result

    sample = measured("sample of the source", lambda: sample_people(connection, context, prefix="wp_"))
    counted = measured("dry run", lambda: step.count(connection, context))
    done = measured("mask and check", lambda: step.apply(connection, context))
    found = measured("leak search", lambda: search_people(connection, context, sample))
    assert counted.places
    assert done.is_safe, done
    assert found == {}
    page.section(
        "Masking people of a WordPress shop",
        ["part", "seconds", "commands", "longest command (s)", "bytes received"],
        rows,
        f"{ORDERS:,} orders, {ORDERS // 2:,} accounts, {megabytes:,} MiB of tables, {done.changed:,} changes.",
    )
