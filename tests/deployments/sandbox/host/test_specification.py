"""The emulator against the host's own specification: what it answers, what it refuses, and with which codes.

The file is the host's and not part of this project: UNDERSTUDY_OPENAPI names it. It is Swagger 2.0, which writes
`x-nullable` where JSON Schema has a type more.
"""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest

from deployments.sandbox.host.document_store import fixed_id
from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request, Response

FILE = os.environ.get("UNDERSTUDY_OPENAPI", "")
pytestmark = pytest.mark.skipif(not FILE, reason="UNDERSTUDY_OPENAPI names no specification")
SPEC: dict[str, Any] = json.loads(Path(FILE).read_text(encoding="utf-8")) if FILE else {"paths": {}, "definitions": {}}
LOGIN = {"authorization": "Basic " + base64.b64encode(b"demo:demo").decode(), "host": "testserver"}
INSTALL, DOMAIN = fixed_id("schulstage"), fixed_id("schulstage.wpengine.example")
ACCOUNT, SITE = fixed_id("Understudy Demo"), fixed_id("Schulfest")
COPY = {
    "source_environment_id": fixed_id("schulprod"),
    "destination_environment_id": INSTALL,
    "notification_emails": ["ops@schulfest.example"],
    "custom_options": {"include_files": True, "include_db": True, "db_tables": ["wp_posts"]},
}
BODIES: dict[tuple[str, str], Any] = {
    ("post", "/installs"): {
        "name": "schulneu", "account_id": ACCOUNT, "site_id": SITE, "environment": "staging",
    },
    ("post", "/install_copy"): COPY,
    ("post", "/installs/{install_id}/backups"): {"description": "manually", "notification_emails": ["a@b.example"]},
    ("post", "/installs/{install_id}/backups/{backup_id}/restore"): {
        "notification_emails": ["a@b.example"], "restore_database": False, "create_checkpoint": True,
    },
    ("post", "/installs/{install_id}/purge_cache"): {"type": "all"},
}  # fmt: skip
USED = [
    ("get", "/status"), ("get", "/accounts"), ("get", "/accounts/{account_id}/account_users"), ("get", "/sites"),
    ("get", "/installs"), ("get", "/installs/{install_id}"), ("get", "/installs/{install_id}/backups"),
    ("get", "/installs/{install_id}/backups/{backup_id}"), ("get", "/installs/{install_id}/domains"),
    ("post", "/installs/{install_id}/domains/{domain_id}/check_status"),
    ("get", "/installs/{install_id}/domains/check_status/{report_id}"),
    ("get", "/installs/{install_id}/ssl_certificates"), ("get", "/installs/{install_id}/usage"),
    ("post", "/installs/{install_id}/usage/refresh_disk_usage"), *BODIES,
]  # fmt: skip
UNDECLARED = ("/accounts/{account_id}/account_users", 500)  # the gateway's answer to a 404 that is not declared


class SpecifiedHost:
    """The emulator with one completed backup and one report, asked by the specification's own paths."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.host = Host(":memory:", clock=lambda: self.now, scale=1)
        self.ids = {"install_id": INSTALL, "account_id": ACCOUNT, "domain_id": DOMAIN}
        made = self.ask("post", "/installs/{install_id}/backups", BODIES["post", "/installs/{install_id}/backups"])
        asked = self.ask("post", "/installs/{install_id}/domains/{domain_id}/check_status")
        self.ids |= {"backup_id": json.loads(made.body)["id"], "report_id": json.loads(asked.body)["report_id"]}
        self.now += 3600

    def jobs(self) -> list[str]:
        """What the host has begun so far."""
        return [job["id"] for job in self.host.store.all("jobs")]

    def ask(
        self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None, **ids: str
    ) -> Response:
        """One request; `ids` instead of those that exist."""
        filled = path.format(**(self.ids | ids)) if "{" in path else path
        sent = b"" if body is None else json.dumps(body).encode()
        return self.host.handle(Request(method.upper(), "testserver", f"/v1{filled}", query or {}, LOGIN, sent))


@pytest.fixture
def host() -> Iterator[SpecifiedHost]:
    """A fresh host."""
    made = SpecifiedHost()
    yield made
    made.host.close()


def strict(schema: Any) -> Any:
    """The schema as JSON Schema: references kept, `x-nullable` written out. What is declared has to fit, more may be there."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if found.pop("x-nullable", False) and "type" in found:
        found["type"] = [found["type"], "null"]
    return found


def require_declared(method: str, path: str, answer: Response) -> None:
    """The status is one that the operation declares, and a success has the declared shape."""
    declared = SPEC["paths"][path][method]["responses"]
    assert str(answer.status) in declared or "default" in declared, f"{method} {path} answers {answer.status}"
    schema = declared.get(str(answer.status), {}).get("schema")
    if answer.status < 300 and schema is not None:
        whole = {**strict(schema), "definitions": strict(SPEC["definitions"])}
        jsonschema.validate(json.loads(answer.body), whole, format_checker=jsonschema.FormatChecker())
    elif answer.status in (201, 202):
        assert answer.body == b"", "the operation declares no body"


def wrong_bodies() -> Iterator[tuple[str, str, str, Any]]:
    """Every body with one required field missing, or one declared field of another type, format or word."""
    for method, path in BODIES:
        (schema,) = [
            p["schema"] for p in SPEC["paths"].get(path, {}).get(method, {}).get("parameters", ()) if "schema" in p
        ] or [{}]
        yield from ((method, path, what, body) for what, body in _broken(BODIES[method, path], schema))


