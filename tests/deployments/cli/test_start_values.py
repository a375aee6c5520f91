"""What a run is started with: the flow's rules are checked here, and what is missing is picked or typed."""

import io
import re
from typing import Any

import pytest
import typer

from deployments.cli.start_values import complete
from deployments.deployed_flows import flow_named

SITES = ["Schulfest: schulstage to schulprod", "Verein: vereintest to verein"]


class Deployed:
    """A server with a deployment of our promotion, which has these parameters of its own."""

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters
        self.parameter_openapi_schema = flow_named("promote").parameters.model_dump()
        self.entrypoint = "flows.promote.promote"

    def deployment(self, name: str) -> "Deployed":
        """Return the deployment."""
        return self


def with_lists() -> Any:
    """Return a server whose form of promotions has lists, as `understudy deploy` writes it."""
    server: Any = Deployed(source="", destination="")
    server.parameter_openapi_schema = {
        "required": ["site"],
        "properties": {
            "site": {"title": "Site", "enum": SITES},
            "answer_within": {"title": "Answer within", "enum": ["8 hours"]},
        },
    }
    return server


def completed(given: dict[str, Any], typed: str = "", **own: Any) -> dict[str, Any]:
    """Return the complete parameters of a promotion, with what a person types."""
    server: Any = Deployed(**own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(typed))
        return complete(server, "promote", given)


PAIR = {"source": "schulstage", "destination": "schulprod"}


def test_a_missing_parameter_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The requester, whom the verb needs, is asked for by the label of the form until it fits, unless the deployment has one."""
    assert completed(PAIR, "Ad\nAda Admin\n") == PAIR | {"requested_by": "Ada Admin"}
    shown = capsys.readouterr()
    assert shown.err.count("Requested by (Your name, for the ledger.") == 2
    assert ("'Ad' has 2 characters" in shown.err, shown.out) == (True, "")
    assert completed(PAIR, requested_by="nightly schedule") == PAIR
    with pytest.raises(typer.BadParameter, match="nothing was typed"):
        completed(PAIR)


def test_names_and_durations_are_accepted_where_the_form_has_lists() -> None:
    """A form that `understudy deploy` made has a list of sites, and no installs; commands name both installs all the same."""
    given = PAIR | {"requested_by": "Ada Admin", "answer_within": "PT2H"}
    assert complete(with_lists(), "promote", given) == given


@pytest.mark.parametrize("typed", ["2\n", f"3\n{SITES[1]}\n"])
def test_a_missing_pair_is_picked_from_the_list_of_the_form(
    typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sites are shown with numbers; a number or the whole line is a choice, another text is asked for again."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert complete(with_lists(), "promote", {"requested_by": "Ada"}) == {"requested_by": "Ada", "site": SITES[1]}
    shown = capsys.readouterr().err
    assert f"1  {SITES[0]}" in shown
    assert ("'3' is not in the list." in shown) == (len(typed) > 2)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"source": "sc"}, "source: 'sc' has 2 characters; expected 3 or more."),
        ({"requested_by": "Al"}, "--requested-by: 'Al' has 2 characters; expected 3 or more."),
        ({"tables": 7}, "promote does not take this: tables: Input should be a valid list"),
        ({"colour": "red"}, "promote has no parameter colour; it has source, destination"),
    ],
)
def test_a_parameter_that_does_not_fit_starts_nothing(given: dict[str, Any], why: str) -> None:
    """What the form would refuse is named by its option before anything is started."""
    with pytest.raises(typer.BadParameter, match=re.escape(why)):
        completed(PAIR | {"requested_by": "Ada"} | given)
