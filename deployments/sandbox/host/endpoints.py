"""The endpoints of the hosting API in the emulator, with the refusals of the real ones."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deployments.sandbox.host import simulated_work
from deployments.sandbox.host.document_store import add_install, fixed_id, new_id
from deployments.sandbox.host.http_messages import Request, Response
from deployments.sandbox.host.replies import ACCEPTED, CHECKED, body_of, error, is_uuid, page, refuse_body, reply

if TYPE_CHECKING:
    from deployments.sandbox.host.host_state import Estate

Document = dict[str, Any]
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
PURGE_INTERVAL = 60.0  # the host's seconds between two object purges of one install
REPORT_INTERVAL = 5.0  # the same, between two domain reports
NAME = re.compile(r"^[a-z][a-z0-9]{2,13}$")


def answer(estate: "Estate", request: "Request") -> "Response":
    """Answer a request; an unknown route is answered as by the real gateway."""
    for method, pattern, handler in ROUTES:
        match = re.fullmatch(pattern, request.path)
        if match and method == request.method:
            return handler(estate, request, match.groupdict())
    return error(403, "Missing Authentication Token")


def _visible(estate: "Estate", install: Document) -> Document:
    """Return an install as the API shows it, with its faults."""
    hidden = {
        "database", "files", "measured", "measure_at", "purged_at", "object_purged_at", "cached", "reads", "reports", "checked_at",
    }  # fmt: skip
    shown = {key: value for key, value in install.items() if key not in hidden}
    shown["_links"] = {}  # a field that no client knows
    name = install["name"]
    reads = install["reads"]
    for fault in [f for f in estate.faults if f.install in ("", name)]:
        late = reads > int(fault.options.get("after", 1))
        if fault.name == "renamed-between" and late:
            shown["name"] = f"{name[:11]}old"
        elif fault.name == "relabelled-production" and late:
            shown["environment"] = "production"
        elif fault.name == "primary-domain-moved" and late:
            shown["primary_domain"] = f"moved.{install['primary_domain']}"
        elif fault.name == "unknown-enum":
            shown["environment"] = "qa"
    return shown


def _installs(estate: "Estate", request: "Request", _: Document) -> "Response":
    rows = [_visible(estate, install) for install in estate.store.all("installs")]
    for row in rows:
        row.pop("wp_version", None)  # lists leave it out
    return _of_account(estate, request, rows)


def _of_account(estate: "Estate", request: "Request", rows: list[Document]) -> "Response":
    """Return a page of the rows of the account in the query, or of all accounts."""
    account = request.query.get("account_id")
    if account is not None and not is_uuid(account):
        return error(400, "account_id must be a uuid", field="account_id")
    return page(estate, request, [row for row in rows if account in (None, row["account"]["id"])])


def _sites(estate: "Estate", request: "Request", _: Document) -> "Response":
    installs = estate.store.all("installs")
    rows = []
    for site in estate.store.all("sites"):
        own = [
            {"id": i["id"], "name": i["name"], "environment": i["environment"]}
            for i in installs
            if i["site"]["id"] == site["id"]
        ]
        rows.append({**site, "installs": own, "tags": []})
    return _of_account(estate, request, rows)


def _install(estate: "Estate", request: "Request", path: Document) -> "Response":
    found = estate.store.get("installs", path["install"])
    found = found or next((i for i in estate.store.all("installs") if i["name"] == path["install"]), None)
    if found is None:
        return error(404, "Not Found")
    found["reads"] += found["status"] == "active"  # so that `after` does not depend on how often a creation is polled
    estate.store.put("installs", found)
    return reply(200, _visible(estate, found))


def _create_install(estate: "Estate", request: "Request", _: Document) -> "Response":
    fields = {"name": "text", "account_id": "uuid", "site_id": "uuid", "environment": "text"}
    refused = refuse_body(request, fields, tuple(fields))  # an account with sites needs all of them
    if refused is not None:
        return refused
    body = body_of(request)
    site = estate.store.get("sites", str(body["site_id"]))
    if site is None or site["account"]["id"] != body["account_id"]:
        return error(403, "You don't have permission to perform that action")
    if not NAME.match(str(body["name"])):
        return error(400, "name must be 3 to 14 lowercase letters and digits, a letter first", field="name")
    if estate.store.get("installs", fixed_id(str(body["name"]))):
        return error(400, "name is taken", field="name", kind="value_unavailable")
    if body["environment"] not in ("production", "staging", "development"):
        return error(400, "environment is invalid", field="environment")
    made = add_install(
        estate.store, str(body["name"]), site["id"], str(body["environment"]), None,
        posts=1, files="0.0.1", now=estate.store.clock(), status="pending",
    )  # fmt: skip
    simulated_work.start(estate, "activate", simulated_work.PROVISION, install=made["id"])
    return reply(201, _visible(estate, made))


def _copy(estate: "Estate", request: "Request", _: Document) -> "Response":
    ids = ("source_environment_id", "destination_environment_id")
    refused = refuse_body(
        request, {**dict.fromkeys(ids, "uuid"), "notification_emails": "emails", "custom_options": "object"}, ids
    )
    if refused is not None:
        return refused
    body, sides = body_of(request), []
    for key in ids:
        found = estate.store.get("installs", str(body[key]))
        if found is None:
            return error(404, "Not Found")
        sides.append(found)
    given = body.get("custom_options") or {}
    for key, kind in (("include_files", "bool"), ("include_db", "bool"), ("db_tables", "texts")):
        fits, words = CHECKED[kind]
        if given.get(key) is not None and not fits(given[key]):
            return error(400, f"{key} {words}", field=key)
    options = {"include_files": True, "include_db": True, **{k: v for k, v in given.items() if v is not None}}
    if options.get("db_tables") is not None and not options["include_db"]:
        return error(400, "db_tables is not allowed when include_db is false", field="db_tables")
    source, destination = sides
    if source["account"] != destination["account"]:
        return error(403, "You don't have permission to perform that action")
    if source["id"] == destination["id"]:
        return error(400, "source and destination must differ", field="destination_environment_id")
    simulated_work.begin_copy(estate, source, destination, options)
    return reply(ACCEPTED, empty=True)


def _shown_backup(estate: "Estate", backup: Document) -> Document:
    shown = {key: value for key, value in backup.items() if key not in ("install_id", "content")}
    if shown["status"] not in ("completed", "aborted") and any(f.name == "unknown-enum" for f in estate.faults):
        shown["status"] = "archiving"
    return shown


def _backups(estate: "Estate", request: "Request", path: Document, install: Document) -> "Response":
    if estate.fault("no-list-endpoint", install["name"]):
        return error(404, "Not Found")
    own = [_shown_backup(estate, b) for b in estate.store.all("backups") if b["install_id"] == install["id"]]
    return page(estate, request, own[::-1])


def _backup(estate: "Estate", request: "Request", path: Document) -> "Response":
    backup = estate.store.get("backups", path["backup"])
    install = estate.store.get("installs", path["install"])
    if backup is None or install is None or backup["install_id"] != install["id"]:
        return error(404, "Not Found")
    if estate.fault("backup-vanishes", install["name"]):
        return error(404, "Not Found")
    return reply(200, _shown_backup(estate, backup))


def _request_backup(estate: "Estate", request: "Request", path: Document, install: Document) -> "Response":
    fields = {"description": "text", "notification_emails": "emails"}
    refused = refuse_body(request, fields, tuple(fields))
    if refused is not None:
        return refused
    made = simulated_work.begin_backup(estate, install, str(body_of(request)["description"]))
    return reply(ACCEPTED, _shown_backup(estate, made))


def _restore(estate: "Estate", request: "Request", path: Document) -> "Response":
    install, backup = estate.store.get("installs", path["install"]), estate.store.get("backups", path["backup"])
    if install is None or backup is None or backup["install_id"] != install["id"]:
        return error(404, "Not Found")
    if estate.fault("no-restore-endpoint", install["name"]):
        return error(403, "Missing Authentication Token")
    fields = {"notification_emails": "emails", "restore_database": "bool", "create_checkpoint": "bool"}
    refused = refuse_body(request, fields, ("notification_emails",))
    if refused is not None:
        return refused
    body = body_of(request)
    if backup["status"] != "completed":
        return error(400, "backup is not completed", field="backup_id")
    simulated_work.begin_restore(estate, install, backup, {"restore_database": body.get("restore_database", True)})
    return reply(ACCEPTED, empty=True)


def _purge(estate: "Estate", request: "Request", path: Document, install: Document) -> "Response":
    """Purge caches: at most one object purge a minute for each install."""
    refused = refuse_body(request, {"type": "text"}, ("type",))
    if refused is not None:
        return refused
    kind = body_of(request)["type"]
    if kind not in ("object", "page", "cdn", "all"):
        return error(400, "type must be one of object, page, cdn, all", field="type")
    now, last = estate.store.clock(), install["object_purged_at"]
    if kind in ("object", "all"):
        if last is not None and now - last < PURGE_INTERVAL * estate.scale:
            limit = "Object cache purges are rate-limited to one request every 60 seconds for each install"
            return reply(429, {"message": limit})
        install["object_purged_at"] = now
    if kind != "object" and not estate.fault("stale-cache", install["name"]):
        install["cached"] = {}
    estate.store.put("installs", install)
    return reply(ACCEPTED, empty=True)


def _domains(estate: "Estate", request: "Request", path: Document, install: Document) -> "Response":
    own = [d for d in estate.store.all("domains") if d["install_id"] == install["id"]]
    shown = [{k: v for k, v in d.items() if k != "install_id"} for d in own]
    if estate.fault("certificate-expired", install["name"]):
        for domain in shown:
            domain["network_details"] = {"network_info": {"status": "ACTIVE", "ssl": {"status": "expired"}}}
    return page(estate, request, shown)


def _check_status(estate: "Estate", request: "Request", path: Document, install: Document) -> "Response":
    """Start a domain report: at most one every five seconds for each install."""
    domain = estate.store.get("domains", path["domain"])
    if domain is None or domain["install_id"] != install["id"]:
        return error(404, "Not Found")
    now, last = estate.store.clock(), install.get("checked_at")
    if last is not None and now - last < REPORT_INTERVAL * estate.scale:
        limit = "Domain status checks are rate-limited to one request every 5 seconds for each install"
        return reply(429, {"message": limit})
    report_id = new_id()
    estate.store.put("installs", {**install, "checked_at": now, "reports": [*install.get("reports", []), report_id]})
    return reply(ACCEPTED, {"report_id": report_id})


def _report(estate: "Estate", request: "Request", path: Document, install: Document) -> "Response":
    if path["report"] not in install.get("reports", []):
        return error(404, "Not Found")
    own = [d["name"] for d in estate.store.all("domains") if d["install_id"] == install["id"]]
    rows = [
        {"name": name, "complete": True, "result": "ok", "cname": install["cname"], "ssl": {"status": "active"}}
        for name in own
    ]
    return reply(
        200, {"report": {"complete": True, "id": path["report"], "install_name": install["name"], "domains": rows}}
    )


def _certificates(estate: "Estate", request: "Request", path: Document, install: Document) -> "Response":
    """Answer with the certificates, or with the host's 404 if there are no certificates."""
    expired = any(f.name == "certificate-expired" and f.install in ("", install["name"]) for f in estate.faults)
    if install["environment"] != "production" and not expired:
        return error(404, f"No SSL certs found for environment '{install['name']}'")
    days = -3 if expired else 80
    row = {
        "id": 7, "common_name": install["primary_domain"], "domains": [install["primary_domain"]], "auto_renew": True,
        "cert_source": "LETS_ENCRYPT", "status": "EXPIRED" if expired else "ENABLED",
        "expires_time": estate.store.stamp(estate.store.clock() + days * 86400),
    }  # fmt: skip
    return reply(200, {"certificates": [row]})


