"""The tables of an emulated WordPress: planted people, orders, jobs and webhooks, and SQL on them as MariaDB would run it.

The rows are part of the install's database document, so that copies, backups and restores carry them. SQLite runs the queries,
with the few functions and spellings of MariaDB that it lacks.
"""

import hashlib
import re
import sqlite3
from collections.abc import Callable
from typing import Any

from deployments.sandbox.host.php_values import replaced, serialize

Document = dict[str, Any]
NUMBER, TEXT = "bigint", "longtext"
# Table → its columns; the first one is the key.
SCHEMA: dict[str, str] = {
    "wp_users": "ID user_login user_pass user_nicename user_email user_url user_activation_key display_name",
    "wp_usermeta": "umeta_id user_id meta_key meta_value",
    "wp_options": "option_id option_name option_value autoload",
    "wp_comments": "comment_ID comment_author comment_author_email comment_author_url comment_author_IP comment_agent "
                   "comment_content comment_type",
    "wp_posts": "ID post_title post_content post_excerpt post_type guid",
    "wp_postmeta": "meta_id post_id meta_key meta_value",
    "wp_wc_orders": "id billing_email ip_address user_agent customer_note transaction_id",
    "wp_wc_order_addresses": "id order_id first_name last_name company address_1 address_2 city postcode phone email",
    "wp_wc_customer_lookup": "customer_id user_id username first_name last_name email postcode city",
    "wp_wc_webhooks": "webhook_id name status delivery_url",
    "wp_actionscheduler_actions": "action_id hook status args extended_args",
    "wp_woocommerce_sessions": "session_id session_key session_value",
    "wp_woocommerce_payment_tokens": "token_id gateway_id token user_id",
    "wp_gf_entry_meta": "id entry_id meta_key meta_value",
    "wp_newsletter": "id email name surname ip token",
    "wp_blogs": "blog_id domain path",  # only in networks
}  # fmt: skip
DERIVED = ("home", "siteurl", "blogname")  # options that follow from the site's content, not stored as rows
CORE = ("wp_users", "wp_usermeta", "wp_options", "wp_comments", "wp_posts", "wp_postmeta")
SHOP = tuple(table for table in SCHEMA if table != "wp_blogs")
NUMBERS = ("user_id", "post_id", "order_id", "entry_id")
# People of the emulated shop: first name, last name, e-mail address, phone, street, town.
PEOPLE = (
    ("Greta", "Planted", "planted.greta@customer.example", "+43 660 5550101", "Plantedgasse 1", "Plantendorf"),
    ("Horst", "Planted", "planted.horst@customer.example", "+43 660 5550102", "Plantedgasse 2", "Plantendorf"),
    ("Irma", "Planted", "planted.irma@customer.example", "+43 660 5550103", "Plantedgasse 3", "Plantendorf"),
)
STAFF = "admin@schulfest.example"
PLANTED = ("planted", "5550101", "5550102", "5550103", "203.0.113.77")  # what must be nowhere on staging, in lower case
SHOP_HOOKS = ("woocommerce_scheduled_subscription_payment", "newsletter_send_campaign")
CRON = ("wp_version_check", "newsletter", "woocommerce_abandoned_cart_reminder", "wp_scheduled_delete")


def empty_tables(*, shop: bool) -> Document:
    """Return the tables of a site with its administrator; the tables of a shop only if it has one."""
    rows: dict[str, list[list[Any]]] = {name: [] for name in (SHOP if shop else CORE)}
    rows["wp_users"] = [[1, "admin", "$P$Badmin", "admin", STAFF, "", "", "Admin"]]
    rows["wp_usermeta"] = [[1, 1, "wp_capabilities", serialize({"administrator": True})]]
    rows["wp_options"] = [[10, "cron", serialize(_cron(("wp_version_check", "wp_scheduled_delete"))), "yes"]]
    return rows


def shop_tables(domain: str) -> Document:
    """Return the tables of a shop with planted people, whose pages are at this domain."""
    rows: dict[str, list[list[Any]]] = empty_tables(shop=True)
    for number, person in enumerate(PEOPLE, 2):
        _add_person(rows, number, *person)
    stripe = {"enabled": "yes", "testmode": "no", "secret_key": "planted-live-key"}
    builder = {"hero": f"https://{domain}/summer", "share": f"https%3A%2F%2F{domain}%2Fsummer", "note": "ümlaut"}
    rows["wp_options"] = [
        [10, "cron", serialize(_cron(CRON)), "yes"],
        [11, "woocommerce_stripe_settings", serialize(stripe), "yes"],
        [12, "woocommerce_bacs_settings", serialize({"enabled": "yes"}), "yes"],
        [13, "builder_page", serialize(builder), "no"],
        [15, "blog_public", "1", "yes"],
        [14, "builder_json", f'{{"url":"http:\\/\\/{domain}\\/shop"}}', "no"],
    ]
    rows["wp_wc_webhooks"] = [
        [1, "stock", "active", "https://erp.example/hook"],
        [2, "old", "disabled", "https://old.example/"],
    ]
    rows["wp_posts"] = [[9001, "Order", "", "Please ring at Planted", "shop_order", f"http://{domain}/?p=9001"]]
    return rows


