"""What is done to a staging site after a copy, so that it neither reaches nor reveals production's people.

A *recipe* names the steps and their parameters. It is part of the plan that people approve, so it has a digest. Steps are on
unless they are named in `off`: a step that a later version adds is on everywhere.
"""

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tasks.estate.sites import Immutable

RECIPE_VERSION = 1  # of what the steps do; part of the digest, so that an approval names it

Role = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,60}$")]
MailDomain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", max_length=253)]
Address = Annotated[str, StringConstraints(pattern=r"^[\w.%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$", max_length=254)]
Key = Annotated[str, StringConstraints(pattern=r"^[\w.:/-]{1,191}$")]  # of metadata, a table or a payment gateway


class CopyStep(StrEnum):
    """The steps after a copy, in the order in which they run. The first keeps visitors out until the others are done."""

    KEEP_OUT = "keep_out"
    STOP_MAIL = "stop_mail"
    PAUSE_JOBS = "pause_jobs"
    TEST_PAYMENTS = "test_payments"
    DISABLE_WEBHOOKS = "disable_webhooks"
    HIDE_FROM_SEARCH = "hide_from_search"
    REPLACE_URLS = "replace_urls"
    MARK_STAGING = "mark_staging"
    MASK_PEOPLE = "mask_people"
    FLUSH = "flush"


# Without one of these, a staging site can reach or reveal production's people. Switching one off needs the risk phrase.
PROTECTING = frozenset(
    {
        CopyStep.KEEP_OUT,
        CopyStep.STOP_MAIL,
        CopyStep.PAUSE_JOBS,
        CopyStep.TEST_PAYMENTS,
        CopyStep.DISABLE_WEBHOOKS,
        CopyStep.MASK_PEOPLE,
    }
)


# What these change is in the database alone: if only files were copied, they are as they were.
IN_THE_DATABASE = frozenset(
    {CopyStep.REPLACE_URLS, CopyStep.TEST_PAYMENTS, CopyStep.DISABLE_WEBHOOKS, CopyStep.MASK_PEOPLE}
)


class Mail(Immutable):
    """What happens to an e-mail of the site: it is stopped, stopped and logged, or sent to one address instead."""

    mode: Literal["stop", "log", "redirect"] = Field(
        "stop", description="stop, log (stop and keep a log on the install) or redirect (to one address)"
    )
    address: Address | None = Field(None, description="the e-mail address that a redirect sends everything to")

    @model_validator(mode="after")
    def _address_of_a_redirect(self) -> Self:
        if (self.mode == "redirect") != (self.address is not None):
            raise ValueError("an address is needed for mode redirect, and for no other mode")
        return self


class Staff(Immutable):
    """Which accounts keep their names, addresses and passwords: those with one of the roles, or an address of one of the domains."""

    roles: tuple[Role, ...] = Field(
        ("administrator",), description="a list of roles of WordPress, by default administrator"
    )
    domains: tuple[MailDomain, ...] = Field((), description="a list of e-mail domains, like school.example")


class Recipe(Immutable):
    """The steps after a copy, and their parameters.

    `banner` is the text on every page. `personal_keys` are metadata keys of users, orders and posts that are masked in addition
    to the known ones. `harmless_tables` (names without the prefix) and `harmless_gateways` were reviewed by a person: they are
    left as they are and not reported.
    """

    off: tuple[CopyStep, ...] = Field((), description="a list of steps that are switched off; by default none is")
    mail: Mail = Field(Mail(), description="what happens to e-mails: mode, and an address if the mode is redirect")
    staff: Staff = Field(Staff(), description="which accounts are kept as they are: roles and domains")
    banner: Annotated[str, StringConstraints(max_length=200)] = Field(
        "Staging: a copy of production", description="the text on every page of staging, at most 200 characters"
    )
    personal_keys: tuple[Key, ...] = Field(
        (), description="a list of metadata keys that are masked in addition to the known ones"
    )
    harmless_tables: tuple[Key, ...] = Field(
        (), description="a list of tables, without the prefix, that a person reviewed: they contain no personal data"
    )
    harmless_gateways: tuple[Key, ...] = Field(
        (), description="a list of payment gateways that a person reviewed: they charge nobody"
    )

    @classmethod
    def safe(cls) -> "Recipe":
        """Return the default: every step is on, e-mails are stopped, and only administrators keep their accounts."""
        return cls()

    @property
    def steps(self) -> tuple[CopyStep, ...]:
        """The steps that are on, in their order."""
        return tuple(step for step in CopyStep if step not in self.off)

    def steps_after(self, *, database: bool) -> tuple[CopyStep, ...]:
        """Return the steps after a copy with or without the database, in their order."""
        return tuple(step for step in self.steps if database or step not in IN_THE_DATABASE)

    @property
    def unprotected(self) -> tuple[CopyStep, ...]:
        """The steps that protect people's data and are off, in their order."""
        return tuple(step for step in CopyStep if step in PROTECTING and step in self.off)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the version and of everything in the recipe. The order of names has no effect on it."""
        content = self.model_dump(mode="json")
        for names in ("off", "personal_keys", "harmless_tables", "harmless_gateways"):
            content[names] = sorted(set(content[names]))
        content["staff"] = {kind: sorted(set(names)) for kind, names in content["staff"].items()}
        canonical = json.dumps({"version": RECIPE_VERSION, **content}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class StepCount(Immutable):
    """How many places a step would change now; None: not known, or nothing that can be counted. `note` explains it."""

    step: CopyStep
    places: int | None = Field(ge=0)
    note: str = ""


class StepDone(Immutable):
    """What a step did. `checked` is its own reading afterwards: True, False, or None if it could not be read.

    `still_dangerous` names what is left; it is empty if nothing is. It contains names of tables, keys and plugins, never values.
    """

    step: CopyStep
    changed: int | None = Field(ge=0)
    checked: bool | None
    still_dangerous: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether the step was read back and nothing dangerous is left. Not known is not safe."""
        return self.checked is True and not self.still_dangerous


class PlannedSteps(Immutable):
    """The steps after a copy as people approve them: which, by which recipe, and what a dry run on the source counted.

    `digest` is that of the recipe when the plan was made; steps of a later version have another one. `origin` is the install
    whose URLs and people the steps look for. After a copy to production, what staging added is removed, and `steps` contains
    what is done in addition.
    """

    recipe: Recipe
    digest: str
    origin: str
    steps: tuple[CopyStep, ...]
    counts: tuple[StepCount, ...] = ()
