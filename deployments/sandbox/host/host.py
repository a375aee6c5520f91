"""An emulator of the hosting API 1.17: `handle(request)` answers, as plain data. Imports nothing of ours.

It refuses what the real one refuses, takes (scaled) time where the real one takes time, and misbehaves on request by
name (faults.py). `python -m deployments.sandbox.host` runs it alone, so that others can test their own tools on it.
"""

import json
from dataclasses import replace
from typing import Any

from deployments.sandbox.host import endpoints, simulated_work, websites
from deployments.sandbox.host.document_store import new_id, seed
from deployments.sandbox.host.faults import AT_THE_DOOR, FAULTS, FILE_FAULTS, SSH_FAULTS, Fault
from deployments.sandbox.host.host_state import Estate
from deployments.sandbox.host.http_messages import Request, Response
from deployments.sandbox.host.replies import body_of, error, reply
from deployments.sandbox.host.site_activity import Hour

API_HOSTS = ("127.0.0.1", "localhost", "[::1]", "api.wpengineapi.example", "testserver")


class Host(Estate):
    """The emulated host: the hosting API, the websites, and the sandbox's own switchboard."""

    def publish(self, install: str, kind: str, title: str = "News") -> None:
        """Put newer content on an install: a post, page or comment, or (kind `files`) a newer theme version.

        The kinds `shop`, `members` and `forms` switch on a plugin that collects data of visitors, until a copy or restore
        of the database brings another list of plugins.
        """
        with self.store.lock:
            simulated_work.advance(self)
            document = self.named(install)
            if kind == "files":
                major, minor, patch = document["files"]["version"].split(".")
                document["files"] = {
                    "version": f"{major}.{int(minor) + 10}.{patch}",
                    "bytes": document["files"]["bytes"] + 50_000_000,
                }
            elif kind in websites.PLUGINS:
                document["database"]["live"] = sorted({*document["database"].get("live", ()), kind})
            else:
                items = document["database"][f"{kind}s"]
                items.append({"id": len(items) + 1000, "title": title, "modified": self.store.clock()})
            self.store.put("installs", document)

    def pass_hour(self, install: str) -> None:
        """Let a site do what it does by itself in an hour: cron, pending actions, webhooks."""
        with self.store.lock:
            simulated_work.advance(self)
            Hour(self, install).run()

    def outbox(self, install: str = "") -> list[dict[str, Any]]:
        """Return what left a site, or all sites: kind (mail, charge, webhook), install and to whom."""
        with self.store.lock:
            return [row for row in self.store.all("outbox") if install in ("", row["install"])]

    def tables(self) -> dict[str, dict[str, list[Any]]]:
        """Return the rows of every site's WordPress, by install and table."""
        with self.store.lock:
            return {each["name"]: each["database"].get("rows", {}) for each in self.store.all("installs")}

    def snapshot(self) -> dict[str, Any]:
        """What is where: by install name, files version, home, totals and newest change."""
        with self.store.lock:
            simulated_work.advance(self)
            return {"installs": {i["name"]: _summary(i) for i in self.store.all("installs")}}

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        with self.store.lock:
            simulated_work.advance(self)
            if request.host not in API_HOSTS:
                return websites.serve_site(self, request)
            if request.path.startswith("/_sandbox/"):
                return self._admin(request)
            return self._api(request)

    def _api(self, request: Request) -> Response:
        install = self._install_of(request)
        met = self._at_the_door(request, install)
        if met is not None and met.name in ("rate-limit-burst", "rate-limit-retry-after", "server-error-burst"):
            return self._journaled(request, install, _refusal(met), executed=False, fault=met.name)
        if request.path != "/v1/status" and request.headers.get("authorization") != self.login:
            answer = error(401, "Bad Credentials")
        else:
            answer = endpoints.answer(self, request)
        executed = request.method == "POST" and answer.status in (200, 201, 202)
        if met is not None:
            answer = _spoilt(answer, met, executed=executed)
        return self._journaled(request, install, answer, executed=executed, fault=met.name if met else "")

    def _install_of(self, request: Request) -> str:
        """The name of the install that a request is about: of the path, or the destination of a copy."""
        parts = request.path.split("/")
        wanted = parts[3] if len(parts) > 3 and parts[2] == "installs" else ""
        if request.path.endswith("/install_copy"):
            wanted = str(body_of(request).get("destination_environment_id", ""))
        document = self.store.get("installs", wanted)
        return str(document["name"]) if document else ""

    def _at_the_door(self, request: Request, install: str) -> Fault | None:
        for name in AT_THE_DOOR:
            met = self.fault(name, install, request.method, request.path)
            if met is not None:
                return met
        return None

    def _journaled(self, request: Request, install: str, answer: Response, *, executed: bool, fault: str) -> Response:
        row: dict[str, Any] = {
            "id": new_id(), "at": self.store.stamp(), "method": request.method, "path": request.path, "install": install,
            "status": 0 if answer.cut else answer.status, "executed": executed, "fault": fault,
        }  # fmt: skip
        self.store.put("journal", row)
        return replace(answer, headers={"x-amzn-requestid": row["id"], **answer.headers})

    def _admin(self, request: Request) -> Response:
        """The sandbox's own switchboard, outside the emulated API."""
        body, verb = body_of(request), (request.method, request.path.removeprefix("/_sandbox/"))
        try:
            if verb == ("GET", "estate"):
                return reply(200, self.snapshot())
            if verb == ("GET", "journal"):
                return reply(200, self.journal())
            if verb == ("GET", "tables"):
                return reply(200, self.tables())
            if verb == ("GET", "outbox"):
                return reply(200, self.outbox())
            if verb == ("GET", "faults"):
                return reply(
                    200, {"known": FAULTS | SSH_FAULTS | FILE_FAULTS, "on": [vars(fault) for fault in self.faults]}
                )
            if verb == ("POST", "faults"):
                self.switch_on(str(body.pop("name", "")), **body)
            elif verb == ("POST", "variants"):
                self.vary(**body)
            elif verb == ("DELETE", "faults"):
                self.switch_off_all()
            elif verb == ("POST", "publish"):
                self.publish(**body)
            elif verb == ("POST", "hour"):
                self.pass_hour(str(body.get("install", "")))
            elif verb == ("POST", "relabel"):
                self.relabel(**body)
            elif verb == ("POST", "users"):
                self.change_user(str(body.pop("email", "")), **body)
            elif verb == ("POST", "keys"):
                self.add_key(**body)
            elif verb == ("POST", "inside"):
                self.change_inside(str(body.pop("install", "")), **body)
            elif verb == ("POST", "reset"):
                self.faults.clear()
                self.store.clear()
                seed(self.store)
            else:
                return error(404, "Not Found")
        except (KeyError, TypeError) as wrong:
            return error(400, str(wrong))
        return reply(201, {"done": verb[1]})