def _cron(hooks: tuple[str, ...]) -> Document:
    return {str(1_700_000_000 + n): {hook: {"00": {"schedule": "hourly", "args": {}}}} for n, hook in enumerate(hooks)}


def _add_person(
    rows: dict[str, list[list[Any]]], number: int, first: str, last: str, email: str, phone: str, street: str, town: str
) -> None:
    """Put one customer into every table in which a shop keeps people."""
    login, full = f"{first}.{last}".lower(), f"{first} {last}"
    meta = {
        "wp_capabilities": serialize({"customer": True}), "first_name": first, "last_name": last, "billing_email": email,
        "billing_phone": phone, "billing_address_1": street, "billing_city": town,
        "session_tokens": serialize({"a1": {"ip": "203.0.113.77"}}),
    }  # fmt: skip
    order = {
        "_billing_email": email,
        "_billing_first_name": first,
        "_billing_address_index": f"{full} {street} {email} {phone}",
    }
    ip, agent = "203.0.113.77", f"Browser of {full}"
    rows["wp_users"].append([number, login, "$P$Bcustomer", login, email, f"https://{login}.example", "", full])
    rows["wp_usermeta"] += [[100 * number + n, number, *pair] for n, pair in enumerate(meta.items())]
    rows["wp_comments"] += [
        [2 * number, full, email, "", ip, agent, "Nice!", "comment"],
        [2 * number + 1, "WooCommerce", "", "", "", "", f"Called {full} at {phone}", "order_note"],
    ]
    rows["wp_postmeta"] += [[100 * number + n, 9001, *pair] for n, pair in enumerate(order.items())]
    rows["wp_wc_orders"].append([number, email, ip, agent, f"For {first} {last}", "txn-1"])
    rows["wp_wc_order_addresses"].append([number, number, first, last, "", street, "", town, "3100", phone, email])
    rows["wp_wc_customer_lookup"].append([number, number, login, first, last, email, "3100", town])
    action = [f'["{email}"]', ""]
    rows["wp_actionscheduler_actions"] += [
        [2 * number, SHOP_HOOKS[0], "pending", *action],
        [2 * number + 1, SHOP_HOOKS[1], "complete" if number == 2 else "pending", *action],
    ]
    rows["wp_woocommerce_sessions"].append([number, str(number), serialize({"customer": {"email": email}})])
    rows["wp_woocommerce_payment_tokens"].append([number, "stripe", f"tok-planted-{number}", number])
    rows["wp_gf_entry_meta"].append([number, number, "3", f"{full}, {email}"])
    rows["wp_newsletter"].append([number, email, first, last, ip, "tok"])


def options(install: Document) -> dict[str, str]:
    """Return the options of an install. Those about its address and name are derived from its content."""
    content = install["database"]
    address = f"http://{content['home']}"
    public = "1" if install["environment"] == "production" else "0"
    derived = {"home": address, "siteurl": address, "blogname": content["title"]}
    rows = {row[1]: row[2] for row in content.get("rows", {}).get("wp_options", [])}
    return {"blog_public": public, **rows, **derived}


def replace_in_rows(
    rows: Document, replace: Callable[[str], str], tables: list[str], skipped: list[str]
) -> dict[tuple[str, str], int]:
    """Replace in every text of these tables, serialised ones too. Return how many values changed, by table and column."""
    counts: dict[tuple[str, str], int] = {}
    for table in tables:
        for row in rows.get(table, []):
            for place, column in enumerate(SCHEMA[table].split()):
                if column in skipped or not isinstance(row[place], str):
                    continue
                new = replaced(row[place], replace)
                if new != row[place]:
                    counts[table, column] = counts.get((table, column), 0) + 1
                    row[place] = new
    return counts


