"""Lists of the hosting API: all of it, or an error; and answers of another shape than expected."""

from typing import Any

import httpx
import pytest

from tasks.estate.errors import Unreachable
from tests.tasks.capi.test_client import NEXT, ONE, ScriptedHost


def endless(pages: int) -> ScriptedHost:
    """A host whose list has so many pages, each of them new, without a count."""

    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("offset", 0))
        following = f"{NEXT}{number + 1}" if number + 1 < pages else None
        return httpx.Response(200, json={"results": [{"id": f"{number}", "name": "n"}], "next": following})

    return ScriptedHost(answer)


def test_a_list_has_a_most_number_of_pages() -> None:
    """200 pages are read, a page of 100; a list that goes on is a loop."""
    assert len(endless(200).client.installs()) == 200
    longer = endless(201)
    with pytest.raises(Unreachable, match=r"does not end \(200 pages\)"):
        longer.client.installs()
    assert len(longer.asked) == 200
    assert longer.asked[0].url.params["limit"] == "100"


def test_certificates_that_go_missing_are_not_few() -> None:
    """A 404 is normal on the first page only; after one it means that a part is missing."""

    def answer(request: httpx.Request) -> httpx.Response:
        more = {"certificates": [{"common_name": "a"}], "next_page_token": "more"}
        return httpx.Response(404) if request.url.params["offset"] != "0" else httpx.Response(200, json=more)

    with pytest.raises(Unreachable, match="missing after 1"):
        ScriptedHost(answer).client.certificates(ONE)


def test_certificates_that_never_end_are_an_error() -> None:
    """An empty page that promises more ends the reading at once, and endless pages end it after 200."""

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
def test_a_count_that_is_none_is_not_compared(count: Any) -> None:
    """Only a number that the host names must be the number of what it lists."""
    page = {"results": [{"id": "a", "name": "a"}], "count": count}
    assert len(ScriptedHost(lambda request: httpx.Response(200, json=page)).client.sites()) == 1


@pytest.mark.parametrize("page", [[], "x", {"results": {}}, {}])
def test_a_page_without_a_list_is_an_error(page: Any) -> None:
    """It is not an empty list."""
    with pytest.raises(Unreachable, match="no list of results"):
        ScriptedHost(lambda request: httpx.Response(200, json=page)).client.sites()


@pytest.mark.parametrize(
    ("answer", "told"), [({"id": 1, "name": []}, r"Installation \(id, name\)"), ([], r"Installation \(the object\)")]
)
def test_an_answer_of_another_shape_is_named(answer: Any, told: str) -> None:
    """The message names the fields, and never the values."""
    with pytest.raises(Unreachable, match=told):
        ScriptedHost(lambda request: httpx.Response(200, json=answer)).client.install(ONE)
