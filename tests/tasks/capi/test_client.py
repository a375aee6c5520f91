"""The client: what it sends, what it refuses to send, how it reads lists, and what a lost answer means."""

from collections.abc import Callable
from datetime import UTC, datetime
from operator import methodcaller
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tasks.capi.client import Client
from tasks.estate.errors import HostRefused, Misconfigured, OutcomeUnknown, Refused, Unreachable

ONE, TWO = "6e196ae0-09ec-4e39-bd97-1fc5a4c39764", "ef897861-798e-4f86-86c1-36bf38f13ae8"
PASSWORD = "correct-horse"
Answer = Callable[[httpx.Request], httpx.Response]


class ScriptedHost:
    """A host that answers with a function, and records the requests."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[httpx.Request] = []
        self._answer = answer
        self.client = Client(
            "https://host.example/v1", SecretStr("user"), SecretStr(PASSWORD), transport=httpx.MockTransport(self._take)
        )

    def _take(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answer(request)

    def copy(self, **changes: Any) -> None:
        """Send a copy of everything from ONE to TWO."""
        options: dict[str, Any] = {"files": True, "database": True, "tables": [], "emails": ["ops@host.example"]}
        self.client.send_copy(ONE, TWO, **(options | changes))


def failing(error: type[httpx.HTTPError]) -> Answer:
    """Return the answers of a host whose connection fails in this way."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise error(f"with {PASSWORD}", request=request)  # type: ignore[call-arg]  # all of them take a request

    return fail


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout, httpx.ReadError, httpx.WriteError, httpx.WriteTimeout, httpx.RemoteProtocolError]
)
def test_a_copy_whose_answer_is_lost_is_unknown_and_sent_once(error: type[httpx.HTTPError]) -> None:
    """If the connection fails after sending, the outcome is unknown and the copy is not sent again."""
    host = ScriptedHost(failing(error))
    with pytest.raises(OutcomeUnknown) as raised:
        host.copy()
    assert len(host.asked) == 1
    assert f"{error.__name__} after it was sent" in str(raised.value)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_a_copy_that_was_not_sent_is_not_unknown(error: type[httpx.HTTPError]) -> None:
    """Without a connection nothing was sent, which is Unreachable."""
    host = ScriptedHost(failing(error))
    with pytest.raises(Unreachable, match="not sent"):
        host.copy()


@pytest.mark.parametrize("status", [200, 201, 203, 204, 302, 399, 500, 502, 503, 504])
def test_only_202_means_that_a_copy_was_accepted(status: int) -> None:
    """Any other success, a redirect and every 5xx leave the outcome unknown, after one request."""
    host = ScriptedHost(lambda request: httpx.Response(status))
    with pytest.raises(OutcomeUnknown, match="expected 202"):
        host.copy()
    assert len(host.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429])
def test_a_copy_refused_with_4xx_was_not_started(status: int) -> None:
    """A refusal is final for this approval, also a 429."""
    host = ScriptedHost(lambda request: httpx.Response(status))
    with pytest.raises(Refused) as raised:
        host.copy()
    assert raised.value.facts["status"] == status
    assert len(host.asked) == 1


@pytest.mark.parametrize("wrong", [{"files": False, "database": False}, {"database": False, "tables": ["wp_posts"]}])
def test_contradicting_options_are_never_sent(wrong: dict[str, Any]) -> None:
    """A copy of nothing, and one of tables without the database, are refused before sending."""
    host = ScriptedHost(lambda request: httpx.Response(202))
    with pytest.raises(Misconfigured):
        host.copy(**wrong)
    assert host.asked == []


def test_a_name_is_refused_as_an_id() -> None:
    """An install name or a path is never sent as an id."""
    host = ScriptedHost(lambda request: httpx.Response(200, json={}))
    for wrong in ("schulprod", f"{ONE}/../{TWO}", ""):
        with pytest.raises(Misconfigured, match="expected a UUID"):
            host.client.backups(wrong)
    assert host.asked == []