def _usage(estate: "Estate", request: "Request", path: Document, install: Document) -> "Response":
    dates = [request.query.get(name) for name in ("first_date", "last_date")]
    if any(dates) and not all(date and DATE.fullmatch(date) for date in dates):
        return reply(
            400, {"message": "first_date and last_date must both be dates like 2026-11-26, or both be left out"}
        )
    day = {"date": estate.store.stamp()[:10], "visit_count": "12", **install["measured"]}
    expected = estate.store.stamp(install["measure_at"]) if install["measure_at"] else None
    return reply(200, {"install_name": install["name"], "metrics": [day], "storage_refresh_expected_time": expected})


def _refresh_usage(estate: "Estate", request: "Request", path: Document, install: Document) -> "Response":
    """Start a measurement of the storage."""
    if install["measure_at"] is None:  # several requests are merged into one measurement
        install["measure_at"] = estate.store.clock() + simulated_work.MEASURE * estate.scale
        estate.store.put("installs", install)
        simulated_work.start(estate, "measure", simulated_work.MEASURE, install=install["id"])
    return reply(200, None)


def _accounts(estate: "Estate", request: "Request", _: Document) -> "Response":
    return page(estate, request, estate.store.all("accounts"))


def _account_users(estate: "Estate", request: "Request", path: Document) -> "Response":
    """Return all users without pages. The gateway answers 500 instead of a 404, which this operation does not declare."""
    account = path["account"]
    if not is_uuid(account):
        return error(400, "account_id must be a uuid", field="account_id")
    if estate.store.get("accounts", account) is None:
        return error(500, "An unexpected error occurred, please try again in a few minutes")
    own = [user for user in estate.store.all("users") if user["account_id"] == account and not user["gone"]]
    shown = [{key: value for key, value in user.items() if key not in ("id", "gone")} for user in own]
    return reply(200, {"results": shown})


