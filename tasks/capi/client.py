"""A typed client of the hosting API, with one method for each endpoint that is used.

It retries nothing and sends nothing twice. A request that was not sent raises `Unreachable`, as does a read whose answer was
lost. A copy or restore whose answer was lost raises `OutcomeUnknown`. Redirects are not followed, and `next` links of a list
only on the API's own origin.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from pydantic import SecretStr, ValidationError

from tasks.capi.errors import decipher
from tasks.capi.models import (
    AccountUser,
    Answer,
    Backup,
    Certificate,
    Domain,
    Installation,
    Site,
    Usage,
)
from tasks.configuration.tls import tls_context
from tasks.estate.connection_failures import why_failed
from tasks.estate.errors import HostRefused, Misconfigured, NotFound, OutcomeUnknown, RateLimited, Unreachable

TIMEOUT = httpx.Timeout(connect=5.0, read=30.0, write=10.0, pool=5.0)  # the host's gateway gives up after about 29 s
BIGGEST_ANSWER = 16 * 1024 * 1024  # bytes; a list page is far below one
LONGEST_ANSWER = 60.0  # seconds for a whole answer: a dripping body must not block a step
PAGE = 100  # the host's default and maximum
MOST_PAGES = 200  # 20,000 installs; a longer list is a loop

M = TypeVar("M", bound=Answer)
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Client:
    """The hosting API for one login. Use as a context manager: it owns one connection pool."""

    def __init__(
        self, base_url: str, user: SecretStr, password: SecretStr, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._base = base_url.rstrip("/")
        self._http = httpx.Client(
            auth=httpx.BasicAuth(user.get_secret_value(), password.get_secret_value()),
            timeout=TIMEOUT,
            follow_redirects=False,
            transport=transport,
            verify=tls_context(),
            trust_env=False,  # a proxy variable of the worker must not receive the credentials
            headers={"Accept": "application/json", "User-Agent": "understudy"},
        )

    def __repr__(self) -> str:
        return f"Client({self._base!r})"  # without the login

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def installs(self) -> list[Installation]:
        """Return all installs that this login may see."""
        return self._list("/installs", Installation)

    def sites(self) -> list[Site]:
        """Return all sites that this login may see."""
        return self._list("/sites", Site)

    def account_users(self, account_id: str) -> list[AccountUser]:
        """Return everybody who may log in to an account. This endpoint has no pages."""
        return self._list(f"/accounts/{_uuid(account_id)}/account_users", AccountUser, query="")

    def install(self, install_id: str) -> Installation:
        """Return one install, with the fields that lists leave out (`wp_version`)."""
        return self._one(f"/installs/{_uuid(install_id)}", Installation)

    def create_install(self, name: str, account_id: str, site_id: str | None, environment: str) -> Installation:
        """Request a new install, which is pending at first.

        A lost answer raises `Unreachable`: look the name up before you request it again.
        """
        body = {"name": name, "account_id": account_id, "site_id": site_id, "environment": environment}
        made = self._send("POST", "/installs", {k: v for k, v in body.items() if v})
        return _model(Installation, made, "POST /installs")

    def backups(self, install_id: str) -> list[Backup]:
        """Return all backups of an install, checkpoints included. Raise `NotFound` if the host has no such list."""
        return self._list(f"/installs/{_uuid(install_id)}/backups", Backup)

    def backup(self, install_id: str, backup_id: str) -> Backup:
        """Return one backup."""
        return self._one(f"/installs/{_uuid(install_id)}/backups/{_uuid(backup_id)}", Backup)

    def request_backup(self, install_id: str, description: str, emails: list[str]) -> Backup:
        """Request a backup. A lost answer raises `Unreachable`: look for the backup before you request it again."""
        path = f"/installs/{_uuid(install_id)}/backups"
        body = {"description": description, "notification_emails": emails}
        return _model(Backup, self._send("POST", path, body), f"POST {path}")

    def send_copy(
        self, source_id: str, destination_id: str, *, files: bool, database: bool, tables: list[str], emails: list[str]
    ) -> None:
        """Overwrite one install with another; return after a 202. Destructive: call it once.

        Raise `OutcomeUnknown` if the answer was lost, `HostRefused` for 4xx (also 429: not started), `Unreachable` if the
        request was not sent, `Misconfigured` if the options contradict each other.
        """
        if not files and not database:
            raise Misconfigured("A copy of neither files nor database was requested; expected at least one.")
        if tables and not database:
            raise Misconfigured("A copy of tables without the database was requested; the host refuses that.")
        options: dict[str, Any] = {"include_files": files, "include_db": database}
        if tables:
            options["db_tables"] = tables
        body = {
            "source_environment_id": _uuid(source_id),
            "destination_environment_id": _uuid(destination_id),
            "notification_emails": emails,
            "custom_options": options,
        }
        self._destroy("/install_copy", body)

    def send_restore(self, install_id: str, backup_id: str, *, database: bool, emails: list[str]) -> None:
        """Restore a backup over an install, after a checkpoint. Destructive: call it once. Raise as `send_copy`."""
        body = {"notification_emails": emails, "restore_database": database, "create_checkpoint": True}
        self._destroy(f"/installs/{_uuid(install_id)}/backups/{_uuid(backup_id)}/restore", body)

    def purge_cache(self, install_id: str, kind: str) -> None:
        """Purge the cache "object", "page", "cdn" or "all". The host allows one object purge a minute for each install."""
        self._send("POST", f"/installs/{_uuid(install_id)}/purge_cache", {"type": kind})

    def domains(self, install_id: str) -> list[Domain]:
        """Return all domains of an install."""
        return self._list(f"/installs/{_uuid(install_id)}/domains", Domain)

    def certificates(self, install_id: str) -> list[Certificate]:
        """Return all certificates that the host holds for an install, in every state.

        The list is empty if the host answers 404, which is normal on its modern networks.
        """
        path, found = f"/installs/{_uuid(install_id)}/ssl_certificates", list[Any]()
        for _ in range(MOST_PAGES):
            try:
                answer = self._send("GET", f"{path}?limit={PAGE}&offset={len(found)}")
            except NotFound:
                if found:
                    raise Unreachable(f"GET {path}: a page is missing after {len(found)} certificates.") from None
                return []
            listed = answer.get("certificates") if isinstance(answer, dict) else None
            if not isinstance(listed, list):
                raise Unreachable(f"GET {path}: the answer has no list of certificates.")
            found += listed
            if not answer.get("next_page_token"):
                return [_model(Certificate, item, path) for item in found]
            if not listed:
                break
        raise Unreachable(f"GET {path}: the list does not end ({len(found)} certificates).")

    def usage(self, install_id: str) -> Usage:
        """Return visits and storage of an install, newest day first."""
        return self._one(f"/installs/{_uuid(install_id)}/usage", Usage)

    def refresh_usage(self, install_id: str) -> None:
        """Request a new measurement of the storage of an install. It takes minutes; the host merges requests."""
        self._send("POST", f"/installs/{_uuid(install_id)}/usage/refresh_disk_usage")

    def server_time(self) -> datetime:
        """Return the host's clock (UTC, whole seconds), from the Date header of an endpoint without login."""
        try:
            response = self._exchange("GET", f"{self._base}/status", None, auth=None)
        except httpx.HTTPError as error:
            raise Unreachable(f"GET /status: {type(error).__name__}.") from error
        try:
            return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError) as error:
            raise Unreachable("GET /status: the answer has no readable Date header.") from error

    def _one(self, path: str, model: type[M]) -> M:
        return _model(model, self._send("GET", path), f"GET {path}")

    def _list(self, path: str, model: type[M], *, query: str = f"?limit={PAGE}") -> list[M]:
        """Return all pages of a list, or raise: a part is never returned as the whole list."""
        url, found, visited, count = f"{self._base}{path}{query}", list[M](), set[str](), None
        while url:
            if url in visited or len(visited) >= MOST_PAGES:
                raise Unreachable(f"GET {path}: the list does not end ({len(visited)} pages); expected each page once.")
            visited.add(url)
            page = self._send("GET", url)
            results = page.get("results") if isinstance(page, dict) else None
            if not isinstance(results, list):
                raise Unreachable(f"GET {path}: a page has no list of results.")
            found += [_model(model, item, f"GET {path}") for item in results]
            count = page.get("count", count)
            url = self._same_origin(page.get("next"), path)
        if isinstance(count, int) and count != len(found):
            raise Unreachable(
                f"GET {path}: the host counts {count}, and {len(found)} were listed; expected all of them."
            )
        return found

    def _same_origin(self, link: Any, path: str) -> str:
        """Return the `next` link if it is on the API's own origin: another one would receive the credentials."""
        if not link:
            return ""
        own, other = urlsplit(self._base), urlsplit(str(link))
        if (own.scheme, own.netloc) != (other.scheme, other.netloc):
            raise Unreachable(f"GET {path}: the next page is on {other.netloc[:100]!r}; expected {own.netloc!r}.")
        return str(link)

    def _send(self, method: str, path_or_url: str, body: dict[str, Any] | None = None) -> Any:
        url = path_or_url if path_or_url.startswith("http") else f"{self._base}{path_or_url}"
        what = f"{method} {urlsplit(url).path}"
        try:
            response = self._exchange(method, url, body)
        except httpx.HTTPError as error:
            raise self._unreachable(what, error) from error
        return decipher(response.status_code, response.headers, response.content, what=what)

    def _unreachable(self, what: str, error: Exception) -> Unreachable:
        why, remedy = why_failed(error)
        ambiguous = not isinstance(error, NOT_SENT)
        sent = "the answer was lost" if ambiguous else "not sent"
        step = f"{remedy} Nothing was overwritten. Then start a new run." if remedy else None
        return Unreachable(
            f"{what}: {urlsplit(self._base).netloc}: {why}, {sent}.", next_step=step, ambiguous=ambiguous
        )

    def _destroy(self, path: str, body: dict[str, Any]) -> None:
        """Send a destructive POST: 202 is accepted, 4xx refused, everything else after sending unknown."""
        what = f"POST {path}"
        try:
            response = self._exchange("POST", f"{self._base}{path}", body)
        except NOT_SENT as error:
            raise self._unreachable(what, error) from error
        except httpx.HTTPError as error:
            why = why_failed(error)[0]
            raise OutcomeUnknown(f"{what}: {why} after it was sent; its answer is lost.") from error
        if response.status_code == 202:
            return
        if 400 <= response.status_code < 500:
            try:
                decipher(response.status_code, response.headers, response.content, what=what)
            except RateLimited as limited:
                raise HostRefused(limited.message, status=429) from limited
        raise OutcomeUnknown(
            f"{what}: the host answers {response.status_code}; expected 202.", status=response.status_code
        )

    def _exchange(self, method: str, url: str, body: dict[str, Any] | None, **options: Any) -> httpx.Response:
        """Send one request and read its answer, up to a limit in size and time."""
        started = datetime.now(UTC)
        with self._http.stream(method, url, json=body, **options) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                slow = (datetime.now(UTC) - started).total_seconds() > LONGEST_ANSWER
                if len(content) > BIGGEST_ANSWER or slow:
                    raise httpx.ReadError("the answer is too long" if not slow else "the answer takes too long")
        headers = [(k, v) for k, v in response.headers.items() if k not in ("content-encoding", "content-length")]
        return httpx.Response(response.status_code, headers=headers, content=bytes(content))


def _uuid(value: str) -> str:
    """Return the id if it is a UUID. Anything else could change the path, and only one endpoint accepts names."""
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError) as error:
        raise Misconfigured(f"{str(value)[:60]!r} is not an id of the hosting API; expected a UUID.") from error


def _model(model: type[M], value: Any, what: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, part["loc"])) for part in error.errors()})) or "the object"
        raise Unreachable(f"{what}: the answer is not a valid {model.__name__} ({fields}).") from None
