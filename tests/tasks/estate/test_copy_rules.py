"""The rules of direction, comparison and pinning."""

import itertools
from datetime import UTC, datetime

import pytest

from tasks.estate.copy_rules import compare, pins, require_allowed
from tasks.estate.errors import WrongDestination
from tasks.estate.plans import CopyOptions, Severity
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
    """Return why a pair is refused, or an empty string."""
    try:
        require_allowed(Pair(source=source, destination=destination, direction=direction), other_site=other_site)
    except WrongDestination as refused:
        return refused.message
    return ""


@pytest.mark.parametrize(("source", "destination"), itertools.product(Environment, Environment))
def test_a_refresh_never_reaches_what_may_be_production(source: Environment, destination: Environment) -> None:
    """A refresh needs a destination that is proven to be staging or development, whatever the source."""
    allowed = not refusal(install("one", source), install("two", destination), Direction.DOWN)
    assert allowed == (destination in (Environment.STAGING, Environment.DEVELOPMENT))


@pytest.mark.parametrize(("source", "destination"), itertools.product(Environment, Environment))
def test_a_promotion_goes_only_from_proven_non_production_to_production(
    source: Environment, destination: Environment
) -> None:
    """A promotion needs production as destination and another source; unknown is refused on both sides."""
    allowed = not refusal(install("one", source), install("two", destination), Direction.UP)
    assert allowed == (destination is Environment.PRODUCTION and not source.may_be_production)


def test_same_install_is_refused() -> None:
    """A copy of an install onto itself is refused with its name."""
    assert "same install, one" in refusal(install("one"), install("one"), Direction.DOWN)


def test_another_account_is_always_refused() -> None:
    """A copy between two accounts is refused, also if another site is allowed."""
    assert "different accounts" in refusal(
        install("one"), install("two", account_id="b"), Direction.DOWN, other_site=True
    )


@pytest.mark.parametrize("site_id", ["other", None])
def test_another_or_unknown_site_must_be_allowed(site_id: str | None) -> None:
    """Another or unknown site is refused unless it is explicitly allowed."""
    other = install("two", site_id=site_id)
    assert "expected one site" in refusal(install("one"), other, Direction.DOWN)
    assert refusal(install("one"), other, Direction.DOWN, other_site=True) == ""


@pytest.mark.parametrize("status", ["pending", "unknown"])
def test_an_install_that_is_not_active_is_refused(status: str) -> None:
    """A pending install and one without a known status are refused."""
    assert "expected 'active'" in refusal(install("one"), install("two", status=status), Direction.DOWN)


def test_a_newer_destination_is_shown() -> None:
    """If the destination changed after the source, the comparison shows NEWER and counts the difference."""
    comparison = compare(
        survey(install("one"), datetime(2026, 1, 1, tzinfo=UTC), posts=3),
        survey(install("two"), NOW, posts=5),
        CopyOptions(),
    )
    assert comparison.destination_is_newer is True
    assert any("NEWER" in loss for loss in comparison.losses)
    assert any("2 more public posts" in loss for loss in comparison.losses)


def test_unknown_content_is_shown_as_unknown() -> None:
    """If public content cannot be compared, the losses are unknown, not empty."""
    comparison = compare(survey(install("one"), None), survey(install("two")), CopyOptions())
    assert comparison.destination_is_newer is None
    assert any("unknown" in loss for loss in comparison.losses)


def test_unknown_values_are_not_equal() -> None:
    """Two absent PHP versions are unknown, not equal."""
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
        ("6.9", "1.2,6.9", False),  # on the destination only: other content, not newer files
        ("5.2.0,1700000000", "5.2.0,1800000000", False),  # time stamps: each site makes its own
        ("5.2.0,a81bc", "5.2.0,ff012", False),
        (None, "5.2.0", None),
        ("5.2.0", None, None),
        ("1700000000", "1800000000", None),
    ],
)
def test_only_versions_show_newer_files(source: str | None, destination: str | None, newer: bool | None) -> None:
    """The highest version that only one side shows decides; other texts are ignored."""
    sides = [
        survey(install(name)).model_copy(update={"content": Content(reachable=True, files_marker=marker)})
        for name, marker in (("one", source), ("two", destination))
    ]
    compared = compare(sides[0], sides[1], CopyOptions(database=False))
    assert compared.files_are_newer is newer
    assert any("files of two are NEWER" in line for line in compared.losses) == bool(newer)