def _status(estate: "Estate", request: "Request", _: Document) -> "Response":
    return reply(200, {"success": True, "created_on": estate.store.stamp()})


Handler = Callable[["Estate", "Request", Document], "Response"]


def _for_install(handler: "Callable[[Estate, Request, Document, Document], Response]") -> Handler:
    """Return a handler that looks up the install by its UUID, and answers 404 if it does not exist."""

    def answer(estate: "Estate", request: "Request", path: Document) -> "Response":
        install = estate.store.get("installs", path["install"])
        return error(404, "Not Found") if install is None else handler(estate, request, path, install)

    return answer


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/v1/status", _status),
    ("GET", "/v1/accounts", _accounts),
    ("GET", "/v1/accounts/(?P<account>[^/]+)/account_users", _account_users),
    ("GET", "/v1/sites", _sites),
    ("GET", "/v1/installs", _installs),
    ("POST", "/v1/installs", _create_install),
    ("POST", "/v1/install_copy", _copy),
    ("GET", "/v1/installs/(?P<install>[^/]+)", _install),
    ("GET", "/v1/installs/(?P<install>[^/]+)/backups", _for_install(_backups)),
    ("POST", "/v1/installs/(?P<install>[^/]+)/backups", _for_install(_request_backup)),
    ("GET", "/v1/installs/(?P<install>[^/]+)/backups/(?P<backup>[^/]+)", _backup),
    ("POST", "/v1/installs/(?P<install>[^/]+)/backups/(?P<backup>[^/]+)/restore", _restore),
    ("POST", "/v1/installs/(?P<install>[^/]+)/purge_cache", _for_install(_purge)),
    ("GET", "/v1/installs/(?P<install>[^/]+)/domains", _for_install(_domains)),
    ("POST", "/v1/installs/(?P<install>[^/]+)/domains/(?P<domain>[^/]+)/check_status", _for_install(_check_status)),
    ("GET", "/v1/installs/(?P<install>[^/]+)/domains/check_status/(?P<report>[^/]+)", _for_install(_report)),
    ("GET", "/v1/installs/(?P<install>[^/]+)/ssl_certificates", _for_install(_certificates)),
    ("GET", "/v1/installs/(?P<install>[^/]+)/usage", _for_install(_usage)),
    ("POST", "/v1/installs/(?P<install>[^/]+)/usage/refresh_disk_usage", _for_install(_refresh_usage)),
]