def paged(*pages: dict[str, Any] | int) -> Answer:
    """Return the answers of a host with these pages; a number is the status of a page that fails."""

    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("offset", 0))
        page = pages[number]
        return httpx.Response(page) if isinstance(page, int) else httpx.Response(200, json=page)

    return answer


def page(name: str, following: str | None) -> dict[str, Any]:
    """Return a page with one install and unknown fields."""
    return {"results": [{"id": name, "name": name, "status": "new-word", "what": 1}], "next": following, "extra": {}}


NEXT = "https://host.example/v1/installs?offset="


def test_every_page_of_a_list_is_read() -> None:
    """Three pages contain three installs; unknown values and fields are ignored."""
    host = ScriptedHost(paged(page("a", NEXT + "1"), page("b", NEXT + "2"), page("c", None)))
    assert [install.name for install in host.client.installs()] == ["a", "b", "c"]


def test_account_users_are_read_from_one_answer_without_pages() -> None:
    """The answer has no pages; absent and null fields are unknown, not true."""
    rows = [
        {"email": "a@b.example", "mfa_enabled": True, "roles": "owner", "x": 1},
        {"email": None, "mfa_enabled": None},
    ]
    host = ScriptedHost(lambda request: httpx.Response(200, json={"results": rows}))
    users = host.client.account_users(ONE)
    assert [(user.email, user.mfa_enabled, user.invite_accepted) for user in users] == [
        ("a@b.example", True, None),
        (None, None, None),
    ]
    assert str(host.asked[0].url) == f"https://host.example/v1/accounts/{ONE}/account_users"


def test_a_failed_page_is_a_failed_list() -> None:
    """If a page fails, the whole list fails."""
    with pytest.raises(Unreachable):
        ScriptedHost(paged(page("a", NEXT + "1"), 500)).client.installs()


@pytest.mark.parametrize("link", ["https://evil.example/v1/installs", "http://host.example/v1/installs", NEXT + "0"])
def test_a_next_link_must_have_the_same_origin_and_be_new(link: str) -> None:
    """A link to another origin, which would receive the credentials, and one to a page that was read are errors."""
    host = ScriptedHost(paged(page("a", link)))
    with pytest.raises(Unreachable):
        host.client.installs()
    assert all(request.url.host == "host.example" for request in host.asked)


def test_the_login_is_in_no_text() -> None:
    """Neither the repr nor the message of a failure contains the password."""
    host = ScriptedHost(lambda request: httpx.Response(401, json={"message": "Bad Credentials"}))
    with pytest.raises(HostRefused) as raised:
        host.client.installs()
    assert PASSWORD not in repr(host.client) + str(raised.value) + repr(raised.value)
    assert host.asked[0].headers["authorization"].startswith("Basic ")


def test_a_404_means_no_certificates() -> None:
    """The host answers 404 if an install has no certificates, which is normal."""
    assert ScriptedHost(lambda request: httpx.Response(404)).client.certificates(ONE) == []


@pytest.mark.parametrize("written", ["", " ", "soon", None, 0, "0000-00-00", "2026-13-01T00:00:00Z"])
def test_a_malformed_time_is_unknown(written: object) -> None:
    """A time that cannot be read is None, and the other fields are read."""
    host = ScriptedHost(
        lambda request: httpx.Response(200, json={"certificates": [{"expires_time": written, "status": "X"}]})
    )
    (certificate,) = host.client.certificates(ONE)
    assert (certificate.status, certificate.expires_time) == ("X", None)


@pytest.mark.parametrize("written", ["2027-01-01T00:00:00", "2027-01-01T00:00:00Z", "2027-01-01T01:00:00+01:00"])
def test_every_time_is_in_utc(written: str) -> None:
    """All times are converted to UTC; a time without a zone is UTC."""
    host = ScriptedHost(lambda request: httpx.Response(200, json={"certificates": [{"expires_time": written}]}))
    (certificate,) = host.client.certificates(ONE)
    assert certificate.expires_time == datetime(2027, 1, 1, tzinfo=UTC)