class Sql:
    """One run of SQL on the tables of an install. Changes are kept with `store`."""

    def __init__(self, install: Document) -> None:
        self._install = install
        self._rows: Document = install["database"].setdefault("rows", empty_tables(shop=False))
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._changed = 0
        for name, arguments, function in FUNCTIONS:
            self._db.create_function(name, arguments, function, deterministic=True)
        self._db.create_function("ROW_COUNT", 0, lambda: self._changed)
        self._load()

    def _load(self) -> None:
        self._db.execute("ATTACH ':memory:' AS information_schema")
        self._db.execute(
            "CREATE TABLE information_schema.columns "
            "(table_schema, table_name, column_name, data_type, column_key, ordinal_position)"
        )
        for table, rows in self._rows.items():
            columns = SCHEMA[table].split()
            types = [NUMBER if n == 0 or name in NUMBERS else TEXT for n, name in enumerate(columns)]
            parts = [f"{columns[0]} INTEGER PRIMARY KEY", *columns[1:]]
            self._db.execute(f"CREATE TABLE {table} ({', '.join(parts)})")
            marks = ", ".join("?" * len(columns))
            all_rows = [*rows, *self._derived()] if table == "wp_options" else rows
            self._db.executemany(f"INSERT INTO {table} VALUES ({marks})", all_rows)  # noqa: S608  # our own table names
            self._db.executemany(
                "INSERT INTO information_schema.columns VALUES ('wordpress', ?, ?, ?, ?, ?)",
                [(table, name, types[n], "PRI" if n == 0 else "", n) for n, name in enumerate(columns)],
            )

    def _derived(self) -> list[list[Any]]:
        stored, all_options = {row[1] for row in self._rows["wp_options"]}, options(self._install)
        names = [*DERIVED, "blog_public"]
        return [[n, name, all_options[name], "yes"] for n, name in enumerate(names, 1) if name not in stored]

    def run(self, text: str) -> str:
        """Return what the client prints in batch mode without column names. Raise `sqlite3.Error`."""
        printed: list[str] = []
        for statement in text.split(";\n"):
            if statement.startswith("SET "):
                continue
            cursor = self._db.execute(_translated(statement))
            if not statement.startswith("SELECT"):
                self._changed = cursor.rowcount
            printed += ["\t".join(map(_printed, row)) + "\n" for row in cursor.fetchall()]
        return "".join(printed)

    def store(self) -> None:
        """Keep what was changed in the install's document."""
        for table in self._rows:
            found = self._db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608  # our own table names
            self._rows[table] = [list(row) for row in found if table != "wp_options" or row[1] not in DERIVED]


def _translated(statement: str) -> str:
    """Return a statement in SQLite's spelling."""
    plain = re.sub(r"_utf8mb4 (X'[0-9a-f]*')", r"CAST(\1 AS TEXT)", statement)
    return plain.replace("CONVERT(", "AS_TEXT(").replace(" USING utf8mb4)", ")").replace(" AS BINARY)", " AS BLOB)")


def _printed(value: Any) -> str:
    if value is None:
        return "NULL"
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _concat(*parts: Any) -> Any:
    if None in parts:
        return None
    joined = b"".join(map(_bytes, parts))
    return joined if any(isinstance(each, bytes) for each in parts) else joined.decode()


def _like(pattern: Any, value: Any) -> bool | None:
    """As MariaDB: `%`, `_`, and a backslash before either; upper and lower case are equal."""
    if pattern is None or value is None:
        return None
    signs = {"%": ".*", "_": "."}
    parts = re.findall(r"\\?.", str(pattern), re.DOTALL)
    expression = "".join(signs.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(expression, str(value), re.DOTALL | re.IGNORECASE) is not None


def _regexp_substr(value: Any, pattern: str) -> str | None:
    if value is None:
        return None
    found = re.search(pattern, str(value), re.IGNORECASE)
    return found[0] if found else ""


FUNCTIONS: tuple[tuple[str, int, Callable[..., Any]], ...] = (
    ("AS_TEXT", 1, lambda value: value),
    ("CHAR_LENGTH", 1, lambda value: None if value is None else len(str(value))),
    ("CONCAT", -1, _concat),
    ("CONV", 3, lambda digits, base, _: str(int(str(digits), int(base)))),
    ("DATABASE", 0, lambda: "wordpress"),
    ("ELT", -1, lambda number, *texts: texts[int(number) - 1] if 0 < int(number) <= len(texts) else None),
    ("LIKE", 2, _like),
    ("MOD", 2, lambda number, by: int(number) % int(by)),
    ("REGEXP", 2, lambda pattern, value: None if value is None else re.search(pattern, str(value)) is not None),
    ("REGEXP_SUBSTR", 2, _regexp_substr),
    ("SHA2", 2, lambda value, _: None if value is None else hashlib.sha256(_bytes(value)).hexdigest()),
    ("UNHEX", 1, lambda digits: None if digits is None else bytes.fromhex(str(digits))),
)
