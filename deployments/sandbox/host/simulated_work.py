"""Simulated work: backups, copies, restores, provisioning and measurements that take the host's time, scaled.

Work is advanced lazily at each request: whatever should have happened by now happens, in order of time.
"""

import json
import re
from typing import TYPE_CHECKING, Any

from deployments.sandbox.host.document_store import Store, measure, new_id
from deployments.sandbox.host.site_tables import replace_in_rows

if TYPE_CHECKING:
    from deployments.sandbox.host.host_state import Estate

Document = dict[str, Any]

# The host's own seconds.
BACKUP = 300.0
CHECKPOINT = 120.0
OVERWRITE = 960.0  # with both checkpoints a copy lasts 1,200 s
PROVISION = 240.0
MEASURE = 120.0

POST_TABLES = {"wp_posts": ("posts", "pages", "media"), "wp_comments": ("comments",)}


def start(estate: "Estate", kind: str, after: float, **facts: Any) -> None:
    """Plan one piece of work, `after` of the host's seconds from now."""
    job = {"id": new_id(), "kind": kind, "due": estate.store.clock() + after * estate.scale, "done": False, **facts}
    estate.store.put("jobs", job)


def advance(estate: "Estate") -> None:
    """Do everything that is due, oldest first. Work may plan further work, which may be due as well."""
    while True:
        now = estate.store.clock()
        due = [job for job in estate.store.all("jobs") if not job["done"] and job["due"] <= now]
        if not due:
            return
        job = min(due, key=lambda j: j["due"])
        estate.store.put("jobs", {**job, "done": True})
        DOING[job["kind"]](estate, job)


def begin_backup(
    estate: "Estate", install: Document, description: str, *, seconds: float = BACKUP, due: float | None = None
) -> Document:
    """A backup that holds the install's content as it is at its end."""
    started = estate.store.clock() if due is None else due
    backup = estate.store.put(
        "backups",
        {
            "id": new_id(), "install_id": install["id"], "status": "requested", "description": description,
            "create_time": estate.store.stamp(started), "complete_time": None, "wordpress_version": install["wp_version"],
            "content": None,
        },
    )  # fmt: skip
    job = {
        "id": new_id(),
        "kind": "backup",
        "due": started + seconds * estate.scale,
        "done": False,
        "backup": backup["id"],
    }
    estate.store.put("jobs", job)
    return backup


def _end_backup(estate: "Estate", job: Document) -> None:
    backup = estate.store.get("backups", job["backup"]) or {}
    install = estate.store.get("installs", backup["install_id"]) or {}
    ours = not str(backup["description"]).startswith("Checkpoint")
    if ours and estate.fault("backup-never-ends", install["name"]):
        backup["status"] = "in_progress"
    elif ours and estate.fault("backup-aborted", install["name"]):
        backup["status"] = "aborted"
    else:
        content = {"database": install["database"], "files": install["files"]}
        backup |= {"status": "completed", "complete_time": estate.store.stamp(job["due"]), "content": content}
    estate.store.put("backups", backup)


def begin_copy(estate: "Estate", source: Document, destination: Document, options: Document) -> None:
    """Checkpoint, overwrite, checkpoint."""
    _begin(estate, "copy", destination, {"source": source["id"], "options": options})


def begin_restore(estate: "Estate", destination: Document, backup: Document, options: Document) -> None:
    """Checkpoint, put the backup back, checkpoint."""
    _begin(estate, "restore", destination, {"backup": backup["id"], "options": options})


def _begin(estate: "Estate", kind: str, destination: Document, facts: Document) -> None:
    name = destination["name"]
    if estate.fault("copy-silence", name):
        return
    if not estate.fault("checkpoints-absent", name):
        begin_backup(estate, destination, f"Checkpoint before {kind}", seconds=CHECKPOINT)
        facts["checkpoint"] = True
    if estate.fault("copy-never-lands", name):
        return
    start(estate, kind, CHECKPOINT + OVERWRITE, destination=destination["id"], **facts)


def _land_copy(estate: "Estate", job: Document) -> None:
    store = estate.store
    source, destination = store.get("installs", job["source"]) or {}, store.get("installs", job["destination"]) or {}
    options, name = job["options"], destination["name"]
    if options["include_db"]:
        tables = options.get("db_tables")
        _copy_database(source, destination, tables, leak=estate.fault("urls-leak", name) is not None)
    if options["include_files"] and not estate.fault("copy-half-landed", name):
        destination["files"] = {**source["files"], "copied": True}
    store.put("installs", destination)
    _closing(estate, job, destination, "copy")


def _copy_database(source: Document, destination: Document, tables: list[str] | None, *, leak: bool) -> None:
    """Replace the database or the listed tables; the home URL becomes the destination's own, unless it leaks."""
    content: Document = json.loads(json.dumps(source["database"]))
    home = content["home"] if leak else destination["primary_domain"]
    rows: Document = content.get("rows", {})
    if not leak:  # the portal replaces the primary domain after two slashes, also in serialised values
        here = re.compile(re.escape(f"//{source['primary_domain']}"), re.IGNORECASE)
        replace_in_rows(rows, lambda text: here.sub(f"//{destination['primary_domain']}", text), [*rows], ["guid"])
    if tables is None:
        destination["database"] = content | {"home": home}
        return
    for table in tables:
        if table in rows:
            destination["database"].setdefault("rows", {})[table] = rows[table]
        for kind in POST_TABLES.get(table, ()):
            destination["database"][kind] = content[kind]
        if table == "wp_options":
            live = content.get("live", [])  # WordPress lists its active plugins among its options
            destination["database"] |= {"title": content["title"], "home": home, "live": live}


def _land_restore(estate: "Estate", job: Document) -> None:
    store = estate.store
    backup, destination = store.get("backups", job["backup"]) or {}, store.get("installs", job["destination"]) or {}
    content = backup["content"]
    destination["files"] = content["files"]
    if job["options"]["restore_database"]:
        destination["database"] = content["database"]
    store.put("installs", destination)
    _closing(estate, job, destination, "restore")


def _closing(estate: "Estate", job: Document, destination: Document, kind: str) -> None:
    if job.get("checkpoint"):
        begin_backup(estate, destination, f"Checkpoint after {kind}", seconds=CHECKPOINT, due=job["due"])


def _activate(estate: "Estate", job: Document) -> None:
    install = estate.store.get("installs", job["install"]) or {}
    if not estate.fault("install-pending-forever", install["name"]):
        estate.store.put("installs", {**install, "status": "active"})


def _measure(estate: "Estate", job: Document) -> None:
    store: Store = estate.store
    install = store.get("installs", job["install"]) or {}
    if not estate.fault("usage-frozen", install["name"]):
        install["measured"] = measure(install, store.stamp(job["due"]))
    install["measure_at"] = None
    store.put("installs", install)


DOING = {
    "backup": _end_backup,
    "copy": _land_copy,
    "restore": _land_restore,
    "activate": _activate,
    "measure": _measure,
}