def _summary(install: dict[str, Any]) -> dict[str, Any]:
    content = install["database"]
    kinds = ("posts", "pages", "media", "comments")
    return {
        "id": install["id"], "environment": install["environment"], "status": install["status"], "home": content["home"],
        "files_version": install["files"]["version"], "totals": {kind: len(content[kind]) for kind in kinds},
        "newest": max((item["modified"] for kind in kinds for item in content[kind]), default=None),
    }  # fmt: skip


def _refusal(met: Fault) -> Response:
    if met.name == "server-error-burst":
        return Response(503, {"content-type": "text/html"}, b"<html><body>Service Unavailable</body></html>")
    headers: dict[str, str] = {}
    if met.name == "rate-limit-retry-after":
        headers["retry-after"] = "1"
    return Response(429, headers, b"")


def _spoilt(answer: Response, met: Fault, *, executed: bool) -> Response:
    """The answer as a fault lets it out."""
    seconds = float(met.options.get("seconds", 1.0))
    if met.name == "reply-lost" and executed:
        return replace(answer, cut=True)
    if met.name == "reply-500-after-execution" and executed:
        return Response(
            500, {}, json.dumps({"message": "An unexpected error occurred, please try again in a few minutes"}).encode()
        )
    if met.name == "slow-reply":
        return replace(answer, delay=seconds)
    if met.name == "dripping-reply":
        return replace(answer, drip=seconds)
    if met.name == "malformed-json" and answer.status == 200:
        return replace(answer, body=answer.body[: len(answer.body) // 2])
    return answer
