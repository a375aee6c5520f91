"""`dump` and `load`: from production to staging in a terminal, without a Prefect server."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.cli.__main__ import app
from deployments.cli.run_in_process import local_run
from tasks import loads
from tasks.configuration.settings import load_settings
from tasks.estate.dumps import Choices
from tasks.estate.errors import PlanIsStale
from tasks.runtime.resources import open_ledger
from tasks.signoff.leaked_dumps import record_leak
from tests.people import DEMO_LEAD

POLICY = Path(__file__).parents[3] / "deployments" / "policies" / "schulportal.yaml"
ANSWER = ("--name", DEMO_LEAD, "--decision", "approve", "--reason", "a fresh copy for staging")


@pytest.fixture
def cli(school: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any]]:
    """Run the program with `--json` and without an address of Prefect; return exit code and document."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    def run(*arguments: object, **more: Any) -> tuple[int, Any]:
        result = CliRunner().invoke(app, [*map(str, arguments), "--json"], **more)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout) if result.stdout else None

    return run


@pytest.fixture
def load(cli: Callable[..., Any], dumped: dict[str, Any], school: Any) -> Callable[..., tuple[int, Any]]:
    """Load that dump, with more options."""
    target = ("load", dumped["outcome"]["dump"], "--hostname", school.hostname)
    return lambda *more, policy=POLICY, **options: cli(*target, "--policy", policy, *more, **options)


@pytest.fixture
def dumped(cli: Callable[..., Any], tmp_path: Path) -> dict[str, Any]:
    """The document of a dump made from the terminal."""
    code, document = cli("dump", "--policy", POLICY, "--to", tmp_path / "out")
    assert (code, document["outcome"]["name"]) == (0, "Exported")
    return dict(document)


def test_a_dump_goes_into_staging_after_a_lead_has_approved(load: Callable[..., Any], school: Any, key: Path) -> None:
    """Masked rows arrive, and the ledger contains every step of the run, which Prefect never had."""
    code, document = load("--key", key, *ANSWER)
    assert (code, document["outcome"]["name"], document["faults"]) == (0, "Loaded", []), document
    (original,) = school.ask("SELECT email FROM users ORDER BY id LIMIT 1", production=True)
    (masked,) = school.ask("SELECT email FROM users ORDER BY id LIMIT 1")
    assert masked != original
    loaded = [fact.run_id for fact in open_ledger().facts(kind="settled")]
    kinds = [fact.kind for fact in open_ledger().facts(run_id=loaded[-1])]
    assert [kind for kind in kinds if kind in ("planned-load", "asked", "approved", "consumed", "sending", "settled")] == [
        "planned-load", "asked", "approved", "consumed", "sending", "settled",
    ]  # fmt: skip


def test_a_plan_only_dump_writes_nothing(cli: Callable[..., Any], tmp_path: Path) -> None:
    """`--plan-only` lists every table and column with its rule, and writes no file."""
    code, document = cli("dump", "--policy", POLICY, "--to", tmp_path / "out", "--plan-only")
    assert (code, document["outcome"]["name"]) == (0, "Planned")
    users = next(table for table in document["plan"]["tables"] if table["table"] == "users")
    assert {"column": "email", "rule": "email", "raw": False} in users["columns"]
    assert not (tmp_path / "out").exists()


def test_a_plan_only_load_asks_nobody(load: Callable[..., Any], school: Any) -> None:
    """`--plan-only` shows what would be replaced, and changes nothing on staging."""
    school.change(
        "CREATE FUNCTION few() RETURNS boolean LANGUAGE sql AS 'SELECT count(*) < 1000000 FROM users';"
        " ALTER TABLE messages ADD CONSTRAINT few CHECK (few()) NOT VALID; CREATE TABLE only_here (id int)"
    )
    before = school.contents()
    code, document = load("--plan-only")
    assert (code, document["outcome"]["name"], document["plan"]["hostname"]) == (0, "Planned", school.hostname)
    assert document["plan"]["untouched"] == ["only_here"]
    assert school.contents() == before
    assert not open_ledger().facts(kind="asked")


def test_a_rejected_load_changes_nothing(load: Callable[..., Any], school: Any, key: Path) -> None:
    """A rejection ends with exit code 1, as Rejected with the reason."""
    before = school.contents()
    code, document = load("--key", key, "--name", DEMO_LEAD, "--decision", "reject", "--reason", "not on a Friday")
    assert (code, document["outcome"]["name"]) == (1, "Rejected")
    assert "not on a Friday" in document["outcome"]["message"]
    assert {name: rows for name, rows in school.contents().items() if "Audit" not in name} == {
        name: rows for name, rows in before.items() if "Audit" not in name
    }


def test_an_unproven_answer_loads_nothing_and_leaves_no_open_request(load: Callable[..., Any], school: Any) -> None:
    """After a wrong code the command asks again; when the input ends, it closes the request."""
    before = school.ask("SELECT count(*) FROM users")
    code, _ = load("--code", "000000", *ANSWER, input="")
    assert code == 2
    assert school.ask("SELECT count(*) FROM users") == before
    kinds = [fact.kind for fact in open_ledger().facts()]
    assert ("answer-refused" in kinds, "rejected" in kinds, "consumed" in kinds) == (True, True, False)


def test_a_wrong_hostname_is_refused_before_anybody_is_asked(
    cli: Callable[..., Any], dumped: dict[str, Any], school: Any
) -> None:
    """The typed hostname must be the target's own."""
    code, document = cli("load", dumped["outcome"]["dump"], "--policy", POLICY, "--hostname", "www.schule.example")
    assert (code, document["outcome"]["name"]) == (1, "WrongHost")
    assert document["faults"][0]["remedy"]


