"""Any answer of the host (status, headers, body) becomes a value or an error."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.capi.errors import decipher
from tasks.estate.errors import HostRefused, NotFound, RateLimited, UnderstudyError, Unreachable

HTML = b"<html><body>Bad Gateway</body></html>"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, Unreachable), (400, HostRefused), (401, HostRefused), (403, HostRefused), (404, NotFound),
        (409, HostRefused), (422, HostRefused), (429, RateLimited), (500, Unreachable), (502, Unreachable),
        (503, Unreachable), (504, Unreachable),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "body", [b"", HTML, b'{"message": "Not now"}', b"{", b"[]", b'{"errors": [{"field": "x"}, 3]}']
)
def test_each_status_means_one_error_whatever_the_body(status: int, error: type[UnderstudyError], body: bytes) -> None:
    """The status decides which error is raised; an empty, HTML or malformed body changes nothing."""
    with pytest.raises(error, match="GET /x") as raised:
        decipher(status, {}, body, what="GET /x")
    assert type(raised.value) is error


@pytest.mark.parametrize(("body", "value"), [(b"", None), (b"null", None), (b'{"a": 1}', {"a": 1}), (b" \n", None)])
def test_a_success_is_its_json_or_nothing(body: bytes, value: object) -> None:
    """Empty bodies and JSON null are None."""
    assert decipher(202, {}, body, what="POST /x") == value


def test_a_success_that_is_not_json_is_unreachable() -> None:
    """A 200 with a malformed body may be retried."""
    with pytest.raises(Unreachable, match="not JSON"):
        decipher(200, {}, b'{"results": [', what="GET /x")


def test_the_message_quotes_the_host_and_its_request_id() -> None:
    """The message contains the host's message, the wrong field and the request id."""
    body = json.dumps({"message": "Bad request", "errors": [{"field": "type", "message": "is required"}]}).encode()
    with pytest.raises(HostRefused, match=r"Bad request; type: is required.*request id r-1"):
        decipher(400, {"x-amzn-requestid": "r-1"}, body, what="POST /x")


@pytest.mark.parametrize(
    ("value", "seconds"), [("1", 1.0), ("2.5", 2.5), ("", None), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)]
)
def test_retry_after_is_read_as_number_or_date(value: str, seconds: float | None) -> None:
    """`Retry-After` may be seconds or a date; anything else is unknown."""
    with pytest.raises(RateLimited) as raised:
        decipher(429, {"retry-after": value}, b"", what="GET /x")
    assert raised.value.retry_after == seconds


@given(
    st.integers(100, 599), st.dictionaries(st.sampled_from(["retry-after", "x-amzn-requestid"]), st.text()), st.binary()
)
def test_every_answer_is_a_value_or_one_of_our_errors(status: int, headers: dict[str, str], body: bytes) -> None:
    """For any status, headers and body the result is a value or an `UnderstudyError`."""
    with contextlib.suppress(UnderstudyError):
        decipher(status, headers, body, what="GET /x")
