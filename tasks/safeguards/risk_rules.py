"""Risk rules: what makes a plan green, yellow, red or black, and what each class requires. One reviewed file.

The file cannot change what is in code: what is black (`grading.py`), that production is never green, and that red requires two
people, or one after a cool-down, and at least one signature. A file with a number beyond its limits is refused as a whole.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from tasks.configuration.reviewed_files import parse
from tasks.estate.errors import Misconfigured
from tasks.estate.plans import fingerprint
from tasks.estate.risks import Grade
from tasks.estate.sites import Immutable

CORE_CONTENT = (
    "wp_postmeta", "wp_posts", "wp_term_relationships", "wp_term_taxonomy", "wp_termmeta", "wp_terms",
)  # fmt: skip


def _with_unit(value: object) -> object:
    """Refuse a bare number, which has no unit."""
    if isinstance(value, (str, timedelta)):
        return value
    raise ValueError("expected a duration with its unit, like PT15M, PT1H or P90D")


def _sorted(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(value)))


Names = Annotated[tuple[str, ...], AfterValidator(_sorted)]
Span = Annotated[timedelta, BeforeValidator(_with_unit)]
DAY = timedelta(days=1)
When = Literal["with_database", "always"]


class Demand(Immutable):
    """What one class requires of its answers. A file that lists a class lists all of its keys."""

    people: StrictInt = Field(ge=1, le=5, description="How many different leads must approve.")
    signatures: StrictInt = Field(ge=0, le=5, description="How many of them must sign by SSH key instead of a code.")
    requester_may_approve: StrictBool = Field(description="Whether the requester may be one of them.")
    cool_down: Span = Field(ge=timedelta(0), le=DAY, description="Time that must pass before an approval counts.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.signatures > self.people:
            raise ValueError(
                f"signatures is {self.signatures}, but people is {self.people}; expected no more than that"
            )
        return self


class AnswerRules(Immutable):
    """How many wrong answers are allowed."""

    attempts: StrictInt = Field(
        5, ge=1, le=10, description="Invalid proofs for one approval request; after these it is rejected."
    )
    codes_an_hour: StrictInt = Field(10, ge=1, le=30, description="Wrong codes of one lead in an hour, over all runs.")


class StopTheLine(Immutable):
    """When so many scheduled runs fail that the remaining runs are skipped."""

    runs: StrictInt = Field(3, ge=1, description="Runs that must have ended before the share counts.")
    share: float = Field(0.5, gt=0, le=1, description="Share of failed runs at which the remaining runs are skipped.")
    within: Span = Field(timedelta(hours=12), gt=timedelta(0), description="How far back runs are counted.")


class RiskRules(Immutable):
    """Everything that decides the class of a plan and what each class requires. The defaults equal the shipped file."""

    green: Demand = Field(
        Demand(people=1, signatures=0, requester_may_approve=True, cool_down=timedelta(0)),
        description="What a green plan requires if no standing approval covers it.",
    )
    yellow: Demand = Field(
        Demand(people=1, signatures=0, requester_may_approve=False, cool_down=timedelta(0)),
        description="What a yellow plan requires.",
    )
    red: Demand = Field(
        Demand(people=2, signatures=1, requester_may_approve=True, cool_down=timedelta(0)),
        description="What a red plan requires. The requester may be one of the two, because another person approves as well. "
        "At least one signature: 0 is read as 1.",
    )
    lone_lead: StrictBool = Field(False, description="There is only one lead: red.people may be 1, with a cool-down.")
    leads_are_users: StrictBool = Field(
        False,
        description="Leads must be users of the hosting account who accepted their invitation and use two-factor login; "
        "checked once a day by the sweep.",
    )
    answer: AnswerRules = Field(AnswerRules(), description="How many wrong answers are allowed.")
    backup_fresh: Span = Field(
        timedelta(hours=1),
        gt=timedelta(0),
        le=DAY,
        description="Age from which a backup is renewed before the call.",
    )
    restore_within: Span = Field(
        timedelta(minutes=15),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="Time in which a promotion that fails its checks may be undone without asking again, if its approval allows it.",
    )
    newer_destination: When = Field("with_database", description="When a destination newer than its source is red.")
    live_data: When = Field("always", description="When a production with a shop, members or forms is red.")
    multisite: Literal["to_production", "always"] = Field(
        "always",
        description="When a network of sites is red, or an install for which the host does not report whether it is one.",
    )
    content_tables: Names = Field(
        CORE_CONTENT,
        description="Tables that, listed alone, need one person's approval to replace those of a production without live data.",
    )
    shops_with_hpos: Names = Field(
        (), description="Installs whose shop is known to store its orders in separate tables (HPOS)."
    )
    stop_the_line: StopTheLine = Field(StopTheLine(), description="When the remaining scheduled runs are skipped.")
    failures_in_a_row: StrictInt = Field(
        2, ge=1, description="Failed runs of a pair in a row after which a person must start one."
    )
    standing_at_most: Span = Field(
        timedelta(days=90),
        gt=timedelta(0),
        le=timedelta(days=366),
        description="Longest lifetime of a standing approval.",
    )
    standing_notice: Span = Field(
        timedelta(days=14), ge=timedelta(0), description="How long before its end a standing approval is announced."
    )

    @field_validator("red")
    @classmethod
    def _bound_to_the_plan(cls, red: Demand) -> Demand:
        """Require a signature for red: a code proves a person and a time, and can be typed under another plan.

        Files of version 0.1 have `signatures: 0`; they stay readable and are stricter now.
        """
        return red.model_copy(update={"signatures": max(red.signatures, 1)})

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the rules in canonical form, hexadecimal; plans contain it, so that other rules make another plan."""
        return fingerprint(self.model_dump(mode="json"))

    def demand(self, grade: Grade) -> Demand:
        """Return what a class requires. Raises `KeyError` for black, which is always refused."""
        return {Grade.GREEN: self.green, Grade.YELLOW: self.yellow, Grade.RED: self.red}[grade]

    @model_validator(mode="after")
    def _two_people_for_red(self) -> Self:
        if not self.lone_lead and self.red.people < 2:
            raise ValueError("red.people is 1; expected 2 or more, or lone_lead: true together with a red.cool_down")
        if self.lone_lead and self.red.people > 1:
            raise ValueError(f"lone_lead is true, but red.people is {self.red.people}; expected 1, or lone_lead: false")
        if self.lone_lead and not self.red.cool_down:
            raise ValueError("lone_lead is true, but red.cool_down is zero; expected a cool-down, like PT30M")
        return self

    @model_validator(mode="after")
    def _more_danger_demands_more(self) -> Self:
        for lower, higher in (("green", "yellow"), ("yellow", "red")):
            for field in ("people", "signatures", "cool_down"):
                less, more = getattr(getattr(self, lower), field), getattr(getattr(self, higher), field)
                if more < less:
                    raise ValueError(f"{higher}.{field} is less than {lower}.{field}; expected no less")
        return self


def load_rules(path: Path) -> RiskRules:
    """Return the rules of the file, or the defaults without one. Raises `Misconfigured` naming each field that is wrong."""
    try:
        found = parse(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        return RiskRules()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {type(error).__name__}.") from error
    try:
        return RiskRules.model_validate({} if found is None else found)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'rules'}: {_meaning(e)}" for e in error.errors())
        raise Misconfigured(f"{path} contains no valid risk rules: {wrong}.") from error


def _meaning(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such rule (what is black cannot be changed)"
    return error["msg"].removeprefix("Value error, ")
