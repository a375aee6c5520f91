"""Risk rules: what each class of danger demands, and where the line between the classes is drawn. One reviewed file.

What is sacred is in code and no file can change it: what is black (`grading.py`), that production is never green, that red
needs two people, or one who has to wait, and at least one signature. Numbers have limits; a file beyond them is refused whole.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

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


def _written(value: object) -> object:
    """A bare number says no unit, so it is refused."""
    if isinstance(value, (str, timedelta)):
        return value
    raise ValueError("expected a duration with its unit, like PT15M, PT1H or P90D")


def _sorted(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(value)))


Names = Annotated[tuple[str, ...], AfterValidator(_sorted)]
Span = Annotated[timedelta, BeforeValidator(_written)]
DAY = timedelta(days=1)
When = Literal["with_database", "always"]


class Demand(Immutable):
    """What one class demands of its answers. A file that states a class states all of it."""

    people: StrictInt = Field(ge=1, le=5, description="How many different leads must say yes.")
    signatures: StrictInt = Field(ge=0, le=5, description="How many of them by SSH signature instead of a code.")
    requester_may_approve: StrictBool = Field(description="Whether the person who asked for it may be one of them.")
    cool_down: Span = Field(ge=timedelta(0), le=DAY, description="Time to think: a yes before that is not taken.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.signatures > self.people:
            raise ValueError(
                f"signatures is {self.signatures}, but people is {self.people}; expected no more than that"
            )
        return self


class AnswerRules(Immutable):
    """How often somebody may answer wrongly."""

    attempts: StrictInt = Field(5, ge=1, le=10, description="Bad proofs for one question; after these it is rejected.")
    codes_an_hour: StrictInt = Field(10, ge=1, le=30, description="Wrong codes of one lead in an hour, over all runs.")


class StopTheLine(Immutable):
    """When so many refreshes fail that the rest of the night is called off."""

    runs: StrictInt = Field(3, ge=1, description="Runs that must have ended before the share counts.")
    share: float = Field(0.5, gt=0, le=1, description="Share of them that failed, at which the others are skipped.")
    within: Span = Field(timedelta(hours=12), gt=timedelta(0), description="How far back runs are counted.")


class RiskRules(Immutable):
    """Everything that decides a plan's class and what each class demands. The defaults are the shipped file."""

    green: Demand = Field(
        Demand(people=1, signatures=0, requester_may_approve=True, cool_down=timedelta(0)),
        description="What a green plan demands where no standing approval answers for it.",
    )
    yellow: Demand = Field(
        Demand(people=1, signatures=0, requester_may_approve=False, cool_down=timedelta(0)),
        description="What a yellow plan demands.",
    )
    red: Demand = Field(
        Demand(people=2, signatures=1, requester_may_approve=True, cool_down=timedelta(0)),
        description="What a red plan demands. The requester may be one of the two: another person is there as well. At "
        "least one signature: a file that says 0 is read as 1.",
    )
    lone_lead: StrictBool = Field(False, description="There is one lead only: red.people may be 1, with a cool-down.")
    leads_are_users: StrictBool = Field(
        False,
        description="Leads must be users of the hosting account who accepted their invitation and use two-factor login; "
        "checked once a day by the sweep.",
    )
    answer: AnswerRules = Field(AnswerRules(), description="How often somebody may answer wrongly.")
    backup_fresh: Span = Field(
        timedelta(hours=1),
        gt=timedelta(0),
        le=DAY,
        description="Age at which the backup is no restore point any more, and another one is made before the call.",
    )
    restore_within: Span = Field(
        timedelta(minutes=15),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="Time in which a promotion that fails its checks may be undone, if its approval allowed that.",
    )
    newer_destination: When = Field("with_database", description="When a destination newer than its source is red.")
    live_data: When = Field("always", description="When a production with a shop, members or forms is red.")
    multisite: Literal["to_production", "always"] = Field(
        "always", description="When a network of sites, or an install of which the host does not tell, is red."
    )
    content_tables: Names = Field(
        CORE_CONTENT,
        description="Tables that, listed alone, may go to a production without live data on one person's word.",
    )
    shops_with_hpos: Names = Field(
        (), description="Installs whose shop is known to keep its orders in tables of their own (HPOS)."
    )
    stop_the_line: StopTheLine = Field(StopTheLine(), description="When the rest of a night's refreshes is called off.")
    failures_in_a_row: StrictInt = Field(
        2, ge=1, description="Failed refreshes of a pair after which a person is asked."
    )
    standing_at_most: Span = Field(
        timedelta(days=90), gt=timedelta(0), le=timedelta(days=366), description="Longest life of a standing approval."
    )
    standing_notice: Span = Field(
        timedelta(days=14), ge=timedelta(0), description="How long before its end a standing approval is announced."
    )

    @field_validator("red")
    @classmethod
    def _bound_to_the_plan(cls, red: Demand) -> Demand:
        """Demand a signature for red: a code proves a person and a moment, and can be typed under another plan.

        Files of version 0.1 say `signatures: 0`; they stay readable, and are stricter now.
        """
        return red.model_copy(update={"signatures": max(red.signatures, 1)})

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the rules in canonical form, hexadecimal: a plan graded by other rules is another plan."""
        return fingerprint(self.model_dump(mode="json"))

    def demand(self, grade: Grade) -> Demand:
        """What a class demands. Raises `KeyError` for black, of which nothing is demanded: it is refused."""
        return {Grade.GREEN: self.green, Grade.YELLOW: self.yellow, Grade.RED: self.red}[grade]

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions of a standing approval, as the keywords of `conditions.require_met`."""
        stop = self.stop_the_line
        return {
            "failures_in_a_row": self.failures_in_a_row,
            "stop_runs": stop.runs,
            "stop_share": stop.share,
            "stop_within": stop.within,
        }

    @model_validator(mode="after")
    def _two_people_for_red(self) -> Self:
        if not self.lone_lead and self.red.people < 2:
            raise ValueError("red.people is 1; expected 2 or more, or lone_lead: true together with a red.cool_down")
        if self.lone_lead and self.red.people > 1:
            raise ValueError(f"lone_lead is true, but red.people is {self.red.people}; expected 1, or lone_lead: false")
        if self.lone_lead and not self.red.cool_down:
            raise ValueError("lone_lead is true, but red.cool_down is zero; expected some time to think, like PT30M")
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
    """Read the file; without one, the defaults. Raises `Misconfigured` naming the file and each field that is wrong."""
    try:
        told = parse(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        return RiskRules()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {type(error).__name__}.") from error
    try:
        return RiskRules.model_validate({} if told is None else told)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'rules'}: {_meaning(e)}" for e in error.errors())
        raise Misconfigured(f"{path} holds no risk rules that may apply: {wrong}.") from error


def _meaning(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such rule (and what is black stays black)"
    return error["msg"].removeprefix("Value error, ")
