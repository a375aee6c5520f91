"""The emulated host refuses what the real one refuses, takes its time, and keeps its state."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.sandbox.host.document_store import fixed_id
from deployments.sandbox.host.faults import FAULTS
from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request, Response
from deployments.sandbox.host.serve import serve

LOGIN = "Basic " + base64.b64encode(b"demo:demo").decode()
PROD, STAGE, DEV, FOREIGN = (fixed_id(name) for name in ("schulprod", "schulstage", "schuldev", "fremdstage"))


class Watch:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    """The simulated time."""
    return Watch()


@pytest.fixture
def host(watch: Watch) -> Host:
    """An emulated host whose clock stands still, at full length."""
    return Host(clock=watch, scale=1.0)


@pytest.fixture
def ask(host: Host) -> Callable[..., Response]:
    """Ask the API with its login: `ask("POST", "/install_copy", {...})`."""

    def send(method: str, path: str, body: Any = None, **query: str) -> Response:
        data = b"" if body is None else json.dumps(body).encode()
        return host.handle(Request(method, "127.0.0.1", f"/v1{path}", query, {"authorization": LOGIN}, data))

    return send


def visit(host: Host, domain: str, path: str = "/", **query: str) -> Response:
    """Visit a public site."""
    return host.handle(Request("GET", domain, path, query))


COPY = {"source_environment_id": PROD, "destination_environment_id": STAGE}
NEW = {"account_id": fixed_id("Understudy Demo"), "site_id": fixed_id("Schulfest"), "environment": "staging"}
MAIL = {"notification_emails": ["a@b.example"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/install_copy", {"source_install_id": PROD, "destination_install_id": STAGE}, 400),
        ("POST", "/install_copy", COPY | {"source_environment_id": "schulprod"}, 400),
        ("POST", "/install_copy", COPY | {"destination_environment_id": FOREIGN}, 403),
        ("POST", "/install_copy", COPY | {"destination_environment_id": fixed_id("nobody")}, 404),
        ("POST", "/install_copy", COPY | {"custom_options": "all"}, 400),
        ("POST", "/install_copy", COPY | {"custom_options": {"include_db": False, "db_tables": ["wp_posts"]}}, 400),
        ("POST", f"/installs/{PROD}/backups", {"description": "no e-mail"}, 400),
        ("POST", f"/installs/{PROD}/backups", MAIL, 400),
        ("GET", "/installs/schulprod/backups", None, 404),
        ("GET", "/installs/schulprod", None, 200),
        ("POST", f"/installs/{PROD}/purge_cache", {}, 400),
        ("POST", "/installs", NEW | {"name": "x-y"}, 400),
        ("GET", f"/installs/{STAGE}/ssl_certificates", None, 404),
        ("GET", "/operations", None, 403),
        ("GET", "/accounts/demo/account_users", None, 400),
        ("GET", f"/accounts/{PROD}/account_users", None, 500),
        ("POST", f"/installs/{PROD}/backups/{fixed_id('none')}/restore", MAIL, 404),
    ],
)  # fmt: skip
def test_the_emulator_refuses_what_the_host_refuses(
    method: str, path: str, body: Any, status: int, ask: Callable[..., Response], host: Host
) -> None:
    """Wrong fields, names for ids, foreign accounts, missing fields and unknown routes get the host's own status."""
    answer = ask(method, path, body)
    assert answer.status == status
    assert host.copies_received() == 0
    if status >= 400:
        assert json.loads(answer.body)["message"]


def test_a_request_without_the_login_is_refused(host: Host) -> None:
    """401 Bad Credentials, and /status needs none."""
    assert host.handle(Request("GET", "127.0.0.1", "/v1/installs")).status == 401
    assert host.handle(Request("GET", "127.0.0.1", "/v1/status")).status == 200


@pytest.mark.parametrize("limit", ["0", "101", "many"])
def test_a_page_has_1_to_100_rows(limit: str, ask: Callable[..., Response]) -> None:
    """The host's paging limits."""
    assert ask("GET", "/installs", limit=limit).status == 400


