"""The desk is no way in: other pages, hosts and browsers send nothing through it, and it writes nowhere but into forms."""

import os

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from deployments.cli.desk import forget_secrets
from deployments.desk.protection import LARGEST
from tasks.configuration.settings import Settings
from tasks.estate.errors import LedgerUnavailable, UnderstudyError
from tests.deployments.desk.conftest import ORIGIN, Office
from tests.raw_facts import raw_fact

ANSWER = {"decision": "reject", "reason": "because I can", "who": "Eve", "comment": "because I can"} | {
    "source": "schulstage", "files": "yes", "until": "2099-01-01T00:00", "why": "because I can",
}  # fmt: skip
FORMS = ("decide", "comment", "undo", "start", "hold")


def path_of(office: Office, page: str = "decide") -> str:
    """Return a page of a request, or of the place that it would overwrite."""
    sheet = office.ask()
    if page not in ("start", "hold"):
        return f"/runs/{sheet.plan.run_id}/{page}"
    office.ledger.record(raw_fact("planned", sheet.plan.model_dump(mode="json")), run_id=sheet.plan.run_id)
    return f"/places/schulprod/{page}"


def nothing_sent(office: Office) -> bool:
    """Return whether the desk has sent nothing to Prefect."""
    return not office.prefect.answers and not office.prefect.artifacts and not office.prefect.started


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"}, {"host": "evil.example"}, {"host": "127.0.0.1:4300"}, {"host": "localhost"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("page", FORMS)
def test_forms_of_other_pages_are_refused(office: Office, headers: dict[str, str], page: str) -> None:
    """Also with the right token: the browser reports where the form was, and under which name it found this desk."""
    path = path_of(office, page)
    office.browser.get("/")
    data = ANSWER | {"token": office.browser.cookies["desk"]}
    assert office.browser.post(path, data=data, headers=headers).status_code == 421
    assert nothing_sent(office)


@pytest.mark.parametrize("page", FORMS)
@pytest.mark.parametrize("token", ["", "another", None])
def test_a_form_needs_the_token_of_its_browser(office: Office, token: str | None, page: str) -> None:
    """A form that was made without reading our page has no token."""
    path = path_of(office, page)
    office.browser.get("/")
    data = ANSWER if token is None else ANSWER | {"token": token}
    sent = office.browser.post(path, data=data, headers={"origin": ORIGIN})
    assert sent.status_code == 403
    assert "Nothing was sent" in sent.text
    office.browser.cookies.clear()
    assert office.browser.post(path, data=ANSWER | {"token": ""}).status_code == 403
    assert nothing_sent(office)


def test_a_large_form_is_not_read(office: Office) -> None:
    """More than an answer can be is refused."""
    assert office.send(path_of(office), reason="x" * LARGEST).status_code == 403
    many = office.send(path_of(office), **{f"field{number}": "x" for number in range(30)})
    assert many.status_code == 403


def test_nothing_is_sent_by_opening_a_page(office: Office) -> None:
    """What changes something is a form: its address alone, in a link or picture, does nothing."""
    for page in FORMS:
        office.browser.get(path_of(office, page), params=ANSWER)
    assert nothing_sent(office)
    for page in FORMS[1:]:
        assert office.browser.get(path_of(office, page)).status_code == 405


def test_every_page_has_the_headers(office: Office) -> None:
    """Nothing from elsewhere is loaded, nothing inline is run, nobody frames the desk, and nothing is kept."""
    for path in (
        "/",
        "/places",
        "/ledger",
        "/passkeys",
        path_of(office),
        "/static/desk.css",
        "/nowhere",
        "/places/nowhere",
    ):
        headers = office.browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
        assert headers["cache-control"] == "no-store"
    cookie = office.browser.get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_the_ledger_of_the_desk_cannot_be_written(office: Office) -> None:
    """The database itself refuses, whatever code the desk runs."""
    office.ask()
    with pytest.raises((DBAPIError, UnderstudyError), match=r"readonly|read-only"):
        office.sources.ledger.record(raw_fact("approved"), run_id="forged")
    assert office.ledger.facts(kind="approved") == []


def test_a_ledger_that_is_not_there_is_not_made(office: Office) -> None:
    """The desk reports it; only a worker makes a ledger."""
    office.sources.ledger_url = office.sources.ledger_url.replace("ledger.db", "elsewhere.db")
    with pytest.raises(LedgerUnavailable):
        _ = office.sources.ledger
    response = office.browser.get("/ledger")
    assert (response.status_code, "LedgerUnavailable" in response.text) == (503, True)


def test_the_desk_forgets_the_secrets_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started in a worker's environment it removes them, before it reads anything."""
    secrets = [
        f"UNDERSTUDY_{name}".upper() for name, each in Settings.model_fields.items() if each.annotation is SecretStr
    ]
    assert len(secrets) > 5
    for name in secrets:
        monkeypatch.setenv(name, "x")
    forget_secrets()
    assert not [name for name in secrets if name in os.environ]
