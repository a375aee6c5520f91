"""Grading: every danger has its class, another danger never lowers it, and no rule makes a black plan approvable."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.estate.plans import Comparison, CopyOptions
from tasks.estate.risks import Grade
from tasks.estate.sites import Content, Direction, Environment, Install, Survey
from tasks.safeguards.grading import DIRECTIONS, grade_copy, grade_load
from tasks.safeguards.risk_rules import Demand, RiskRules

RULES = RiskRules()
WAITING = Demand(people=1, signatures=0, requester_may_approve=True, cool_down=timedelta(minutes=30))
ALONE = RiskRules(red=WAITING, lone_lead=True)
FILES, WHOLE = CopyOptions(database=False), CopyOptions()
POSTS, OPTIONS = (CopyOptions(tables=(table,)) for table in ("wp_posts", "wp_options"))
SHOP = ("WooCommerce",)
ORDER = [Grade.GREEN, Grade.YELLOW, Grade.RED, Grade.BLACK]
OUTSIDE = "words of a stranger"


def install(name: str, environment: Environment, **changes: Any) -> Install:
    """Return an active install of the site `s`."""
    fields = {
        "id": name,
        "name": name,
        "account_id": "a",
        "site_id": "s",
        "environment": environment,
        "status": "active",
    }
    return Install.model_validate(fields | {"primary_domain": None, "multisite": False} | changes)


def survey(of: Install, **changes: Any) -> Survey:
    """Return a survey whose public content was read and has no plugin."""
    content = Content(reachable=True, title=OUTSIDE, home=OUTSIDE, detail=OUTSIDE, live_data=())
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return Survey(install=of, content=content.model_copy(update=changes), taken_at=now)


def compared(source: Survey, destination: Survey, newer: bool | None = False) -> Comparison:
    """Return the comparison of two surveys."""
    return Comparison(
        source=source, destination=destination, differences=(), losses=(OUTSIDE,), destination_is_newer=newer
    )


def facts(verb: str = "refresh", options: CopyOptions = WHOLE, **changes: Any) -> dict[str, Any]:
    """Return what is known of a harmless copy of this verb; a restore is onto schulprod."""
    production = survey(install("schulprod", Environment.PRODUCTION))
    staging = survey(install("schulstage", Environment.STAGING))
    sides = {"promote": (staging, production), "restore": (production, production)}.get(verb, (production, staging))
    plain = {"direction": DIRECTIONS[verb], "other_site": False, "frozen": "", "break_glass": "", "held": False}
    return plain | {"verb": verb, "comparison": compared(*sides), "options": options} | changes


def changed(known: dict[str, Any], side: str, part: str, **changes: Any) -> dict[str, Any]:
    """Return the same with other facts in the content or the install of one side."""
    found = getattr(known["comparison"], side)
    other = found.model_copy(update={part: getattr(found, part).model_copy(update=changes)})
    return known | {"comparison": known["comparison"].model_copy(update={side: other})}


def seen(known: dict[str, Any], side: str, **changes: Any) -> dict[str, Any]:
    """Return the same with other content on one side's website."""
    return changed(known, side, "content", **changes)


def reported(known: dict[str, Any], side: str, **changes: Any) -> dict[str, Any]:
    """Return the same with other facts of one side's install, as the host reports them."""
    return changed(known, side, "install", **changes)


def newer(known: dict[str, Any], answer: bool | None = True) -> dict[str, Any]:
    """Return the same with a destination that is newer, or not known to be older."""
    return known | {"comparison": known["comparison"].model_copy(update={"destination_is_newer": answer})}


def newer_files(known: dict[str, Any]) -> dict[str, Any]:
    """Return the same with newer files at the destination."""
    comparison = known["comparison"].model_copy(update={"files_are_newer": True})
    return known | {"comparison": comparison}


def graded(known: dict[str, Any], rules: RiskRules = RULES) -> Grade:
    """Return the class of a copy of which this is known."""
    return grade_copy(rules, **known).grade