def test_pages_are_linked_until_the_end(ask: Callable[..., Response]) -> None:
    """Following `next` returns every install once."""
    names, offset = [], 0
    while True:
        page = json.loads(ask("GET", "/installs", limit="4", offset=str(offset)).body)
        names += [row["name"] for row in page["results"]]
        if page["next"] is None:
            break
        offset += 4
    assert len(names) == len(set(names)) == page["count"] == 6


def test_a_backup_takes_its_time(ask: Callable[..., Response], watch: Watch) -> None:
    """Requested at once, completed after five minutes of the host's time."""
    made = json.loads(ask("POST", f"/installs/{PROD}/backups", MAIL | {"description": "x"}).body)
    path = f"/installs/{PROD}/backups/{made['id']}"
    watch.now += 299
    assert json.loads(ask("GET", path).body)["status"] == "requested"
    watch.now += 2
    assert json.loads(ask("GET", path).body)["status"] == "completed"


def test_a_copy_is_accepted_with_nothing_and_lands_later(
    ask: Callable[..., Response], host: Host, watch: Watch
) -> None:
    """An empty 202, `active` all the time, content after 18 minutes, then the closing checkpoint."""
    answer = ask("POST", "/install_copy", COPY)
    assert (answer.status, answer.body) == (202, b"")
    watch.now += 1000
    assert json.loads(ask("GET", f"/installs/{STAGE}").body)["status"] == "active"
    assert host.snapshot()["installs"]["schulstage"]["totals"]["posts"] == 7
    watch.now += 90
    copied = host.snapshot()["installs"]["schulstage"]
    assert (copied["totals"]["posts"], copied["home"], copied["files_version"]) == (
        12,
        "schulstage.wpengine.example",
        "5.2.0",
    )
    watch.now += 120
    listed = json.loads(ask("GET", f"/installs/{STAGE}/backups").body)["results"]
    assert [b["description"] for b in listed] == ["Checkpoint after copy", "Checkpoint before copy"]


def test_a_restore_puts_the_content_of_its_backup_back(ask: Callable[..., Response], host: Host, watch: Watch) -> None:
    """What was published after the backup is gone after the restore."""
    made = json.loads(ask("POST", f"/installs/{PROD}/backups", MAIL | {"description": "x"}).body)
    watch.now += 400
    host.publish("schulprod", "post")
    assert ask("POST", f"/installs/{PROD}/backups/{made['id']}/restore", MAIL).status == 202
    watch.now += 1500
    assert host.snapshot()["installs"]["schulprod"]["totals"]["posts"] == 12


def test_one_object_purge_a_minute(ask: Callable[..., Response], watch: Watch) -> None:
    """The second purge inside a minute gets the host's 429, the next minute's passes."""
    purge = ("POST", f"/installs/{PROD}/purge_cache", {"type": "all"})
    assert [ask(*purge).status, ask(*purge).status] == [202, 429]
    watch.now += 61
    assert ask(*purge).status == 202


def test_int64_values_are_strings(ask: Callable[..., Response]) -> None:
    """As the host writes them."""
    day = json.loads(ask("GET", f"/installs/{PROD}/usage").body)["metrics"][0]
    assert isinstance(day["storage_file_bytes"], str)


def test_pages_are_cached_until_purged_and_a_query_goes_past(ask: Callable[..., Response], host: Host) -> None:
    """A visitor sees the old page until a purge; a query parameter shows the new one."""
    visit(host, "www.schulfest.example")
    host.publish("schulprod", "post", "Fresh news")
    stale = visit(host, "www.schulfest.example")
    assert (stale.headers["x-cache"], b"Fresh news" in stale.body) == ("HIT", False)
    assert b"Fresh news" in visit(host, "www.schulfest.example", x="1").body
    ask("POST", f"/installs/{PROD}/purge_cache", {"type": "page"})
    assert b"Fresh news" in visit(host, "www.schulfest.example").body


def namespaces(host: Host, domain: str) -> list[str]:
    """What the REST index of a site lists."""
    return list(json.loads(visit(host, domain, "/wp-json/").body)["namespaces"])


