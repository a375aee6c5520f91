"""Addresses in settings: validated at the start by the rules of RFC 3986, and never shown in a message.

A password that contains `/`, `@`, `#`, `?` or `%` changes what an address means, and drivers then print parts of it as a
host. So only an address with exactly one meaning is accepted. For any other value, `Misconfigured` names the variable and
how to encode special characters, and shows no part of the value.
"""

import re
from collections.abc import Callable

from tasks.estate.errors import Misconfigured

ENCODE = (
    "Encode each special character of the user and the password as % and two hexadecimal digits: @ as %40, / as %2F, : as %3A, "
    "# as %23, ? as %3F, % as %25, a blank as %20."
)
# RFC 3986: unreserved, percent-encoded and sub-delims. None of them can be read as the end of the part.
TEXT = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
PATH = rf"(?:{TEXT}|[/:])"
HOST = rf"(?:\[[0-9A-Fa-f:.]+(?:%25{TEXT}+)?\]|{TEXT}*)(?::[0-9]{{1,5}})?"
USER = rf"(?:(?P<login>{TEXT}*(?::(?:{TEXT}|:)*)?)@)?"
QUERY = rf"(?:\?(?:{PATH}|\?)*)?"
DATABASE = re.compile(
    rf"(?P<scheme>postgres(?:ql)?(?:\+psycopg2?)?)://{USER}(?P<hosts>{HOST}(?:,{HOST})*)(?P<path>(?:/{TEXT}*)?){QUERY}"
)
SQLITE = re.compile(r"sqlite(?:\+pysqlite)?:///[^?#\n]*(?:\?[^#\n]*)?")
WEB = re.compile(rf"https?://(?P<hosts>{HOST})(?P<path>(?:/{PATH}*)?)")
PREFECT = re.compile(rf"https?://{USER}(?P<hosts>{HOST})(?:/{TEXT}+)*/api(?:/accounts/{TEXT}+/workspaces/{TEXT}+)?/?")
FOLDER = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*://{USER}(?P<hosts>{HOST})(?:/[^?#\n]*)?{QUERY}")
HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
BLOCK = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")  # how Prefect names a block document
NOTICE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
KEYWORDS = re.compile(r"\s*[a-z_]+\s*=")  # libpq's other form: host=… dbname=…


def database_address(variable: str, value: str) -> str:
    """Return the address for libpq: a URI, or libpq's keywords. Raise `Misconfigured` if it is ambiguous."""
    if KEYWORDS.match(value):
        return _keywords(variable, value)
    found = _matched(variable, value, DATABASE, "postgresql://user:password@host:port/database")
    return _keywords(variable, "postgresql" + value[len(found["scheme"]) :])  # libpq validates the parameters


def ledger_address(variable: str, value: str) -> str:
    """Return the address for SQLAlchemy, with the installed driver. Raise `Misconfigured` if it is ambiguous."""
    if value.startswith("sqlite"):
        _matched(variable, value, SQLITE, "sqlite:////path/to/ledger.db")
        return value
    found = _matched(variable, value, DATABASE, "sqlite:///… or postgresql+psycopg://user:password@host/database")
    return "postgresql+psycopg" + value[len(found["scheme"]) :]


def web_address(variable: str, value: str) -> str:
    """Return the address of an API: http or https, a host, optionally a path; no login, query or fragment."""
    _matched(variable, value, WEB, "https://host/path, without user, password, query and fragment")
    return value


def api_address(variable: str, value: str) -> str:
    """Return the address of the hosting API, which must end with its version: without it every request gets a 404."""
    address = web_address(variable, value).rstrip("/")
    if not address.endswith("/v1"):
        raise Misconfigured(
            f"{variable} does not end with /v1; expected an address like https://api.wpengineapi.com/v1. Its value is not shown.",
            next_step="Nothing was sent. Add /v1 to the address.",
        )
    return address


def prefect_address(variable: str, value: str) -> str:
    """Return the address of a Prefect server's API, or of a workspace of Prefect Cloud."""
    if _parsed(value, PREFECT) is None:
        raise Misconfigured(
            f"{variable} is not the address of a Prefect API; expected an address like http://host:4200/api, which ends with "
            "/api. Its value is not shown.",
            next_step=f"Nothing was sent. Correct it: `prefect config set {variable}=http://host:4200/api`.",
        )
    return value


def folder_address(variable: str, value: str) -> str:
    """Return a path, or the address of a folder for fsspec."""
    if "://" in value:
        _matched(variable, value, FOLDER, "a path, or an address like s3://bucket/folder")
    return value


def gateway_address(variable: str, value: str) -> str:
    """Return `host:port`."""
    _matched(variable, value, HOST_AND_PORT, "host:port")
    return value


def notice_addresses(variable: str, value: str) -> str:
    """Return where notices go, separated by blanks: Prefect blocks or Apprise addresses."""
    for number, place in enumerate(value.split(), start=1):
        if not BLOCK.fullmatch(place) and not NOTICE.fullmatch(place):
            raise _wrong(
                f"{variable}, entry {number},", "a block like slack-webhook/leads, or an address like mailtos://…"
            )
    return value


def server_and_database(address: str) -> str:
    """Return host, port and database for messages; an empty string if they might be part of a login."""
    found = DATABASE.fullmatch(address)
    if found is None or found["login"] is None:
        return ""
    return f"{found['hosts'] or 'localhost'}{found['path']}"


def _keywords(variable: str, value: str) -> str:
    from psycopg import ProgrammingError  # loaded only when it is needed
    from psycopg.conninfo import conninfo_to_dict

    wrong = False
    try:
        conninfo_to_dict(value)
    except ProgrammingError:
        wrong = True  # raised below, so that the driver's message, which quotes the value, is not its context
    if wrong:
        raise _wrong(variable, "libpq's keywords, like host=db.example.org dbname=app user=reader")
    return value


def _matched(variable: str, value: str, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
    found = _parsed(value, pattern)
    if found is None:
        raise _wrong(variable, expected)
    return found


def _parsed(value: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """Return the parts of an address, or None if it does not match or a port is out of range."""
    found = pattern.fullmatch(value)
    ports = re.findall(r":([0-9]+)(?=,|$)", found.groupdict().get("hosts") or "") if found else []
    return found if all(0 < int(port) < 65536 for port in ports) else None


def _wrong(variable: str, expected: str) -> Misconfigured:
    return Misconfigured(
        f"{variable} is ambiguous or not an address; expected {expected}. Its value is not shown.",
        next_step=f"Nothing was sent. {ENCODE}",
    )


ADDRESSES: dict[str, Callable[[str, str], str]] = {
    "api_url": api_address,
    "source_database": database_address,
    "target_database": database_address,
    "ledger_url": ledger_address,
    "dump_folder": folder_address,
    "site_gateway": gateway_address,
    "ssh_gateway": gateway_address,
    "notices": notice_addresses,
}
