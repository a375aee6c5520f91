"""The endpoints of the hosting API that the emulator has, with the refusals of the real ones."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deployments.sandbox.host import jobs, site_endpoints
from deployments.sandbox.host.replies import ACCEPTED, CHECKED, body_of, error, find, is_uuid, page, refuse_body, reply
from deployments.sandbox.host.store import add_install, fixed_id
from deployments.sandbox.host.wire import Request, Response

if TYPE_CHECKING:
    from deployments.sandbox.host.estate import Estate

Document = dict[str, Any]
NAME = re.compile(r"^[a-z][a-z0-9]{2,13}$")


def answer(estate: "Estate", request: "Request") -> "Response":
    """Find the route and answer; an unknown route reads as it does behind the real gateway."""
    for method, pattern, handler in ROUTES:
        match = re.fullmatch(pattern, request.path)
        if match and method == request.method:
            return handler(estate, request, match.groupdict())
    return error(403, "Missing Authentication Token")


def _visible(estate: "Estate", install: Document) -> Document:
    """An install as the API shows it, with what faults make of it."""
    hidden = (
        "database",
        "files",
        "measured",
        "measure_at",
        "purged_at",
        "object_purged_at",
        "cached",
        "reads",
        "reports",
        "checked_at",
    )
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
    """A page of the rows of the account that the query names, or of all."""
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
    found["reads"] += 1
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
    jobs.start(estate, "activate", jobs.PROVISION, install=made["id"])
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
    jobs.begin_copy(estate, source, destination, options)
    return reply(ACCEPTED, empty=True)


def _shown_backup(estate: "Estate", backup: Document) -> Document:
    shown = {key: value for key, value in backup.items() if key not in ("install_id", "content")}
    if shown["status"] not in ("completed", "aborted") and any(f.name == "unknown-enum" for f in estate.faults):
        shown["status"] = "archiving"
    return shown


def _backups(estate: "Estate", request: "Request", path: Document) -> "Response":
    install = find(estate, path["install"])
    if not isinstance(install, dict):
        return install
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


def _request_backup(estate: "Estate", request: "Request", path: Document) -> "Response":
    install = find(estate, path["install"])
    if not isinstance(install, dict):
        return install
    fields = {"description": "text", "notification_emails": "emails"}
    refused = refuse_body(request, fields, tuple(fields))
    if refused is not None:
        return refused
    made = jobs.begin_backup(estate, install, str(body_of(request)["description"]))
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
    jobs.begin_restore(estate, install, backup, {"restore_database": body.get("restore_database", True)})
    return reply(ACCEPTED, empty=True)


def _accounts(estate: "Estate", request: "Request", _: Document) -> "Response":
    return page(estate, request, estate.store.all("accounts"))


def _account_users(estate: "Estate", request: "Request", path: Document) -> "Response":
    """All users at once, without pages. The gateway turns the 404 that this operation does not declare into a 500."""
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


ROUTES: list[tuple[str, str, "Callable[[Estate, Request, Document], Response]"]] = [
    ("GET", "/v1/status", _status),
    ("GET", "/v1/accounts", _accounts),
    ("GET", "/v1/accounts/(?P<account>[^/]+)/account_users", _account_users),
    ("GET", "/v1/sites", _sites),
    ("GET", "/v1/installs", _installs),
    ("POST", "/v1/installs", _create_install),
    ("POST", "/v1/install_copy", _copy),
    ("GET", "/v1/installs/(?P<install>[^/]+)", _install),
    ("GET", "/v1/installs/(?P<install>[^/]+)/backups", _backups),
    ("POST", "/v1/installs/(?P<install>[^/]+)/backups", _request_backup),
    ("GET", "/v1/installs/(?P<install>[^/]+)/backups/(?P<backup>[^/]+)", _backup),
    ("POST", "/v1/installs/(?P<install>[^/]+)/backups/(?P<backup>[^/]+)/restore", _restore),
    ("POST", "/v1/installs/(?P<install>[^/]+)/purge_cache", site_endpoints.purge),
    ("GET", "/v1/installs/(?P<install>[^/]+)/domains", site_endpoints.domains),
    ("POST", "/v1/installs/(?P<install>[^/]+)/domains/(?P<domain>[^/]+)/check_status", site_endpoints.check_status),
    ("GET", "/v1/installs/(?P<install>[^/]+)/domains/check_status/(?P<report>[^/]+)", site_endpoints.report),
    ("GET", "/v1/installs/(?P<install>[^/]+)/ssl_certificates", site_endpoints.certificates),
    ("GET", "/v1/installs/(?P<install>[^/]+)/usage", site_endpoints.usage),
    ("POST", "/v1/installs/(?P<install>[^/]+)/usage/refresh_disk_usage", site_endpoints.refresh_usage),
]
