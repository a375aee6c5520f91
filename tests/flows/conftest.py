"""One export and its load, made once and checked by many tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from flows.anonymize import anonymize
from flows.load_dump import load_dump
from tasks.configuration.settings import forget_settings

# Staging is not production's twin: it lacks a table and a column, and has a table and a column more.
DIFFERENT = """DROP TABLE "Förderverein"; ALTER TABLE users DROP COLUMN title;
ALTER TABLE users ADD nickname text NOT NULL DEFAULT 'none'; CREATE TABLE staging_only (id serial PRIMARY KEY, v text);
INSERT INTO staging_only (v) VALUES ('stays')"""


@dataclass(frozen=True)
class Whole:
    """An export and its load, and what they worked on. `before`: staging's contents at the start."""

    school: Any
    exported: Any
    loaded: Any
    dump: str
    before: dict[str, str]


_made: list[Whole] = []


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> Whole:
    """Production exported and loaded into a staging that differs. The first test that uses it makes it; do not change it."""
    if not _made:
        start = request.getfixturevalue("start")
        with pytest.MonkeyPatch.context() as own:  # so that the test continues with its own school
            school = request.getfixturevalue("new_school")(own)
            own.setenv("UNDERSTUDY_MASKING_KEY_ROTATES", "false")
            forget_settings()
            school.change(DIFFERENT)
            before = school.contents()
            exported = start(anonymize, requested_by="Ada Admin")
            assert exported.state == "Exported", exported.message
            (dump,) = school.folder.iterdir()
            loaded = start(load_dump, hostname=school.hostname, requested_by="Ada Admin")
            loaded.approve()
            assert loaded.state == "LoadedInPart", loaded.message
            _made.append(Whole(school, exported, loaded, str(dump), before))
        forget_settings()
    return _made[0]


@pytest.fixture
def different(school: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fresh pair of schools whose staging differs in the same way, under the same stable key."""
    monkeypatch.setenv("UNDERSTUDY_MASKING_KEY_ROTATES", "false")
    forget_settings()
    school.change(DIFFERENT)
    return school


@pytest.fixture
def approve(start: Callable[..., Any]) -> Callable[..., Any]:
    """Start a flow, approve, continue: `approve(load_dump, hostname=…)`; `risk` is what is typed into its field."""

    def run(flow: Any, *, risk: str | None = None, **parameters: Any) -> Any:
        begun = start(flow, **parameters)
        if begun.state == "Suspended":
            begun.approve(**({"risk": risk} if risk is not None else {}))
        return begun

    return run


AUDIT = 'SELECT "Status", "ErrorMessage" FROM "ImportExportAudit" ORDER BY "Id" DESC LIMIT 1'


@pytest.fixture
def last_attempt() -> Callable[[Any], tuple[str, str]]:
    """The newest row of the audit table: status and error."""

    def look(school: Any) -> tuple[str, str]:
        ((status, error),) = school.ask(AUDIT)
        return status, error

    return look