def test_certificates_are_read_page_by_page() -> None:
    """Every page is read, each with the offset of what was read before."""

    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        names = [{"common_name": f"c{n}"} for n in range(offset, min(offset + 100, 230))]
        more = {"next_page_token": "more"} if offset + 100 < 230 else {}
        return httpx.Response(200, json={"certificates": names} | more)

    assert [c.common_name for c in ScriptedHost(answer).client.certificates(ONE)] == [f"c{n}" for n in range(230)]


@pytest.mark.parametrize(("count", "listed"), [(350, 1), (1, 2), (1, 0)])
def test_a_list_must_have_the_length_that_the_host_reports(count: int, listed: int) -> None:
    """A list with another length than `count` is an error."""
    rows = [{"id": f"{n}", "name": "a"} for n in range(listed)]
    page = {"previous": None, "next": None, "count": count, "results": rows}
    with pytest.raises(Unreachable, match=f"counts {count}, and {listed} were listed"):
        ScriptedHost(lambda request: httpx.Response(200, json=page)).client.sites()


def endless(pages: int) -> ScriptedHost:
    """Return a host whose list has so many different pages, without a count."""

    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("offset", 0))
        following = f"{NEXT}{number + 1}" if number + 1 < pages else None
        return httpx.Response(200, json={"results": [{"id": f"{number}", "name": "n"}], "next": following})

    return ScriptedHost(answer)


def test_a_list_has_a_maximum_of_pages() -> None:
    """200 pages of 100 are read; a longer list is an error."""
    assert len(endless(200).client.installs()) == 200
    longer = endless(201)
    with pytest.raises(Unreachable, match=r"does not end \(200 pages\)"):
        longer.client.installs()
    assert len(longer.asked) == 200
    assert longer.asked[0].url.params["limit"] == "100"


def test_a_missing_page_of_certificates_is_an_error() -> None:
    """A 404 is normal on the first page only; on a later page it means that a part is missing."""

    def answer(request: httpx.Request) -> httpx.Response:
        more = {"certificates": [{"common_name": "a"}], "next_page_token": "more"}
        return httpx.Response(404) if request.url.params["offset"] != "0" else httpx.Response(200, json=more)

    with pytest.raises(Unreachable, match="missing after 1"):
        ScriptedHost(answer).client.certificates(ONE)


def test_certificates_that_never_end_are_an_error() -> None:
    """An empty page with a next page ends the reading, and so does the 200th page."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"certificates": [{"common_name": "a"}], "next_page_token": "more"})

    host, empty = (
        ScriptedHost(answer),
        ScriptedHost(lambda _: httpx.Response(200, json={"certificates": [], "next_page_token": "more"})),
    )
    for each, asked in ((host, 200), (empty, 1)):
        with pytest.raises(Unreachable, match="does not end"):
            each.client.certificates(ONE)
        assert len(each.asked) == asked


@pytest.mark.parametrize("count", [None, "many", 1])
def test_a_count_that_is_not_a_number_is_ignored(count: Any) -> None:
    """Only a numeric count is compared with the length of the list."""
    page = {"results": [{"id": "a", "name": "a"}], "count": count}
    assert len(ScriptedHost(lambda request: httpx.Response(200, json=page)).client.sites()) == 1


@pytest.mark.parametrize(
    ("call", "answer", "named"),
    [
        *((methodcaller("sites"), page, "no list of results") for page in ([], "x", {"results": {}}, {})),
        *(
            (methodcaller("account_users", ONE), body, "^GET ")
            for body in ({}, [], {"results": None}, {"results": [{"mfa_enabled": "perhaps"}]})
        ),
        *(
            (methodcaller("certificates", ONE), page, "^GET ")
            for page in ({"certificates": [], "next_page_token": "more"}, {"certificates": None}, {})
        ),
        (methodcaller("install", ONE), {"id": 1, "name": []}, r"Installation \(id, name\)"),
        (methodcaller("install", ONE), [], r"Installation \(the object\)"),
    ],
)
def test_an_answer_of_another_shape_is_an_error(call: Callable[[Client], Any], answer: Any, named: str) -> None:
    """It is never read as an empty list. The message contains the names of fields, and never their values."""
    with pytest.raises(Unreachable, match=named):
        call(ScriptedHost(lambda request: httpx.Response(200, json=answer)).client)
