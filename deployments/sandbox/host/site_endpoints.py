"""Endpoints about one install's surroundings: caches, domains, certificates and usage."""

import re
from typing import TYPE_CHECKING, Any

from deployments.sandbox.host import jobs
from deployments.sandbox.host.replies import ACCEPTED, body_of, error, find, page, refuse_body, reply
from deployments.sandbox.host.store import new_id
from deployments.sandbox.host.wire import Request, Response

if TYPE_CHECKING:
    from deployments.sandbox.host.estate import Estate

Document = dict[str, Any]
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
PURGE_INTERVAL = 60.0  # the host's seconds between two object purges of one install
REPORT_INTERVAL = 5.0  # the same, between two domain reports


def purge(estate: "Estate", request: "Request", path: Document) -> "Response":
    """Purge caches; one object purge (or all) a minute for each install."""
    install = find(estate, path["install"])
    if not isinstance(install, dict):
        return install
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


def domains(estate: "Estate", request: "Request", path: Document) -> "Response":
    """The install's domains."""
    install = find(estate, path["install"])
    if not isinstance(install, dict):
        return install
    own = [d for d in estate.store.all("domains") if d["install_id"] == install["id"]]
    shown = [{k: v for k, v in d.items() if k != "install_id"} for d in own]
    if estate.fault("certificate-expired", install["name"]):
        for domain in shown:
            domain["network_details"] = {"network_info": {"status": "ACTIVE", "ssl": {"status": "expired"}}}
    return page(estate, request, shown)


def check_status(estate: "Estate", request: "Request", path: Document) -> "Response":
    """Ask for a domain report; one every five seconds."""
    install = find(estate, path["install"])
    if not isinstance(install, dict):
        return install
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


def report(estate: "Estate", request: "Request", path: Document) -> "Response":
    """A domain report, complete at once."""
    install = find(estate, path["install"])
    if not isinstance(install, dict):
        return install
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


def certificates(estate: "Estate", request: "Request", path: Document) -> "Response":
    """Certificates, or the host's 404 where there are none."""
    install = find(estate, path["install"])
    if not isinstance(install, dict):
        return install
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


def usage(estate: "Estate", request: "Request", path: Document) -> "Response":
    """Visits, and the storage as last measured."""
    install = find(estate, path["install"])
    if not isinstance(install, dict):
        return install
    dates = [request.query.get(name) for name in ("first_date", "last_date")]
    if any(dates) and not all(date and DATE.fullmatch(date) for date in dates):
        return reply(
            400, {"message": "first_date and last_date must both be dates like 2026-11-26, or both be left out"}
        )
    day = {"date": estate.store.stamp()[:10], "visit_count": "12", **install["measured"]}
    expected = estate.store.stamp(install["measure_at"]) if install["measure_at"] else None
    return reply(200, {"install_name": install["name"], "metrics": [day], "storage_refresh_expected_time": expected})


def refresh_usage(estate: "Estate", request: "Request", path: Document) -> "Response":
    """Measure the storage again, in the host's time."""
    install = find(estate, path["install"])
    if not isinstance(install, dict):
        return install
    if install["measure_at"] is None:  # several requests are merged into one measurement
        install["measure_at"] = estate.store.clock() + jobs.MEASURE * estate.scale
        estate.store.put("installs", install)
        jobs.start(estate, "measure", jobs.MEASURE, install=install["id"])
    return reply(200, None)