@pytest.mark.parametrize(
    "arguments",
    [("dump",), ("dump", "--policy", "no-such-file.yaml"), ("load", "--policy", str(POLICY)), ("dump", "--nonsense")],
    ids=["no policy", "missing file", "no dump", "unknown option"],
)
def test_a_usage_error_exits_with_2(arguments: tuple[str, ...], worker: Any) -> None:
    """Usage errors have another exit code than refusals."""
    assert CliRunner().invoke(app, list(arguments)).exit_code == 2


def test_the_settings_of_a_command_end_with_it(cli: Callable[..., Any], tmp_path: Path) -> None:
    """The environment is restored, also after a refusal, and the address is in no message."""
    before = dict(os.environ)
    secret = "postgresql://reader:sEcr3tWord@127.0.0.1:1/nothing"
    code, document = cli("dump", "--policy", POLICY, "--source", secret, "--to", tmp_path)
    assert (code, document["outcome"]["name"]) == (1, "Unreachable")
    assert "sEcr3tWord" not in json.dumps(document)
    assert dict(os.environ) == before


def test_a_target_that_another_run_holds_is_busy(load: Callable[..., Any], key: Path) -> None:
    """Without Prefect, whether the other run is over is not known: it counts as running, and is named."""
    load("--plan-only")
    ((place,),) = ({fact.destination_id for fact in open_ledger().facts(kind="planned-load")},)
    other = "11111111-2222-4333-8444-555555555555"
    open_ledger().take_lock(
        place, other, is_over=lambda run: False, settles=lambda fact: False,
        horizon=timedelta(days=1), now=datetime.now(UTC),
    )  # fmt: skip
    code, document = load("--key", key, *ANSWER)
    assert (code, document["outcome"]["name"]) == (1, "DestinationBusy")
    assert other in document["outcome"]["message"]


def test_a_dump_whose_load_found_a_leak_is_never_called_proven_again(
    load: Callable[..., Any], dumped: dict[str, Any], school: Any, key: Path, tmp_path: Path
) -> None:
    """The load rolls back and reports that the dump still exists; every later plan calls it unproven."""
    dump = dumped["outcome"]["dump"]
    _, healthy = load("--plan-only")
    assert healthy["plan"]["unproven"] == ""
    other = tmp_path / "other" / POLICY.name
    other.parent.mkdir()
    other.write_text(POLICY.read_text(encoding="utf-8").replace("notes: scrub", "notes: {maker: scrub, text: gone}", 1))
    before = school.ask("SELECT * FROM users ORDER BY id")
    code, document = load("--key", key, *ANSWER, policy=other)
    assert (code, document["outcome"]["name"]) == (1, "LeakFound"), document
    assert Path(dump).name in document["outcome"]["next_step"]
    assert "still exists and counts as unproven" in document["outcome"]["next_step"]
    assert Path(dump).exists()
    assert school.ask("SELECT * FROM users ORDER BY id") == before
    _, document = load("--plan-only")
    assert "found personal data" in document["plan"]["unproven"]


def test_a_plan_for_a_proven_dump_is_stale_once_a_load_found_a_leak(dumped: dict[str, Any], school: Any) -> None:
    """A plan that waited for its answer meanwhile is not loaded, and the message names what changed."""
    approval: Any = None  # the plan is looked at before its approval
    with local_run(POLICY, {}):
        facts = loads.check_dump.fn(dumped["outcome"]["dump"], POLICY.stem)
        plan = loads.plan_load.fn(facts, POLICY.stem, school.hostname, Choices())
        record_leak(open_ledger(), plan, file="another-name.json.gz")
        with pytest.raises(PlanIsStale, match=r"changed: proof of the dump\.$"):
            loads.load_once.fn(plan, approval, POLICY.stem)
    assert not open_ledger().facts(kind="sending")


@pytest.mark.parametrize("removable", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE users SET title = email WHERE id = 1", "users.title holds 1 values of users.email"),
        ("UPDATE users SET title = 'planted-4711' WHERE id = 1", "canary is in the output of users.title"),
    ],
)
def test_an_export_in_which_a_value_is_found_leaves_no_dump(
    cli: Callable[..., Any], tmp_path: Path, school: Any, monkeypatch: pytest.MonkeyPatch, change: str, words: str,
    removable: bool,
) -> None:  # fmt: skip
    """A value of another column, or a canary, leaves no dump and no fact of one; the message states whether the parts were removed."""
    policy = tmp_path / "planted" / POLICY.name
    policy.parent.mkdir()
    policy.write_text(POLICY.read_text(encoding="utf-8") + "\ncanaries: [planted-4711]\n", encoding="utf-8")
    school.change(change, production=True)
    if not removable:
        monkeypatch.setattr("tasks.exports.shutil.rmtree", lambda folder, ignore_errors: None)
    code, document = cli("dump", "--policy", policy, "--to", tmp_path / "out")
    outcome = document["outcome"]
    assert (code, outcome["name"]) == (1, "LeakFound"), document
    assert words in outcome["message"]
    assert ("Its parts were removed." in outcome["next_step"]) is removable
    assert ("could NOT be removed" in outcome["next_step"]) is not removable
    assert not [path for path in tmp_path.rglob("*.json*") if "export" in path.name]
    assert bool(list(load_settings().dump_work.rglob("*.part"))) is not removable
    assert not open_ledger().facts(kind="exported")