@pytest.mark.parametrize(
    ("options", "arrives"),
    [
        ({}, True), ({"include_db": False}, False), ({"db_tables": ["wp_posts"]}, False),
        ({"db_tables": ["wp_options"]}, True),
    ],
)  # fmt: skip
def test_a_shop_travels_with_the_database(
    options: dict[str, Any], arrives: bool, ask: Callable[..., Response], host: Host, watch: Watch
) -> None:
    """A site lists WordPress' own namespaces; a shop adds its own, there and wherever its options are copied to."""
    stage = "schulstage.wpengine.example"
    assert namespaces(host, stage) == ["oembed/1.0", "wp/v2"]
    host.publish("schulprod", "shop")
    host.publish("schulprod", "shop")
    assert namespaces(host, "www.schulfest.example").count("wc/v3") == 1
    ask("POST", "/install_copy", COPY | {"custom_options": options})
    watch.now += 1200
    assert ("wc/v3" in namespaces(host, stage)) == arrives


def test_a_shop_is_switched_on_over_http(host: Host) -> None:
    """The switchboard takes the kinds of plugins as it takes content, and refuses an unknown kind."""
    for kind, status in (("shop", 201), ("forms", 201), ("members", 201), ("weather", 400)):
        body = json.dumps({"install": "schulprod", "kind": kind}).encode()
        assert host.handle(Request("POST", "127.0.0.1", "/_sandbox/publish", {}, {}, body)).status == status
    assert {"wc/v3", "pmpro/v1", "contact-form-7/v1"} <= {*namespaces(host, "www.schulfest.example")}


DEMO, SECOND = "demo@schulfest.example", "second@schulfest.example"


def users(ask: Callable[..., Response], account: str) -> dict[str, Any]:
    """Who may log in to an account, by e-mail."""
    answer = json.loads(ask("GET", f"/accounts/{fixed_id(account)}/account_users").body)
    assert answer.keys() == {"results"}
    return {user["email"]: user for user in answer["results"]}


def test_users_of_an_account_can_be_changed(ask: Callable[..., Response], host: Host) -> None:
    """Both accounts have both leads, well; the switchboard changes somebody everywhere, and refuses unknown ones."""
    for account in ("Understudy Demo", "Somebody Else"):
        found = users(ask, account)
        assert found.keys() == {DEMO, SECOND}
        assert all(user["mfa_enabled"] and user["invite_accepted"] for user in found.values())
        assert {"user_id", "account_id", "first_name", "last_name", "phone", "roles"} < found[DEMO].keys()
        assert "gone" not in found[DEMO]
    no_such = [("eve@x.example", {"gone": True}, 400), (SECOND, {"mfa": 0}, 400)]
    for email, fields, status in [(SECOND, {"mfa_enabled": False}, 201), (DEMO, {"gone": True}, 201), *no_such]:
        body = json.dumps({"email": email, **fields}).encode()
        assert host.handle(Request("POST", "127.0.0.1", "/_sandbox/users", {}, {}, body)).status == status
    left = users(ask, "Somebody Else")
    assert [(email, user["mfa_enabled"]) for email, user in left.items()] == [(SECOND, False)]


def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    """A new process on the same file knows what was accepted."""
    path = str(tmp_path / "estate.db")
    first = Host(path)
    first.handle(
        Request("POST", "127.0.0.1", "/v1/install_copy", {}, {"authorization": LOGIN}, json.dumps(COPY).encode())
    )
    first.close()
    assert Host(path).copies_received() == 1


def test_every_fault_can_be_switched_on_and_an_unknown_one_not(host: Host) -> None:
    """Names are checked, so that a typo does not read as a passed test."""
    for name in FAULTS:
        host.switch_on(name, install="schulprod")
    with pytest.raises(KeyError, match="no fault"):
        host.switch_on("backup-abborted")


def test_a_lost_reply_was_executed_all_the_same() -> None:
    """Over a real socket: the connection is cut, and the copy is under way."""
    estate = Host()
    server = serve(estate)
    estate.switch_on("reply-lost", path="/install_copy")
    with httpx.Client(auth=("demo", "demo")) as client, pytest.raises(httpx.RemoteProtocolError):
        client.post(f"{server.url}/v1/install_copy", json=COPY)
    server.close()
    assert estate.copies_received() == 1
