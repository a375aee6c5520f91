"""Guards of the client: redirects, limits of size and time, ambiguous failures, exact bodies of destructive calls."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from deployments.sandbox.host.host import Host
from tasks.capi import client as module
from tasks.capi.client import Client
from tasks.configuration.settings import load_settings
from tasks.estate.errors import HostRefused, Misconfigured, OutcomeUnknown, UnderstudyError, Unreachable
from tests.tasks.capi.test_client import ONE, TWO, ScriptedHost, failing

EMAILS = ["ops@host.example"]
LARGEST = 16 * 1024 * 1024  # bytes


def redirect(status: int, where: str) -> ScriptedHost:
    """Return a host that redirects every request."""
    return ScriptedHost(lambda request: httpx.Response(status, headers={"location": where}))


@pytest.mark.parametrize("where", ["https://host.example/v1/install_copy", "https://evil.example/", "/v1/other"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int, where: str) -> None:
    """A redirect is an error after one request: following it would repeat the call or send the credentials elsewhere."""
    host = redirect(status, where)
    with pytest.raises(OutcomeUnknown, match=f"answers {status}; expected 202"):
        host.copy()
    with pytest.raises(OutcomeUnknown):
        host.client.send_restore(ONE, TWO, database=True, emails=EMAILS)
    with pytest.raises(Unreachable):
        host.client.installs()
    assert len(host.asked) == 3


def test_each_request_has_its_timeouts() -> None:
    """A read waits for 30 s (the host's gateway gives up after 29 s), a connection for 5 s."""
    host = ScriptedHost(lambda request: httpx.Response(202))
    host.copy()
    assert host.asked[0].extensions["timeout"] == {"connect": 5.0, "read": 30.0, "write": 10.0, "pool": 5.0}


def test_a_proxy_of_the_environment_is_not_used(worker: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment, which would receive the credentials, is ignored."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Client(load_settings().api_url, SecretStr("demo"), SecretStr("demo")) as client:
        assert client.installs()


def test_a_closed_client_sends_nothing() -> None:
    """After its block has ended, a client sends nothing."""
    host = ScriptedHost(lambda request: httpx.Response(202))
    with host.client as client:
        client.purge_cache(ONE, "all")
    with pytest.raises(RuntimeError, match="closed"):
        host.copy()
    assert len(host.asked) == 1


@pytest.mark.parametrize(("size", "read"), [(LARGEST, True), (LARGEST + 1, False)])
def test_an_answer_has_a_largest_size(size: int, read: bool) -> None:
    """16 MiB are read; one byte more is an error, and for a copy an unknown outcome."""
    body = b'{"results": []' + b" " * (size - 15) + b"}"
    host = ScriptedHost(lambda request: httpx.Response(200, content=body))
    assert len(body) == size
    if read:
        assert host.client.sites() == []
        return
    with pytest.raises(Unreachable, match="the answer was lost"):
        host.client.sites()
    with pytest.raises(OutcomeUnknown, match="its answer is lost"):
        host.copy()


@pytest.mark.parametrize(("seconds", "read"), [(60.0, True), (60.001, False)])
def test_an_answer_has_a_longest_time(seconds: float, read: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that takes more than a minute is an error, however short it is."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = iter([start, start + timedelta(seconds=seconds)])

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return next(moments)

    monkeypatch.setattr(module, "datetime", Clock)
    host = ScriptedHost(lambda request: httpx.Response(200, json={"results": []}))
    if read:
        assert host.client.sites() == []
        return
    with pytest.raises(Unreachable) as raised:
        host.client.sites()
    assert "the answer takes too long" in str(raised.value.__cause__)


def test_a_compressed_answer_is_read_once() -> None:
    """Headers of the compressed body are dropped after decompression."""
    body = gzip.compress(b'{"results": []}')
    headers = {"content-encoding": "gzip", "x-more": "kept"}
    host = ScriptedHost(lambda request: httpx.Response(200, content=body, headers=headers))
    assert host.client.sites() == []


def test_a_header_of_a_refusal_is_read() -> None:
    """The request id in a header is part of the message."""
    host = ScriptedHost(lambda request: httpx.Response(403, headers={"x-amzn-requestid": "r-17"}))
    with pytest.raises(HostRefused, match="request id r-17"):
        host.client.sites()


@pytest.mark.parametrize(
    ("error", "ambiguous"), [(httpx.ReadTimeout, True), (httpx.WriteError, True), (httpx.ConnectError, False)]
)
def test_a_failed_request_reports_whether_it_may_have_arrived(error: type[httpx.HTTPError], ambiguous: bool) -> None:
    """An install or backup must be looked up before it is requested again, if the request may have arrived."""
    client = ScriptedHost(failing(error)).client
    for ask in (
        lambda: client.create_install("n", ONE, None, "staging"),
        lambda: client.request_backup(ONE, "d", EMAILS),
    ):
        with pytest.raises(Unreachable) as raised:
            ask()
        assert raised.value.facts["ambiguous"] is ambiguous


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_a_call_that_was_not_sent_is_not_ambiguous(error: type[httpx.HTTPError]) -> None:
    """If nothing was sent, nothing has to be checked."""
    with pytest.raises(Unreachable) as raised:
        ScriptedHost(failing(error)).copy()
    assert raised.value.facts["ambiguous"] is False


def test_a_copy_refused_with_429_is_not_sent_again() -> None:
    """For a destructive call, 429 is a refusal and not a pause."""
    with pytest.raises(HostRefused) as raised:
        ScriptedHost(lambda request: httpx.Response(429)).copy()
    assert raised.value.facts["status"] == 429


def test_the_body_of_a_copy_is_exactly_what_was_approved() -> None:
    """The body has both ids, the copied parts, the tables if there are any, and the e-mail addresses."""
    host = ScriptedHost(lambda request: httpx.Response(202))
    host.copy()
    host.copy(files=False, tables=["wp_posts"])
    host.copy(database=False)
    ids = {"source_environment_id": ONE, "destination_environment_id": TWO, "notification_emails": EMAILS}
    options: list[dict[str, Any]] = [
        {"include_files": True, "include_db": True},
        {"include_files": False, "include_db": True, "db_tables": ["wp_posts"]},
        {"include_files": True, "include_db": False},
    ]
    assert [json.loads(request.content) for request in host.asked] == [
        ids | {"custom_options": each} for each in options
    ]
    assert {(request.method, request.url.path) for request in host.asked} == {("POST", "/v1/install_copy")}


def test_the_body_of_a_restore_requests_a_checkpoint() -> None:
    """A restore requests a checkpoint, so that it can be undone."""
    host = ScriptedHost(lambda request: httpx.Response(202))
    host.client.send_restore(ONE, TWO, database=False, emails=EMAILS)
    (request,) = host.asked
    assert request.url.path == f"/v1/installs/{ONE}/backups/{TWO}/restore"
    assert json.loads(request.content) == {
        "notification_emails": EMAILS, "restore_database": False, "create_checkpoint": True,
    }  # fmt: skip


def test_an_unknown_site_is_left_out_of_a_request_for_an_install() -> None:
    """A site that is not known is left out, not sent as null."""
    host = ScriptedHost(lambda request: httpx.Response(200, json={"id": ONE, "name": "n"}))
    assert host.client.create_install("n", TWO, None, "staging").id == ONE
    assert json.loads(host.asked[0].content) == {"name": "n", "account_id": TWO, "environment": "staging"}


@pytest.mark.parametrize(
    ("ask", "path", "body"),
    [
        (lambda client: client.purge_cache(ONE, "cdn"), "purge_cache", {"type": "cdn"}),
        (lambda client: client.refresh_usage(ONE), "usage/refresh_disk_usage", None),
    ],
)
def test_purges_and_measurements_are_requested(ask: Callable[[Client], None], path: str, body: Any) -> None:
    """A purge and a measurement are one POST each."""
    host = ScriptedHost(lambda request: httpx.Response(202))
    ask(host.client)
    (request,) = host.asked
    assert (request.method, request.url.path) == ("POST", f"/v1/installs/{ONE}/{path}")
    assert json.loads(request.content or b"null") == body


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_missing_date_header_is_an_error(date: str | None) -> None:
    """Without a readable Date header the host's clock is unknown, which is an error."""
    host = ScriptedHost(lambda request: httpx.Response(200, headers={} if date is None else {"date": date}))
    with pytest.raises(Unreachable, match="no readable Date header"):
        host.client.server_time()
    with pytest.raises(Unreachable, match="ReadTimeout"):
        ScriptedHost(failing(httpx.ReadTimeout)).client.server_time()


@pytest.mark.parametrize("wrong", ["", "schulprod", f"{ONE}/x"])
def test_a_wrong_id_never_reaches_a_destructive_call(wrong: str) -> None:
    """A wrong id of a source, destination or backup is refused before sending."""
    host = ScriptedHost(lambda request: httpx.Response(202))
    calls: list[Callable[[], None]] = [
        lambda: host.client.send_copy(wrong, TWO, files=True, database=True, tables=[], emails=EMAILS),
        lambda: host.client.send_copy(ONE, wrong, files=True, database=True, tables=[], emails=EMAILS),
        lambda: host.client.send_restore(wrong, TWO, database=True, emails=EMAILS),
        lambda: host.client.send_restore(ONE, wrong, database=True, emails=EMAILS),
    ]
    for call in calls:
        with pytest.raises(Misconfigured):
            call()
    assert host.asked == []
    assert issubclass(Misconfigured, UnderstudyError)
