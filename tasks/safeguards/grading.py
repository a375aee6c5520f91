"""Grading: the risk class of a plan, and the reasons. Pure functions of the rules and of what is known; they never raise.

What is not known counts as the worst that it could be. Another danger never lowers the class of a plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.estate.plans import Comparison, CopyOptions
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Direction, Install
from tasks.safeguards.order_tables import is_order_table
from tasks.safeguards.risk_rules import RiskRules, When

NOBODY = 1_000_000  # people that a black plan requires, in case a caller does not refuse it: more than there can be
SHOP = "WooCommerce"
DIRECTIONS = {
    "refresh": Direction.DOWN,
    "provision": Direction.DOWN,
    "promote": Direction.UP,
    "restore": Direction.BACK,
}


@dataclass(frozen=True)
class _Copy:
    """A copy or restore to grade, with what it overrides."""

    rules: RiskRules
    verb: str
    direction: Direction
    comparison: Comparison
    options: CopyOptions
    other_site: bool
    frozen: str
    break_glass: str
    held: bool
    unprotected: tuple[str, ...] = ()
    masked: bool = False

    @property
    def source(self) -> Install:
        """The install that is copied; for a restore, the destination itself."""
        return self.comparison.source.install

    @property
    def destination(self) -> Install:
        """The install that is overwritten."""
        return self.comparison.destination.install

    @property
    def onto_production(self) -> bool:
        """Whether the copy may overwrite production."""
        return self.verb == "promote" or self.destination.environment.may_be_production

    @property
    def one_site(self) -> bool:
        """Whether the host reports both installs as parts of one site."""
        return self.source.site_id is not None and self.source.site_id == self.destination.site_id

    @property
    def live_data(self) -> tuple[str, ...] | None:
        """What collects data of visitors at the destination; None if it is not known."""
        return self.comparison.destination.content.live_data

    @property
    def content_only(self) -> bool:
        """Whether only listed tables of content are copied, and nothing at the destination collects data of visitors."""
        return (
            bool(self.options.tables)
            and {*self.options.tables} <= {*self.rules.content_tables}
            and self.live_data == ()
        )

    @property
    def shop(self) -> str:
        """The install with a shop: the destination or, if that is not known of it, the source; "" if there is no shop."""
        for survey in (self.comparison.destination, self.comparison.source):
            if survey.content.live_data is not None:
                return survey.install.name if SHOP in survey.content.live_data else ""
        return ""

    @property
    def loses_orders(self) -> bool:
        """Whether a promotion replaces tables in which a shop stores its orders, or the whole database.

        People who approve red plans decide about a shop that the reviewed file lists as one with HPOS.
        """
        if self.verb != "promote" or not self.shop or self.destination.name in self.rules.shops_with_hpos:
            return False
        tables = self.options.tables
        return self.options.database and (not tables or any(map(is_order_table, tables)))

    @property
    def newer_counts(self) -> bool:
        """Whether a newer destination is a danger; it is not for a restore, which goes back on purpose."""
        return self.verb != "restore" and self.applies(self.rules.newer_destination)

    def applies(self, when: When) -> bool:
        """Return whether a rule applies that applies always, or only if the database is copied."""
        return when == "always" or self.options.database


def grade_copy(
    rules: RiskRules,
    *,
    verb: str,
    direction: Direction,
    comparison: Comparison,
    options: CopyOptions,
    other_site: bool,
    frozen: str,
    break_glass: str,
    held: bool,
    unprotected: tuple[str, ...] = (),
    masked: bool = False,
) -> Risk:
    """Return the risk of a refresh, provision, promotion or restore. Never raises; the caller refuses a black one.

    `frozen` is the name of the freeze window that is overridden, `break_glass` the reason given for it ("" = none), and `held`
    whether the destination is on hold. `unprotected` are the steps after the copy that protect people's data and are off;
    `masked` is whether the people in the source's database were masked by an earlier run. Reasons contain names of installs,
    freeze windows and steps, and no other text from outside.
    """
    copy = _Copy(
        rules, verb, direction, comparison, options, other_site, frozen, break_glass, held, unprotected, masked
    )
    name = copy.destination.name
    return _risk(
        rules,
        {Grade.BLACK: [*_forbidden(copy)], Grade.RED: [*_dangers(copy)], Grade.YELLOW: [*_cautions(copy)]},
        f"a {verb} onto {name}, which is proven not to be production, and no danger was found",
    )


def grade_load(
    rules: RiskRules, *, first_load: bool, raw: tuple[str, ...], held: bool, lost: tuple[str, ...] = ()
) -> Risk:
    """Return the risk of loading a dump. `raw` lists anonymizers that are off; at a `first_load` the target has no marker."""
    red = [f"personal data arrives unmasked: {', '.join(raw)} off"] if raw else []
    yellow = ["the target has no staging marker yet: this is its first load"] if first_load else []
    yellow += ["the target is on hold"] if held else []
    yellow += [f"staging lacks what the dump has: {', '.join(lost[:10])}"] if lost else []
    return _risk(
        rules, {Grade.RED: red, Grade.YELLOW: yellow}, "an anonymized dump for a target that is proven to be staging"
    )


def _risk(rules: RiskRules, found: dict[Grade, list[str]], harmless: str) -> Risk:
    grade = next((grade for grade in (Grade.BLACK, Grade.RED, Grade.YELLOW) if found.get(grade)), Grade.GREEN)
    if grade is Grade.RED and rules.lone_lead:
        found[grade].append("a single person approves it, after a cool-down (lone_lead)")
    reasons = tuple(reason for level in found.values() for reason in level) or (harmless,)
    if grade is Grade.BLACK:
        return Risk(grade=grade, reasons=reasons, people=NOBODY, signatures=NOBODY, rules=rules.fingerprint)
    demand = rules.demand(grade)
    return Risk(
        grade=grade,
        reasons=reasons,
        people=demand.people,
        signatures=demand.signatures,
        cool_down=int(demand.cool_down.total_seconds()),
        requester_may_approve=demand.requester_may_approve,
        rules=rules.fingerprint,
    )


def _forbidden(copy: _Copy) -> Iterator[str]:
    name = copy.destination.name
    if DIRECTIONS.get(copy.verb) is not copy.direction:
        yield f"a {copy.verb} cannot go {copy.direction.value}"
    if copy.verb != "restore" and copy.source.id == copy.destination.id:
        yield f"{name} would be copied onto itself"
    if copy.direction is Direction.DOWN and copy.destination.environment.may_be_production:
        yield f"{name} may be production, which no {copy.verb} may overwrite"
    if copy.loses_orders:
        yield f"{copy.shop} is a shop, and {name} is not known to store orders in separate tables (HPOS): they would be replaced"


def _dangers(copy: _Copy) -> Iterator[str]:
    source, name = copy.source, copy.destination.name
    if copy.onto_production and copy.options.database and not copy.content_only:
        what = f"the listed tables ({len(copy.options.tables)})" if copy.options.tables else "the whole database"
        yield f"{what} of {name} would be replaced: what visitors and editors added there since is lost"
    if copy.onto_production and copy.masked and copy.options.database and not copy.content_only:
        yield f"people on {source.name} are masked: accounts, comments and orders of {name} would be replaced by masked ones"
    if copy.unprotected and not copy.onto_production:
        yield f"{name} could reach or reveal production's people: {', '.join(copy.unprotected)} off after the copy"
    if copy.newer_counts and copy.comparison.destination_is_newer:
        yield f"{name} is NEWER than {source.name}"
    if copy.verb == "promote" and copy.options.files and copy.comparison.files_are_newer:
        yield f"the files of {name} are NEWER than those of {source.name}"
    if copy.onto_production:
        yield from _losses(copy)
    if copy.verb != "restore" and not copy.one_site:
        permission = "permission for that was given" if copy.other_site else "no permission for that was given"
        yield f"{source.name} and {name} are not proven to be of one site; {permission}"
    if copy.rules.multisite == "always" or copy.onto_production:
        yield from _networks(copy)
    if copy.frozen:
        yield f"the freeze {copy.frozen} is overridden"
    if copy.break_glass:
        yield "a break-glass reason is given to override it"


def _losses(copy: _Copy) -> Iterator[str]:
    """Yield what production would lose: what is not known, and data of visitors."""
    name, comparison = copy.destination.name, copy.comparison
    unread = [s.install.name for s in (comparison.source, comparison.destination) if not s.content.reachable]
    if unread:
        yield f"what {name} would lose is unknown: the public content of {' and '.join(dict.fromkeys(unread))} cannot be read"
    elif copy.newer_counts and comparison.destination_is_newer is None:
        yield f"what {name} would lose is unknown: whether it is newer than {copy.source.name} is not known"
    if copy.applies(copy.rules.live_data):
        if copy.live_data is None:
            yield f"{name} does not show its plugins: a shop, members or forms cannot be ruled out"
        elif copy.live_data:
            yield f"{name} has data of visitors: {', '.join(copy.live_data)}"


def _networks(copy: _Copy) -> Iterator[str]:
    reasons = {
        True: "{} is a network of several sites, not one",
        None: "the host does not report whether {} is one site or a network of several",
    }
    sides = [install for install in (copy.source, copy.destination) if install.multisite is not False]
    yield from dict.fromkeys(reasons[install.multisite].format(install.name) for install in sides)


def _cautions(copy: _Copy) -> Iterator[str]:
    name = copy.destination.name
    if copy.verb == "restore":
        yield f"a restore replaces what {name} is now"
    elif copy.verb == "promote" and not copy.options.database:
        yield f"the files of {name} would be replaced; its database stays"
    elif copy.verb == "promote":
        yield f"{name} is production"
    if copy.held:
        yield f"{name} is on hold"
