"""The rules of direction, comparison and pinning."""

import itertools
from datetime import UTC, datetime

import pytest

from tasks.estate.errors import WrongDestination
from tasks.estate.plans import CopyOptions, Severity
from tasks.estate.rules import compare, pins, require_allowed
from tasks.estate.sites import Content, Direction, Environment, Install, Pair, Survey

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def install(name: str, environment: Environment = Environment.STAGING, **changes: object) -> Install:
    """An active install of the one site of the one account."""
    fields = {
        "id": name, "name": name, "account_id": "a", "site_id": "s", "environment": environment, "status": "active",
        "primary_domain": f"{name}.example",
    }  # fmt: skip
    return Install.model_validate(fields | changes)


def survey(of: Install, newest: datetime | None = NOW, **totals: int) -> Survey:
    """A survey whose public content changed last at `newest`."""
    content = Content(
        reachable=newest is not None, newest={"posts": newest} if newest else {}, totals=totals, files_marker="1"
    )
    return Survey(install=of, content=content, taken_at=NOW)


def refusal(source: Install, destination: Install, direction: Direction, *, other_site: bool = False) -> str:
    """The reason why a pair is refused, or an empty string."""
    try:
        require_allowed(Pair(source=source, destination=destination, direction=direction), other_site=other_site)
    except WrongDestination as refused:
        return refused.message
    return ""


@pytest.mark.parametrize(("source", "destination"), itertools.product(Environment, Environment))
def test_a_refresh_never_reaches_what_may_be_production(source: Environment, destination: Environment) -> None:
    """Going down, only a proven staging or development destination is allowed, whatever the source."""
    allowed = not refusal(install("one", source), install("two", destination), Direction.DOWN)
    assert allowed == (destination in (Environment.STAGING, Environment.DEVELOPMENT))


@pytest.mark.parametrize(("source", "destination"), itertools.product(Environment, Environment))
def test_a_promotion_goes_only_from_proven_non_production_to_production(
    source: Environment, destination: Environment
) -> None:
    """Going up, the destination must be production and the source must not be, unknown refused on both sides."""
    allowed = not refusal(install("one", source), install("two", destination), Direction.UP)
    assert allowed == (destination is Environment.PRODUCTION and not source.may_be_production)


def test_same_install_is_refused() -> None:
    """A copy onto itself is refused with the name."""
    assert "same install, one" in refusal(install("one"), install("one"), Direction.DOWN)


def test_another_account_is_refused_whatever_leave_is_given() -> None:
    """Two accounts are never copied between, also with leave for another site."""
    assert "different accounts" in refusal(
        install("one"), install("two", account_id="b"), Direction.DOWN, other_site=True
    )


@pytest.mark.parametrize("site_id", ["other", None])
def test_another_or_unknown_site_needs_explicit_leave(site_id: str | None) -> None:
    """Another site, or one that the host does not tell, is refused without leave and allowed with it."""
    other = install("two", site_id=site_id)
    assert "expected one site" in refusal(install("one"), other, Direction.DOWN)
    assert refusal(install("one"), other, Direction.DOWN, other_site=True) == ""


@pytest.mark.parametrize("status", ["pending", "unknown"])
def test_an_install_that_is_not_active_is_refused(status: str) -> None:
    """Neither a pending install nor one without a known status takes part in a copy."""
    assert "expected 'active'" in refusal(install("one"), install("two", status=status), Direction.DOWN)


def test_a_newer_destination_is_seen_and_said() -> None:
    """When the destination changed after the source, the comparison says NEWER and counts what is extra."""
    comparison = compare(
        survey(install("one"), datetime(2026, 1, 1, tzinfo=UTC), posts=3),
        survey(install("two"), NOW, posts=5),
        CopyOptions(),
    )
    assert comparison.destination_is_newer is True
    assert any("NEWER" in loss for loss in comparison.losses)
    assert any("2 more public posts" in loss for loss in comparison.losses)


def test_unknown_content_is_said_to_be_unknown() -> None:
    """Where public content cannot be compared, the losses say unknown instead of nothing."""
    comparison = compare(survey(install("one"), None), survey(install("two")), CopyOptions())
    assert comparison.destination_is_newer is None
    assert any("unknown" in loss for loss in comparison.losses)


def test_a_value_the_host_does_not_tell_is_not_equal() -> None:
    """Two absent PHP versions are graded unknown, not equal."""
    rows = {
        row.aspect: row for row in compare(survey(install("one")), survey(install("two")), CopyOptions()).differences
    }
    assert rows["PHP"].severity is Severity.UNKNOWN


def test_files_only_promotions_do_not_pin_the_live_content_of_production() -> None:
    """New posts on production do not make a files-only plan stale, but they do when the database is replaced."""
    source, destination = survey(install("one")), survey(install("two", Environment.PRODUCTION))
    files = pins(source, destination, Direction.UP, CopyOptions(database=False))
    both = pins(source, destination, Direction.UP, CopyOptions())
    assert "destination.newest_change" not in files
    assert {"destination.newest_change", "source.newest_change", "source.asset_versions"} <= both.keys()


@pytest.mark.parametrize(
    ("source", "destination", "newer"),
    [
        ("5.2.0,6.9", "5.12.0,6.9", True),
        ("5.12.0,6.9", "5.2.0,6.9", False),
        ("5.2.0,6.9", "5.2.0,6.9", False),
        ("1.2,6.9", "6.9", False),  # a plugin that is active on the source only
        ("6.9", "1.2,6.9", False),  # and on the destination only: other content, not newer files
        ("5.2.0,1700000000", "5.2.0,1800000000", False),  # time stamps: each site makes its own
        ("5.2.0,a81bc", "5.2.0,ff012", False),
        (None, "5.2.0", None),
        ("5.2.0", None, None),
        ("1700000000", "1800000000", None),
    ],
)
def test_newer_files_are_told_by_versions_alone(
    source: str | None, destination: str | None, newer: bool | None
) -> None:
    """The highest version that only one side shows decides; what is no version tells nothing."""
    sides = [
        survey(install(name)).model_copy(update={"content": Content(reachable=True, files_marker=marker)})
        for name, marker in (("one", source), ("two", destination))
    ]
    compared = compare(sides[0], sides[1], CopyOptions(database=False))
    assert compared.files_are_newer is newer
    assert any("files of two are NEWER" in line for line in compared.losses) == bool(newer)