UP, DOWN, BACK = facts("promote"), facts("refresh"), facts("restore")
UP_FILES, BACK_FILES = facts("promote", FILES), facts("restore", FILES)

CASES = {
    "refresh": (DOWN, Grade.GREEN, "proven not to be production"),
    "provision": (facts("provision"), Grade.GREEN, "a provision onto schulstage"),
    "held refresh": (DOWN | {"held": True}, Grade.YELLOW, "schulstage is on hold"),
    "refresh onto newer work": (newer(DOWN), Grade.RED, "schulstage is NEWER than schulprod"),
    "refresh of files onto newer work": (newer(facts("refresh", FILES)), Grade.GREEN, "no danger"),
    "refresh of a shop": (seen(DOWN, "source", live_data=SHOP), Grade.GREEN, "no danger"),
    "refresh, site is down": (seen(DOWN, "destination", reachable=False), Grade.GREEN, "no danger"),
    "refresh of another site": (reported(DOWN, "source", site_id="t") | {"other_site": True}, Grade.RED, "; permission for that"),
    "refresh, site not known": (reported(DOWN, "source", site_id=None), Grade.RED, "not proven to be of one site; no permission"),
    "refresh of a network": (reported(DOWN, "source", multisite=True), Grade.RED, "schulprod is a network"),
    "refresh, network not known": (reported(DOWN, "destination", multisite=None), Grade.RED, "does not report whether schulstage"),
    "refresh in a freeze": (DOWN | {"frozen": "Christmas"}, Grade.RED, "the freeze Christmas is overridden"),
    "break-glass": (DOWN | {"break_glass": OUTSIDE}, Grade.RED, "break-glass reason"),
    "refresh of production": (reported(DOWN, "destination", environment=Environment.PRODUCTION), Grade.BLACK, "may be production"),
    "refresh of unknown": (reported(DOWN, "destination", environment=Environment.UNKNOWN), Grade.BLACK, "may be production"),
    "refresh with every step after it": (DOWN | {"unprotected": ()}, Grade.GREEN, "no danger was found"),
    "refresh that masks nobody": (DOWN | {"unprotected": ("mask_people",)}, Grade.RED, "production's people: mask_people off"),
    "refresh of a staging that was masked": (DOWN | {"masked": True}, Grade.GREEN, "no danger was found"),
    "refresh that goes up": (DOWN | {"direction": Direction.UP}, Grade.BLACK, "cannot go up"),
    "onto itself": (reported(UP_FILES, "source", id="schulprod"), Grade.BLACK, "onto itself"),
    "promote files": (UP_FILES, Grade.YELLOW, "the files of schulprod would be replaced"),
    "promote content": (facts("promote", POSTS), Grade.YELLOW, "schulprod is production"),
    "promote content onto newer work": (newer(facts("promote", POSTS)), Grade.RED, "schulprod is NEWER than schulstage"),
    "promote content, age unknown": (newer(facts("promote", POSTS), None), Grade.RED, "would lose is unknown"),
    "promote settings": (facts("promote", OPTIONS), Grade.RED, "the listed tables"),
    "promote the database": (UP, Grade.RED, "the whole database of schulprod"),
    "promote a database in which people are masked": (UP | {"masked": True}, Grade.RED, "people on schulstage are masked"),
    "promote files of a staging that was masked": (UP_FILES | {"masked": True}, Grade.YELLOW, "its database stays"),
    "promote content of a staging that was masked": (facts("promote", POSTS) | {"masked": True}, Grade.YELLOW, "is production"),
    "promote, production cannot be read": (seen(UP_FILES, "destination", reachable=False), Grade.RED, "schulprod cannot be read"),
    "promote, staging cannot be read": (seen(UP_FILES, "source", reachable=False), Grade.RED, "schulstage cannot be read"),
    "promote, plugins not known": (seen(UP_FILES, "destination", live_data=None), Grade.RED, "schulprod does not show its plugins"),
    "promote files onto forms": (seen(UP_FILES, "destination", live_data=("WPForms",)), Grade.RED, "data of visitors: WPForms"),
    "promote files onto a shop": (seen(UP_FILES, "destination", live_data=SHOP), Grade.RED, "data of visitors: WooCommerce"),
    "promote content onto forms": (seen(facts("promote", POSTS), "destination", live_data=("WPForms",)), Grade.RED, "listed tables"),
    "promote the database onto a shop": (seen(UP, "destination", live_data=SHOP), Grade.BLACK, "schulprod is a shop"),
    "promote posts onto a shop": (seen(facts("promote", POSTS), "destination", live_data=SHOP), Grade.BLACK, "HPOS"),
    "promote orders of HPOS onto a shop": (
        seen(facts("promote", CopyOptions(tables=("wp_wc_orders_meta",))), "destination", live_data=SHOP),
        Grade.BLACK, "HPOS",
    ),
    "promote orders of a network's third site onto a shop": (
        seen(facts("promote", CopyOptions(tables=("wp_3_wc_order_addresses",))), "destination", live_data=SHOP),
        Grade.BLACK, "HPOS",
    ),
    "promote a table that only sounds like posts onto a shop": (
        seen(facts("promote", CopyOptions(tables=("wp_blogposts",))), "destination", live_data=SHOP),
        Grade.RED, "data of visitors",
    ),
    "promote files onto newer files": (newer_files(UP_FILES), Grade.RED, "the files of schulprod are NEWER"),
    "promote the database only onto newer files": (
        newer_files(facts("promote", CopyOptions(files=False))), Grade.RED, "the whole database",
    ),
    "refresh staging with newer files": (newer_files(DOWN), Grade.GREEN, "no danger was found"),
    "promote settings onto a shop": (seen(facts("promote", OPTIONS), "destination", live_data=SHOP), Grade.RED, "data of visitors"),
    "a shop onto unknown plugins": (seen(seen(UP, "source", live_data=SHOP), "destination", live_data=None), Grade.BLACK, "HPOS"),
    "the database onto unknown plugins": (seen(UP, "destination", reachable=False, live_data=None), Grade.RED, "unknown"),
    "open a shop": (seen(UP, "source", live_data=SHOP), Grade.RED, "the whole database"),
    "restore production": (BACK, Grade.RED, "the whole database"),
    "restore a shop": (seen(BACK, "destination", live_data=SHOP), Grade.RED, "WooCommerce"),
    "restore files of production": (BACK_FILES, Grade.YELLOW, "a restore replaces what schulprod is now"),
    "restore a site that is down": (seen(BACK_FILES, "destination", reachable=False), Grade.RED, "would lose is unknown"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_danger_has_its_class_and_reason(case: str) -> None:
    """Each kind of copy has this class under the default rules, with this reason among its reasons."""
    known, grade, reason = CASES[case]
    risk = grade_copy(RULES, **known)
    assert risk.grade is grade
    assert any(reason in each for each in risk.reasons), risk.reasons


def test_a_restore_onto_staging_is_yellow() -> None:
    """This holds even if nothing is known of the staging site."""
    staging = survey(install("schulstage", Environment.STAGING), reachable=False, live_data=None)
    assert graded(BACK | {"comparison": compared(staging, staging, None)}) is Grade.YELLOW


def test_a_network_is_red_for_production_under_every_rule() -> None:
    """The rule about networks exempts refreshes only."""
    assert graded(reported(UP_FILES, "source", multisite=True), RiskRules(multisite="to_production")) is Grade.RED


def test_the_worst_reason_is_first() -> None:
    """Black reasons come before red ones, and these before yellow ones."""
    known = seen(UP, "destination", live_data=SHOP) | {"held": True, "frozen": "Christmas"}
    reasons = grade_copy(RULES, **known).reasons
    assert "HPOS" in reasons[0]
    assert reasons[-1] == "schulprod is on hold"
    assert any("Christmas" in each for each in reasons[1:-1])


@pytest.mark.parametrize(
    ("known", "rule", "grade"),
    [
        (seen(UP, "destination", live_data=SHOP), {"shops_with_hpos": ("schulprod",)}, Grade.RED),
        (seen(UP_FILES, "destination", live_data=SHOP), {"live_data": "with_database"}, Grade.YELLOW),
        (seen(UP_FILES, "destination", live_data=None), {"live_data": "with_database"}, Grade.YELLOW),
        (newer(UP_FILES), {"newer_destination": "always"}, Grade.RED),
        (reported(DOWN, "source", multisite=True), {"multisite": "to_production"}, Grade.GREEN),
        (facts("promote", OPTIONS), {"content_tables": ("wp_options",)}, Grade.YELLOW),
    ],
)
def test_each_rule_of_the_file_changes_a_class(known: dict[str, Any], rule: dict[str, Any], grade: Grade) -> None:
    """The rule changes the class of this copy, which is another one by default."""
    assert graded(known, RiskRules.model_validate(rule)) is grade
    assert graded(known) is not grade


@pytest.mark.parametrize(
    ("load", "grade", "reason"),
    [
        ({}, Grade.GREEN, "proven to be staging"),
        ({"first_load": True}, Grade.YELLOW, "first load"),
        ({"held": True}, Grade.YELLOW, "the target is on hold"),
        ({"raw": ("names", "emails")}, Grade.RED, "names, emails off"),
        ({"raw": ("names",), "first_load": True, "held": True}, Grade.RED, "unmasked"),
    ],
)
def test_a_load_is_graded_by_its_data_and_its_target(load: dict[str, Any], grade: Grade, reason: str) -> None:
    """Raw data is red, a first load or a hold is yellow, anything else is green."""
    risk = grade_load(RULES, **dict[str, Any](first_load=False, raw=(), held=False) | load)
    assert risk.grade is grade
    assert reason in risk.reasons[0]


def test_a_red_plan_of_a_lone_lead_has_that_reason() -> None:
    """One person may approve after the cool-down, and the reasons of the plan contain it."""
    risk = grade_copy(ALONE, **UP)
    assert (risk.people, risk.cool_down) == (1, 1800)
    assert any("single person" in each for each in risk.reasons)
    assert not any("single person" in each for each in grade_copy(ALONE, **UP_FILES).reasons)


PLUGINS = st.none() | st.lists(st.sampled_from(["MailPoet", "WPForms", *SHOP]), unique=True).map(tuple)
SITES, NETWORKS = st.sampled_from(["s", "t", None]), st.sampled_from([False, True, None])
SOURCES, DESTINATIONS = (
    st.builds(
        lambda id, of, site, network, reachable, plugins: survey(
            install(id, of, site_id=site, multisite=network), reachable=reachable, live_data=plugins
        ),
        st.sampled_from(ids), st.sampled_from(Environment), SITES, NETWORKS, st.booleans(), PLUGINS,
    )
    for ids in (("one", "two"), ("two", "three"))
)  # fmt: skip
WAYS = st.sampled_from([*DIRECTIONS.items()]) | st.tuples(st.sampled_from([*DIRECTIONS]), st.sampled_from(Direction))
KNOWN = st.builds(
    lambda way, **rest: rest | {"verb": way[0], "direction": way[1]},
    WAYS,
    comparison=st.builds(compared, SOURCES, DESTINATIONS, st.sampled_from([False, True, None])),
    options=st.sampled_from([FILES, WHOLE, POSTS, OPTIONS]),
    other_site=st.booleans(),
    frozen=st.sampled_from(["", "Christmas"]),
    break_glass=st.sampled_from(["", OUTSIDE]),
    held=st.booleans(),
)
ANY_RULES = st.builds(
    lambda like, **lines: like.model_copy(update=lines),
    st.sampled_from([RULES, ALONE]),
    newer_destination=st.sampled_from(["with_database", "always"]),
    live_data=st.sampled_from(["with_database", "always"]),
    multisite=st.sampled_from(["to_production", "always"]),
    shops_with_hpos=st.sampled_from([(), ("three",)]),
)
DANGERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "the database is copied too": lambda k: k | {"options": WHOLE},
    "in a freeze": lambda k: k | {"frozen": "Christmas"},
    "break-glass": lambda k: k | {"break_glass": OUTSIDE},
    "held": lambda k: k | {"held": True},
    "newer": newer,
    "age unknown": lambda k: newer(k, k["comparison"].destination_is_newer or None),
    "source cannot be read": lambda k: seen(k, "source", reachable=False),
    "destination cannot be read": lambda k: seen(k, "destination", reachable=False),
    "destination is a shop": lambda k: seen(k, "destination", live_data=SHOP),
    "plugins not known": lambda k: (
        k if k["comparison"].destination.content.live_data else seen(k, "destination", live_data=None)
    ),
    "source is a shop": lambda k: seen(k, "source", live_data=SHOP),
    "another site": lambda k: reported(k, "source", site_id="elsewhere"),
    "site not known": lambda k: reported(k, "destination", site_id=None),
    "a network": lambda k: reported(k, "destination", multisite=True),
    "network not known": lambda k: reported(k, "source", multisite=None),
    "may be production": lambda k: reported(k, "destination", environment=Environment.UNKNOWN),
    "production": lambda k: reported(k, "destination", environment=Environment.PRODUCTION),
    "onto itself": lambda k: reported(k, "source", id=k["comparison"].destination.install.id),
}


@settings(max_examples=300)
@given(known=KNOWN, rules=ANY_RULES)
def test_another_danger_never_lowers_the_class(known: dict[str, Any], rules: RiskRules) -> None:
    """Whatever is known, one more danger keeps the class or raises it."""
    least = ORDER.index(graded(known, rules))
    assert [name for name, more in DANGERS.items() if ORDER.index(graded(more(known), rules)) < least] == []


@given(known=KNOWN, rules=ANY_RULES)
def test_every_copy_has_one_class_with_its_requirements(known: dict[str, Any], rules: RiskRules) -> None:
    """Grading is repeatable; reasons contain no text from outside, and the requirements are those of the class."""
    risk = grade_copy(rules, **known)
    assert risk == grade_copy(rules, **known)
    assert risk.reasons
    assert all(OUTSIDE not in each and "\n" not in each for each in risk.reasons)
    assert (len({*risk.reasons}), risk.rules) == (len(risk.reasons), rules.fingerprint)
    if risk.grade is Grade.BLACK:
        assert min(risk.people, risk.signatures) > 100_000  # more than there are leads: no answers are enough
    else:
        demand = rules.demand(risk.grade)
        assert (risk.people, risk.signatures) == (demand.people, demand.signatures)
        assert (risk.cool_down, risk.requester_may_approve) == (demand.cool_down.seconds, demand.requester_may_approve)


@given(known=KNOWN, rules=ANY_RULES)
def test_production_is_never_green(known: dict[str, Any], rules: RiskRules) -> None:
    """A promotion, or a copy onto what may be production, always needs a person."""
    risky = known["verb"] == "promote" or known["comparison"].destination.install.environment.may_be_production
    assert not (risky and graded(known, rules) is Grade.GREEN)


@given(known=KNOWN, rules=ANY_RULES)
def test_no_rule_changes_what_is_black(known: dict[str, Any], rules: RiskRules) -> None:
    """A wrong direction, a copy onto itself and a refresh of production are black under all rules."""
    source, destination = known["comparison"].source.install, known["comparison"].destination.install
    wrong_way = DIRECTIONS[known["verb"]] is not known["direction"]
    itself = known["verb"] != "restore" and source.id == destination.id
    below = known["direction"] is Direction.DOWN and destination.environment.may_be_production
    if wrong_way or itself or below:
        assert graded(known, rules) is Grade.BLACK
