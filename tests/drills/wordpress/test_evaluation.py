"""Real WordPress sites are evaluated after a copy, without a run: no healthy one fails, no broken one passes."""

import shlex

import pytest

from tasks.estate.outcomes import decisive_checks, failed_checks, outcome_of, unknown_checks
from tasks.estate.plans import CopyOptions, Finding, Verdict
from tasks.estate.polling import utc_now
from tasks.surveys.install_checks import check_copy, check_install
from tasks.surveys.survey import survey_install, with_appearance
from tests.drills.wordpress.conftest import SCALE, Pair
from tests.drills.wordpress.host import HERE, RealHost, Sites
from tests.drills.wordpress.servers import run
from tests.drills.wordpress.variants import BROKEN, CURABLE, HEALTHY, NOT_KNOWN, Breaking
from tests.sites import made, reading

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]
PAIRS = {"refresh": ("schulprod", "schulstage"), "promote": ("schulstage", "schulprod")}


class Case:
    """One copy on the pair: made as the case describes, then evaluated, any number of times."""

    def __init__(self, host: RealHost, verb: str, logins: dict[str, tuple[str, str]] | None = None) -> None:
        self.host, self.source, self.destination = host, *PAIRS[verb]
        self._verb, self._options = verb, CopyOptions(files=True, database=True)
        self._logins = logins or {}
        self.findings: tuple[Finding, ...] = ()

    def copy(
        self, *, files: bool = True, database: bool = True, replacing: str = "whole", but: Breaking | None = None
    ) -> None:
        """Take the survey before, make the copy of the case, and purge."""
        self.host.replacing = replacing
        with reading(self.host, logins=self._logins) as (client, prober):
            self._ids = {install.name: install.id for install in client.installs()}
            ids = self._ids[self.source], self._ids[self.destination]
            self._before, there = survey_install(client, prober, ids[0]), survey_install(client, prober, ids[1])
            self._there = with_appearance(prober, there)
            self._plan = made(self._verb, self._before, there, self._options)
            options = {"include_files": files, "include_db": database, "db_tables": None}
            self.host.land_copy(self.host, {"source": ids[0], "destination": ids[1], "options": options})
            if but is not None:
                but(self.host, self.source, self.destination)
        self.purge()

    def purge(self) -> None:
        """Purge the caches of the destination."""
        with reading(self.host) as (client, _):
            client.purge_cache(self._ids[self.destination], "page")
        self._purged_at = utc_now()

    def outcome(self) -> str:
        """Look at the destination; return how a run would end."""
        with reading(self.host, logins=self._logins) as (client, prober):
            self.findings = check_copy(
                client, prober, self._plan, self._before, self._there, purged_at=self._purged_at, pace=SCALE
            )
        decisive = decisive_checks(self._plan, Verdict.CONFIRMED)
        return outcome_of(failed_checks(self.findings), unknown_checks(self.findings, decisive))

    def diagnosis(self) -> list[str]:
        """Look at the destination alone; return the checks that fail."""
        with reading(self.host, logins=self._logins) as (client, prober):
            self.findings = check_install(prober, survey_install(client, prober, self._ids[self.destination]))
        return failed_checks(self.findings)

    def shown(self) -> list[tuple[str, bool | None, str, str]]:
        """What did not pass."""
        return [(f.check, f.passed, f.detail, f.action) for f in self.findings if f.passed is not True]

    def remedy(self) -> list[str]:
        """Run every command that the failed checks print, on the destination; return them."""
        commands = [f.action for f in self.findings if f.passed is False and f.action.startswith("wp ")]
        for command in commands:
            wp(self.host.sites, self.destination, command)
        self.purge()
        return commands


def wp(sites: Sites, name: str, line: str) -> None:
    """Do what these commands of WP-CLI do. Refuses what it does not know, as WP-CLI refuses unknown flags."""
    for command in line.split(" && "):
        match shlex.split(command):
            case ["wp", "option", "update", option, value]:
                run(["php", str(HERE / "php" / "option.php"), str(sites.by_name[name].root), option, value])
            case [
                "wp",
                "search-replace",
                old,
                new,
                "--all-tables",
                "--precise",
                "--skip-columns=guid",
                "--report-changed-only",
            ]:
                sites.search_replace(name, old, new)
            case _:
                raise AssertionError(f"no such command: {command}")


@pytest.mark.parametrize("verb", PAIRS)
@pytest.mark.parametrize("what", HEALTHY)
def test_no_healthy_site_fails(what: str, verb: str, pair: Pair) -> None:
    """A copy that arrived whole is Verified, whatever else the site does; so is a look at the site alone."""
    case = Case(pair.host(), verb)
    case.copy(but=HEALTHY[what])
    assert case.outcome() == "Verified", case.shown()
    assert case.diagnosis() == [], case.shown()


@pytest.mark.parametrize("verb", PAIRS)
@pytest.mark.parametrize("what", CURABLE)
def test_what_is_printed_cures_the_site(what: str, verb: str, pair: Pair) -> None:
    """A site with foreign URLs, or hidden from search, fails; the printed commands make it Verified."""
    replacing, but = CURABLE[what]
    case = Case(pair.host(), verb)
    case.copy(replacing=replacing, but=but)
    first = case.outcome()
    if what == "not to be indexed" and verb == "refresh":
        assert first == "Verified", case.shown()
        return
    assert first == "VerifyFailed", case.shown()
    commands = case.remedy()
    assert commands, case.shown()
    assert case.outcome() == "Verified", (commands, case.shown())


@pytest.mark.parametrize("verb", PAIRS)
@pytest.mark.parametrize(
    ("what", "outcome"),
    [*((each, "VerifyFailed") for each in BROKEN), *((each, "VerifiedInPart") for each in NOT_KNOWN)],
)
def test_no_broken_site_passes(what: str, outcome: str, verb: str, pair: Pair) -> None:
    """A site that visitors cannot use, or that is not whole, fails; a maintenance page or a login is neither a failure nor a proof."""
    case = Case(pair.host(), verb)
    case.copy(but=(BROKEN | NOT_KNOWN)[what])
    assert case.outcome() == outcome, case.shown()


@pytest.mark.parametrize("verb", PAIRS)
@pytest.mark.parametrize("missing", ["files", "database", "everything"])
def test_half_a_copy_fails(missing: str, verb: str, pair: Pair) -> None:
    """Files, database or both did not land: the destination still has its own."""
    host = pair.host()
    case = Case(host, verb)
    host.sites.release(case.source, "2")
    case.copy(files=missing == "database", database=missing == "files")
    assert case.outcome() == "VerifyFailed", case.shown()
