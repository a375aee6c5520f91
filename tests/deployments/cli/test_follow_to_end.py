"""Following a run to its end: its requests are answered here or left to others, and it ends with the outcome."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import typer
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed, Failed, Running, Suspended

from deployments.cli import follow_to_end
from deployments.cli.follow_run import Limits
from deployments.cli.follow_to_end import Person
from deployments.cli.output import MarkdownText, NoResult, Result
from deployments.prefect_server import Form
from tasks.estate.errors import NotApproved, NotFound

RUN = UUID("11111111-1111-4111-8111-111111111111")


def form(number: int, text: str = "**The plan**") -> Form:
    """Return the form of the run's request of that number."""
    return Form(f"suspended-appr-00000000-{number}-schema", text, {}, ())


@dataclass
class Scene:
    """A server on which a run passes through these moments: a state, or a form that it shows."""

    moments: list[Any]
    report_text: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)

    def run(self, run: UUID) -> FlowRun:
        """Return the run at its next moment; it remains at the last one."""
        now = self.moments[0]
        state = Suspended() if isinstance(now, Form) else now
        if isinstance(now, Form):
            state.state_details.run_input_keyset = {"schema": now.key}
        return FlowRun(id=RUN, flow_id=RUN, name="promote a to b", state=state, parameters=self.parameters)

    def form(self, run: FlowRun) -> Form | None:
        """Return the form of this moment."""
        now = self.moments[0]
        return now if isinstance(now, Form) else None

    def steps(self, run: UUID) -> list[Any]:
        """Return no steps."""
        return []

    def progress(self, run: UUID) -> list[Any]:
        """Return no bars."""
        return []

    def report(self, run: UUID) -> str:
        """Return the report."""
        return self.report_text

    def follow(self, asked: bool, **limits: float) -> Result:
        """Follow the run with a simulated clock, on which each look is followed by the next moment."""
        clock = [0.0]

        def sleep(seconds: float) -> None:
            clock[0] += seconds
            if len(self.moments) > 1:
                self.moments.pop(0)

        simulated = Limits(clock=lambda: clock[0], sleep=sleep, **limits)
        server: Any = self
        return follow_to_end.follow_to_end(server, RUN, Person(asked, Path("key")), simulated)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The answers that were given, in place of the commands that send them."""
    given: list[Any] = []

    def command(name: str) -> Any:
        def answer(named: str, email: str = "", *, key: Path, wait: bool) -> Result:
            given.append((name, named, email or "-", str(key), wait))
            return Result({}, ["sent"])

        return answer

    for name in ("approve", "reject", "arrived"):
        monkeypatch.setattr(follow_to_end, name, command(name))
    return given


def asks(kind: str, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """Make the run's request one of this kind, and the person one who types this."""

    def find(server: object, named: str) -> Any:
        if kind == "other":
            raise NotFound("no request")
        return type("Request", (), {"kind": kind})

    monkeypatch.setattr(follow_to_end, "find_request", find)
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))


@pytest.mark.parametrize(
    ("kind", "typed", "sent"),
    [
        ("approval", "yes\napprove\n", ("approve", str(RUN), "-", "key", False)),
        ("approval", "reject\n", ("reject", str(RUN), "-", "key", False)),
        ("arrival", "completed\n", ("arrived", str(RUN), "completed", "key", False)),
        ("approval", "later\n", None),
        ("approval", "", None),
        ("other", "", None),
    ],
)
def test_a_request_is_answered_here_or_left_to_others(
    kind: str, typed: str, sent: Any, answers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer goes the way of its command; without one the run is followed on, and ends as it ends."""
    asks(kind, monkeypatch, typed)
    ended = Scene([form(0), form(0), Running(), Completed(name="Verified")]).follow(True)
    assert answers == ([sent] if sent else [])
    assert (ended.document["state"], ended.failed) == ("Verified", False)


def test_each_request_is_asked_once_and_a_refused_answer_is_explained(
    answers: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run asks again after an answer that did not count, with the reason; the form before is not asked about again."""
    asks("approval", monkeypatch, "approve\napprove\n")
    again = form(1, "* **The last answer did not count: the code was used**\n\n**The plan**")
    Scene([form(0), form(0), Running(), again, Completed(name="Verified")]).follow(True)
    assert len(answers) == 2
    assert "The last answer did not count: the code was used\n" in capsys.readouterr().err


def test_nobody_is_asked_who_is_not_there(answers: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a person nothing is read from standard input; a day without an answer ends the wait, not the run."""
    monkeypatch.setattr("sys.stdin", None)
    ended = Scene([form(0), form(0), Failed(name="Rejected", message="no")]).follow(False)
    assert (ended.document["state"], ended.failed, answers) == ("Rejected", True, [])
    with pytest.raises(NoResult, match="No longer followed"):
        Scene([form(0)]).follow(False, poll_every=600.0)


@pytest.mark.parametrize("error", [NotApproved("another destination"), typer.BadParameter("too short")])
def test_an_answer_that_is_refused_here_is_asked_for_again(
    error: Exception, answers: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong destination or a value that the form refuses answers nothing: the person may try again."""
    asks("approval", monkeypatch, "approve\nreject\n")

    def refuse(*_: object, **__: object) -> Result:
        raise error

    monkeypatch.setattr(follow_to_end, "approve", refuse)
    Scene([form(0), Failed(name="Rejected")]).follow(True)
    assert [name for name, *_ in answers] == ["reject"]
    assert str(getattr(error, "message", error)) in capsys.readouterr().err


def test_ctrl_c_at_a_request_ends_following_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message states that the run continues, and how to follow it again."""
    asks("approval", monkeypatch, "")

    def interrupt(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(follow_to_end, "prompt", interrupt)
    with pytest.raises(NoResult, match="The run continues") as stopped:
        Scene([form(0)]).follow(True)
    assert (stopped.value.code, f"understudy watch {RUN}" in stopped.value.next_step) == (130, True)


@pytest.mark.parametrize(
    ("report", "parameters", "shown"),
    [
        ("# diagnose: Healthy\n", {}, True),
        ("# promote: Verified\n", {}, False),
        ("# preview: Previewed\n", {"show_originals": False}, True),
        ("# preview: Previewed\nAnna\n", {"show_originals": True}, False),
        ("", {}, False),
    ],
)
def test_the_report_is_shown_where_it_is_the_result(
    report: str, parameters: dict[str, Any], shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A diagnosis is its report; originals of a preview are never printed."""
    ended = Scene([Completed(name="Healthy")], report, parameters).follow(False)
    assert ("report" in ended.document) == shown
    assert any(isinstance(line, MarkdownText) for line in ended.lines) == shown