def _broken(body: Any, schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in schema.get("required", ()):
        yield f"without {name}", {key: value for key, value in body.items() if key != name}
    for name, declared in schema.get("properties", {}).items():
        for what, value in _wrong(declared):
            yield f"{name} {what}", {**body, name: value}
        if declared.get("type") == "object" and name in body:
            for what, inner in _broken(body[name], declared):
                yield f"{name}.{what}", {**body, name: inner}


def _wrong(declared: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "is a number", 7
    if declared.get("type") != "object":
        yield "is an object", {"a": 1}
    if declared.get("type") != "boolean":
        yield "is a boolean", True
    if declared.get("type") == "array":
        yield "is one text", "wp_posts"
        yield "holds numbers", [1, 2]
    if declared.get("type") == "boolean":
        yield "is a word", "true"
    if declared.get("format") == "uuid":
        yield "is no uuid", "schulprod"
    if "enum" in declared:
        yield "is no such word", "something"


@pytest.mark.parametrize(("method", "path"), USED, ids=lambda value: value)
def test_every_endpoint_answers_as_declared(host: SpecifiedHost, method: str, path: str) -> None:
    """A valid request gets a declared success in the declared shape."""
    answer = host.ask(method, path, BODIES.get((method, path)))
    require_declared(method, path, answer)
    expected = 404 if path.endswith("/ssl_certificates") else 299  # staging has none: that is what the host answers
    assert answer.status <= expected, answer.body


def test_certificates_have_the_declared_shape(host: SpecifiedHost) -> None:
    """Production has one certificate, expired or not."""
    for fault in ("", "certificate-expired"):
        if fault:
            host.host.switch_on(fault)
        answer = host.ask("get", "/installs/{install_id}/ssl_certificates", install_id=fixed_id("schulprod"))
        assert answer.status == 200
        require_declared("get", "/installs/{install_id}/ssl_certificates", answer)


@pytest.mark.parametrize(
    ("method", "path", "what", "body"), wrong_bodies(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_wrong_body_is_refused(host: SpecifiedHost, method: str, path: str, what: str, body: Any) -> None:
    """A missing field, another type, format or word gets 400 with the field's name, and starts nothing."""
    before = host.jobs()
    answer = host.ask(method, path, body)
    assert answer.status == 400, f"{what}: {answer.status} {answer.body!r}"
    require_declared(method, path, answer)
    assert json.loads(answer.body)["message"]
    assert host.jobs() == before


@pytest.mark.parametrize("wanted", ["schulstage", "7", fixed_id("no install"), INSTALL.upper() + "0"])
@pytest.mark.parametrize(("method", "path"), [each for each in USED if "{install_id}" in each[1]], ids=lambda v: v)
def test_an_unknown_install_is_not_found(host: SpecifiedHost, method: str, path: str, wanted: str) -> None:
    """Only a UUID is an id of an install, but one install can be read by its name."""
    answer = host.ask(method, path, BODIES.get((method, path)), install_id=wanted)
    by_name = path == "/installs/{install_id}" and wanted == "schulstage"
    assert answer.status == (200 if by_name else 404)


@pytest.mark.parametrize(
    ("method", "path", "ids"),
    [
        ("get", "/installs/{install_id}/backups/{backup_id}", {"backup_id": fixed_id("nothing")}),
        ("post", "/installs/{install_id}/backups/{backup_id}/restore", {"backup_id": fixed_id("nothing")}),
        ("post", "/installs/{install_id}/domains/{domain_id}/check_status", {"domain_id": fixed_id("nothing")}),
        (
            "post",
            "/installs/{install_id}/domains/{domain_id}/check_status",
            {"domain_id": fixed_id("www.verein.example")},
        ),
        ("get", "/installs/{install_id}/domains/check_status/{report_id}", {"report_id": fixed_id("nothing")}),
    ],
)
def test_what_does_not_exist_or_is_another_install_s_is_not_found(
    host: SpecifiedHost, method: str, path: str, ids: dict[str, str]
) -> None:
    """Backups, domains and reports are found below their own install only."""
    answer = host.ask(method, path, BODIES.get((method, path)), **ids)
    assert answer.status == 404
    require_declared(method, path, answer)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/installs", {"limit": "0"}), ("/installs", {"limit": "101"}), ("/installs", {"limit": "many"}),
        ("/installs", {"offset": "-1"}), ("/sites", {"account_id": "Understudy"}), ("/installs", {"account_id": "7"}),
        ("/installs/{install_id}/usage", {"first_date": "2026-11-01"}),
        ("/installs/{install_id}/usage", {"first_date": "1 November", "last_date": "2026-11-02"}),
    ],
)  # fmt: skip
def test_a_wrong_query_is_refused(host: SpecifiedHost, path: str, query: dict[str, str]) -> None:
    """Limits, offsets, ids and dates that the specification does not allow get a declared 400."""
    answer = host.ask("get", path, query=query)
    assert answer.status == 400
    require_declared("get", path, answer)


def test_an_unknown_account_shows_what_the_gateway_makes_of_it(host: SpecifiedHost) -> None:
    """The operation declares no 404, so that the real gateway answers 500."""
    path, status = UNDECLARED
    assert host.ask("get", path, account_id=str(uuid4())).status == status


def test_without_a_login_nothing_is_returned(host: SpecifiedHost) -> None:
    """Everything but the status requires a login, with a declared 401."""
    for method, path in USED:
        request = Request(
            method.upper(), "testserver", f"/v1{path.format(**host.ids)}", {}, {"host": "testserver"}, b""
        )
        answer = host.host.handle(request)
        assert (answer.status == 401) == (path != "/status"), path
