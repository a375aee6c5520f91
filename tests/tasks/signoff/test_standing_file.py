"""The standing approvals file: errors in it are reported, and signing an entry changes nothing else."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.estate.errors import Misconfigured
from tasks.signoff.leads import Lead, LeadKey
from tasks.signoff.proofs import new_key, sign, verify_signature
from tasks.signoff.standing import NAMESPACE, load_standing, sign_standing, statement_of
from tests.tasks.signoff.approval_desk import ENTRY

KEY, PUBLIC = new_key()
ANNA = Lead(name="Anna Lead", email="anna@school.example", keys=(LeadKey(key=PUBLIC),))
HOURS = {"from": "22:30", "to": "05:00"}


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a standing approvals file."""

    def write(text: str) -> Path:
        path = tmp_path / "standing.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def as_text(**changes: Any) -> str:
    """Return a file with one entry."""
    return yaml.safe_dump([ENTRY | changes], sort_keys=False)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("source: prod", "expected a list"),
        ("- {source: prod}", "destination"),
        (as_text(reason="ok"), "reason"),
        (as_text(until="soon"), "until"),
        (as_text(until="2026-10-31"), "before issued"),
        (as_text(boss="Anna"), "boss"),
        (as_text(include_database="yes"), "include_database"),
        (as_text(window=HOURS), "window and zone belong together"),
        (as_text(zone="Europe/Vienna"), "window and zone belong together"),
        (as_text(window=HOURS, zone="Europe/Wien"), "is not a time zone"),
        (as_text(window={"from": "02:00", "to": "02:00"}, zone="UTC"), "from and to are the same"),
        (as_text(zone="UTC") + "  window: {from: 12:30, to: 13:30}\n", "time of day in quotes"),
        (as_text(window={"from": "24:10", "to": "06:00"}, zone="UTC"), "window.from"),
        ("- {", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_file_is_reported(file: Callable[[str], Path], text: str, named: str) -> None:
    """The error names the mistake, also an unquoted time, which YAML reads as a number."""
    with pytest.raises(Misconfigured, match=named):
        load_standing(file(text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A missing file is not the same as no entries, because the setting is wrong."""
    with pytest.raises(Misconfigured, match="cannot be read"):
        load_standing(tmp_path / "absent.yaml")


def test_an_entry_onto_production_is_a_load_error(file: Callable[[str], Path]) -> None:
    """If production installs are known, a file with one of them as a destination is not loaded."""
    path = file(as_text(source="other") + as_text(destination="Prod"))
    assert len(load_standing(path, production=["shop"])) == 2
    with pytest.raises(Misconfigured, match=r"Entry 2 of .*, prod → Prod, names production"):
        load_standing(path, production=["shop", "prod"])


NAMES = "source: prod\n{0}destination: stage\n{0}issuer: Anna Lead\n{0}issued: 2026-11-01\n{0}until: 2026-12-31  # the end\n"
LAYOUTS = {
    "block": f"# head\n- {NAMES.format('  ')}  include_database: true  # too\n  reason: nightly refresh\n# tail\n",
    "flow": "- {source: prod, destination: stage, issuer: Anna Lead, reason: nightly refresh, issued: 2026-11-01,\n"
    "   until: 2026-12-31, include_database: true}  # tail\n",
    "nested": f"-   window:\n      from: '02:00'\n      to: '06:00'\n    zone: Europe/Vienna\n    {NAMES.format('    ')}"
    "    include_database: true\n    reason: |\n      nightly\n      refresh\n",
    "empty": f"-\n  signature: ''  # to come\n  {NAMES.format('  ')}  include_database: true\n  reason: nightly refresh\n",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_signing_an_entry_changes_nothing_else_in_the_file(file: Callable[[str], Path], layout: str) -> None:
    """Comments and other entries are kept in every layout, and a second signature replaces the first."""
    text = as_text(source="first") + LAYOUTS[layout] + as_text(source="last")
    path = file(text)
    path.chmod(0o640)
    before = load_standing(path)
    for _ in range(2):
        body = sign(KEY, statement_of(path, 2), namespace=NAMESPACE)
        signed = sign_standing(path, 2, f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----")
    assert load_standing(path)[1] == signed
    now = datetime(2026, 11, 20, tzinfo=UTC)
    verify_signature(ANNA, signed.signature, statement_of(path, 2), namespace=NAMESPACE, at=now)
    assert [e.model_copy(update={"signature": ""}) for e in load_standing(path)] == before
    assert path.stat().st_mode & 0o777 == 0o640
    kept = re.sub(r"(signature: \S+\n {2,4}|, signature: [^}]+)", "", path.read_text()).replace(body, "''")
    assert kept == text


@pytest.mark.parametrize(
    ("number", "body", "message"), [(0, None, "no entry 0"), (2, None, "no entry 2"), (1, "x: y", "was not signed")]
)
def test_a_wrong_number_or_signature_changes_nothing(
    file: Callable[[str], Path], number: int, body: str | None, message: str
) -> None:
    """The file is unchanged if the entry does not exist or the text is not a signature."""
    path = file(as_text())
    text = path.read_text()
    with pytest.raises(Misconfigured, match=message):
        sign_standing(path, number, body or sign(KEY, b"", namespace=NAMESPACE))
    assert path.read_text() == text


def test_the_shipped_file_is_complete() -> None:
    """The repository's own file has two entries for the sandbox, complete except for their signatures."""
    path = Path(__file__).parents[3] / "deployments" / "standing.yaml"
    shipped = load_standing(path, production=["schulprod"])
    assert [entry.pair for entry in shipped] == ["schulprod → schulstage", "schulportal → staging.schule.example"]
    for entry in shipped:
        assert timedelta(0) < entry.until - entry.issued <= timedelta(days=90)
        assert (entry.signature, entry.include_database, entry.window is None) == ("", True, False)
    with pytest.raises(Misconfigured, match="names production as its destination"):
        load_standing(path, production=["SCHULSTAGE"])
