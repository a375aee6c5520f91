"""The emulated estate's state: plain documents in SQLite, so that it survives a restart, and simulated work in progress."""

import json
import sqlite3
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from deployments.sandbox.host.site_tables import empty_tables, shop_tables

Document = dict[str, Any]
SHOP = "schulprod"  # the install with a shop and planted people
TABLES = ("accounts", "users", "sites", "installs", "domains", "backups", "jobs", "journal", "keys", "outbox")


class Store:
    """Documents by kind and id. One lock serialises everything: the emulator is small, and order must be certain."""

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for table in TABLES:
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table} (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body TEXT)")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def all(self, table: str) -> list[Document]:
        """Every document of a kind, oldest first."""
        return [json.loads(row[0]) for row in self._db.execute(f"SELECT body FROM {table} ORDER BY seq")]  # noqa: S608  # our own table names

    def get(self, table: str, id: str) -> Document | None:
        """One document, or None."""
        row = self._db.execute(f"SELECT body FROM {table} WHERE id = ?", (id,)).fetchone()  # noqa: S608  # our own table names
        return json.loads(row[0]) if row else None

    def put(self, table: str, document: Document) -> Document:
        """Insert or replace a document by its id."""
        body = json.dumps(document)
        self._db.execute(
            f"INSERT INTO {table} (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",  # noqa: S608  # our own table names
            (document["id"], body),
        )
        return document

    def clear(self) -> None:
        """Forget everything."""
        for table in TABLES:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608  # our own table names

    def stamp(self, moment: float | None = None) -> str:
        """A moment of the simulated clock as RFC 3339, UTC."""
        return (
            datetime.fromtimestamp(self.clock() if moment is None else moment, UTC).isoformat().replace("+00:00", "Z")
        )


def new_id() -> str:
    """A fresh UUID."""
    return str(uuid.uuid4())


def fixed_id(name: str) -> str:
    """The UUID that this name always gets."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.understudy.example"))


def seed(store: Store) -> None:
    """Two accounts, three sites, six installs; production has newer posts than staging."""
    now = store.clock()
    for name in ("Understudy Demo", "Somebody Else"):
        store.put("accounts", {"id": fixed_id(name), "name": name, "nickname": name})
        for email in ("demo@schulfest.example", "second@schulfest.example"):  # the sandbox's two leads
            add_user(store, email, fixed_id(name))
    for name, account in (("Schulfest", "Understudy Demo"), ("Verein", "Understudy Demo"), ("Fremd", "Somebody Else")):
        store.put("sites", {"id": fixed_id(name), "name": name, "account": {"id": fixed_id(account)}})
    installs = (
        ("schulprod", "Schulfest", "production", "www.schulfest.example", 12, "5.2.0"),
        ("schulstage", "Schulfest", "staging", None, 7, "5.2.0"),
        ("schuldev", "Schulfest", "development", None, 3, "5.0.0"),
        ("vereinprod", "Verein", "production", "www.verein.example", 9, "2.4.0"),
        ("vereinstage", "Verein", "staging", None, 9, "2.3.0"),
        ("fremdstage", "Fremd", "staging", None, 1, "1.0.0"),
    )
    for name, site, environment, domain, posts, files in installs:
        add_install(store, name, fixed_id(site), environment, domain, posts=posts, files=files, now=now)


def add_user(store: Store, email: str, account_id: str) -> Document:
    """Put one user of an account, who accepted the invitation and logs in with two factors."""
    user_id = fixed_id(f"{email} {account_id}")
    first, _, _ = email.partition("@")
    return store.put(
        "users",
        {
            "id": user_id, "user_id": user_id, "account_id": account_id, "first_name": first.title(), "last_name": "Lead",
            "email": email, "phone": None, "invite_accepted": True, "mfa_enabled": True, "roles": "full", "gone": False,
        },
    )  # fmt: skip


def add_install(
    store: Store,
    name: str,
    site_id: str,
    environment: str,
    domain: str | None,
    *,
    posts: int,
    files: str,
    now: float,
    status: str = "active",
) -> Document:
    """Put one install with its domains and content."""
    site = store.get("sites", site_id) or {}
    primary = domain or f"{name}.wpengine.example"
    rows = shop_tables(primary) if name == SHOP else empty_tables(shop=False)
    install = store.put(
        "installs",
        {
            "id": fixed_id(name), "name": name, "account": site.get("account"), "site": {"id": site_id},
            "environment": environment, "status": status, "primary_domain": primary, "cname": f"{name}.wpengine.example",
            "php_version": "8.3", "wp_version": "6.9", "is_multisite": False, "stable_ips": None, "created_at": store.stamp(now),
            "database": {**database(site.get("name", name), primary, posts, now), "rows": rows},
            "files": {"version": files, "bytes": 40_000_000 + 1_000_000 * int(files.replace(".", ""))},
            "measured": None, "measure_at": None, "purged_at": 0.0, "object_purged_at": None, "cached": {}, "reads": 0,
        },
    )  # fmt: skip
    install["measured"] = measure(install, store.stamp(now - 3600))
    store.put("installs", install)
    for host in dict.fromkeys((primary, f"{name}.wpengine.example")):
        add_domain(store, install, host, primary=host == primary)
    return install


def add_domain(store: Store, install: Document, host: str, *, primary: bool) -> Document:
    """Put one verified domain of an install."""
    return store.put(
        "domains",
        {
            "id": fixed_id(host), "install_id": install["id"], "name": host, "primary": primary, "duplicate": False,
            "secure_all_urls": True, "network_type": "AN", "redirects_to": [], "ownership_status": "TXT_VERIFIED",
            "network_details": {"network_info": {"status": "ACTIVE", "ssl": {"status": "active"}}},
        },
    )  # fmt: skip


def database(title: str, home: str, posts: int, now: float) -> Document:
    """The content of a fresh database: posts a day apart, the newest `20 - posts` days old."""
    items = [{"id": n, "title": f"Post {n}", "modified": now - 86400 * (20 - n) - 3600} for n in range(1, posts + 1)]
    return {
        "title": title,
        "home": home,
        "born": home,  # under which posts were first published: what their guid keeps, wherever they are copied
        "posts": items,
        "pages": items[:2],
        "media": items[:3],
        "comments": items[:1],
        "tables": 12,
    }


def measure(install: Document, stamp: str) -> Document:
    """Storage figures of an install's present content. int64 values are strings, as the host writes them."""
    content = install["database"]
    size = 2_000_000 + 150_000 * sum(len(content[kind]) for kind in ("posts", "pages", "media", "comments"))
    return {
        "storage_file_bytes": str(install["files"]["bytes"]), "storage_database_bytes": str(size),
        "database_tables_count": str(content["tables"]), "storage_update_time": stamp,
    }  # fmt: skip
