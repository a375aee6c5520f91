"""`init`: from an account to the files of a worker, typed on a real terminal or without one, and nothing half-done."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.cli.answers import Answers
from tasks.configuration.code_version import PROJECT
from tasks.configuration.estate_file import load_estate
from tasks.signoff.leads import load_leads
from tests.terminal import Terminal

ANNA, BERT = "Anna Lead <anna@schulfest.example>", "Bert Lead <bert@schulfest.example>"
UNATTENDED = ("--no-deploy", "--no-codes", "--yes", "--server", "http://127.0.0.1:9/api")


@pytest.fixture
def typed(nothing: Path) -> Callable[..., Terminal]:
    """Start the program on a terminal of its own."""

    def start(*options: str) -> Terminal:
        environment = os.environ | {"NO_COLOR": "1", "PYTHONPATH": str(PROJECT), "PREFECT_HOME": str(nothing)}
        files = ["--environment-file", str(nothing / "worker.env"), "--unit", str(nothing / "unit.service")]
        return Terminal([sys.executable, "-m", "deployments.cli", "init", *files, *options], environment, PROJECT)

    return start


def log_in(monkeypatch: pytest.MonkeyPatch, password: str = "demo") -> None:  # noqa: S107  # the emulator's own
    """Set the login in the environment."""
    monkeypatch.setenv("UNDERSTUDY_API_USER", "demo")
    monkeypatch.setenv("UNDERSTUDY_API_PASSWORD", password)


def files(home: Path) -> set[str]:
    """Return the files of a home, without what Prefect keeps there."""
    return {path.name for path in home.iterdir() if path.is_file() and path.suffix in (".yaml", ".env", ".service")}


def test_a_person_is_asked_for_what_is_missing_and_no_more(
    typed: Callable[..., Terminal], nothing: Path, key: Path
) -> None:
    """A wrong password is asked for again; eleven answers make everything, and no secret is echoed."""
    public = nothing / "anna.pub"
    public.write_text(
        subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
    )
    screen = typed("--server", "http://127.0.0.1:9/api")
    for asked, answer in (
        ("API user: ", "demo"), (r"API password .*: ", "falsch"), (r"refuses this API login.*\n?API user: ", "demo"),
        (r"API password .*: ", "demo"), (r"1\. Schulfest: schulprod \(production\), schulstage \(staging\)[^?]*: ", "5"),
        (r"'5' is not one of the listed sites[^:]*: ", "1"), (r"E-mail address .*: ", "ops@schulfest.example"),
        (r"PostgreSQL .*: ", ""), ("First lead.*: ", ANNA), (r"SSH public key of Anna Lead.*: ", str(public)),
        ("Second lead.*: ", BERT), ("SSH public key of Bert Lead.*: ", ""),
    ):  # fmt: skip
        screen.expect(asked)
        screen.type(answer)
    difference = screen.expect(r"Write this \(yes or no\): ")
    assert files(nothing) == set()  # nothing before the person agrees
    screen.type("yes")
    assert screen.end() == 0, screen.shown
    assert "+  - name: Schulfest" in difference
    assert "falsch" not in screen.shown
    assert screen.shown.count("or type: ") == 2
    assert load_estate(nothing / "estate.yaml").sites[0].staging == "schulstage"
    leads = load_leads(nothing / "leads.yaml", nothing / "codes.yaml")
    assert [(lead.name, len(lead.keys), bool(leads.secret(lead))) for lead in leads.everybody] == [
        ("Anna Lead", 1, True),
        ("Bert Lead", 0, True),
    ]
    assert {(nothing / name).stat().st_mode & 0o777 for name in ("worker.env", "codes.yaml")} == {0o600}
    assert 'UNDERSTUDY_API_PASSWORD="demo"' in (nothing / "worker.env").read_text()
    assert f"EnvironmentFile={nothing / 'worker.env'}" in (nothing / "unit.service").read_text()
    assert "understudy run refresh schulprod schulstage" in screen.shown


@pytest.mark.parametrize("stop", ["Ctrl-C", "no", "end of input"])
def test_who_stops_leaves_nothing(typed: Callable[..., Terminal], nothing: Path, stop: str, monkeypatch: Any) -> None:
    """Ctrl-C, a no and a closed input write no file and end with one sentence."""
    log_in(monkeypatch)
    screen = typed(
        "--notify", "ops@schulfest.example", "--server", "http://127.0.0.1:9/api", "--site", "all", "--lead", ANNA
    )
    screen.expect("PostgreSQL .*: ")
    if stop == "Ctrl-C":
        screen.interrupt()
    else:
        screen.type("")
        screen.expect("Enter: one-time codes only.*: |Second lead.*: ")
        screen.type("")
        screen.expect("Write this .*: |Second lead.*: ")
        if stop == "no":
            screen.type("no")
        else:
            screen.type_end()
    code = screen.end()
    assert code == {"Ctrl-C": 130, "no": 1, "end of input": 2}[stop], screen.shown
    assert files(nothing) == set()
    assert "Traceback" not in screen.shown


def test_without_a_terminal_options_are_the_answers(
    init: Callable[..., Any], nothing: Path, monkeypatch: pytest.MonkeyPatch, key: Path
) -> None:
    """The document lists what was written; a second run finds nothing that differs."""
    log_in(monkeypatch)
    public = nothing / "anna.pub"
    public.write_text(
        subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
    )
    given = (
        "--site",
        "Schulfest",
        "--notify",
        "ops@schulfest.example",
        "--lead",
        f"{ANNA} {public}",
        *UNATTENDED,
        "--json",
    )
    done = init(*given)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["sites"], document["leads"], document["asked"]) == (["Schulfest"], ["Anna Lead"], 0)
    assert {each["change"] for each in document["files"]} == {"created"}
    before = {path.name: path.stat().st_mtime_ns for path in nothing.iterdir()}
    again = json.loads(init("--site", "none", *UNATTENDED, "--json").stdout)
    assert (again["sites"], again["leads"], {each["change"] for each in again["files"]}) == ([], [], {"kept"})
    assert {path.name: path.stat().st_mtime_ns for path in nothing.iterdir()} == before


def test_what_a_person_wrote_stays(init: Callable[..., Any], nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries, comments and values stay; a described site is not offered again, and a difference is only reported."""
    log_in(monkeypatch)
    estate = "# ours\nsites:\n  - name: Fest  # the feast\n    production: schulprod\n"
    (nothing / "estate.yaml").write_text(estate)
    (nothing / "worker.env").write_text("# ours\nUNDERSTUDY_NOTIFY=mine@schulfest.example\nOTHER=1\n")
    (nothing / "leads.yaml").write_text("- {name: Bert Lead, email: bert@schulfest.example}\n")
    done = init("--site", "all", *UNATTENDED, "--json")
    assert done.exit_code == 0, done.output
    assert (nothing / "estate.yaml").read_text() == (
        f"{estate}  - name: Verein\n    production: vereinprod\n    staging: vereinstage\n"
    )
    assert (
        (nothing / "worker.env").read_text().startswith("# ours\nUNDERSTUDY_NOTIFY=mine@schulfest.example\nOTHER=1\n")
    )
    assert any("The estate describes Fest as schulprod" in note for note in json.loads(done.stdout)["notes"])


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ((), "--show-secret or --no-codes"),
        (("--no-codes",), "Use UNDERSTUDY_API_USER, or UNDERSTUDY_API_USER_FILE, or --no-account"),
        (("--no-codes", "--no-account"), "Use --lead"),
        (("--no-codes", "--no-account", "--lead", ANNA), "nothing to prove an answer with"),
        (("--no-account", "--show-secret", "--lead", ANNA, "--server", "http://127.0.0.1:9/api"), "Use --yes"),
    ],
)
def test_without_a_terminal_a_missing_answer_names_its_option(
    init: Callable[..., Any], nothing: Path, options: tuple[str, ...], missing: str
) -> None:
    """One error, and no file."""
    done = init(*options)
    assert done.exit_code in (1, 2)
    assert missing in done.stderr
    assert files(nothing) == set()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("password", "refuses this API login"),
        ("estate", "line 1, column 1, sitez"),
        ("environment", "Line 1 of"),
        ("account", "nothing listens at that address"),
        ("folder", "is a folder; expected a file"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    init: Callable[..., Any], nothing: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, named: str
) -> None:
    """A refused login, a mistake in a file, a host that is away, a path in the way: each with a remedy."""
    log_in(monkeypatch, "falsch" if wrong == "password" else "demo")
    if wrong == "estate":
        (nothing / "estate.yaml").write_text("sitez: []\n")
    if wrong == "environment":
        (nothing / "worker.env").write_text("geheim\n")
    if wrong == "account":
        monkeypatch.setenv("UNDERSTUDY_API_URL", "http://127.0.0.1:9/v1")
    if wrong == "folder":
        (nothing / "unit.service").mkdir()
    before = {path.name for path in nothing.iterdir()}
    done = init("--site", "all", "--notify", "ops@schulfest.example", "--lead", ANNA, "--show-secret", "--yes")
    assert done.exit_code == 1, done.output
    assert named in done.stderr
    assert "falsch" not in done.output
    assert "geheim" not in done.output
    assert {path.name for path in nothing.iterdir()} == before


def test_an_answer_is_asked_for_until_it_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Yes and no are words; anything else is asked for again, and counts as one."""
    typed = iter(["", "perhaps", "YES", ""])
    monkeypatch.setattr("deployments.cli.answers.prompt", lambda *_, **__: next(typed))
    answers = Answers()
    answers.on_terminal = True
    assert answers.confirm("Really", option="--yes")
    assert not answers.confirm("Really", option="--yes", default=False)
    assert answers.asked == 2
