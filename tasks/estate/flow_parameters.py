"""Fields of the forms that start a run."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema

from tasks.estate.form_choices import duration

CHOICE = 400  # characters of a choice: the longest names of a site or database, and two hostnames
NAME = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"  # no control characters; a syntax that Python, Rust and JavaScript share


def asked(title: str, description: str, *, form: Mapping[str, Any] = {}, **rules: Any) -> Any:
    """Return a form field with its label, its description and pydantic's rules (`min_length`, `pattern`, …).

    `form`: rules of the form alone, as JSON schema has them; a flow takes other values too. Prefect replaces the title and
    description of a field by the parameter's name and docstring, but keeps the extra schema.
    """
    return Field(json_schema_extra={"title": title, "description": description, **form}, **rules)


def install(title: str, description: str, *, optional: bool = False) -> Any:
    """Return a form field for the name of an install. In a form with choices it is a sentence, or in another field."""
    return asked(title, description, form={"minLength": 0 if optional else 3, "maxLength": 14}, max_length=CHOICE)


def person(title: str, description: str, min_length: int = 3) -> Any:
    """Return a form field for the name of a person: no control characters, line ends or marks that reverse text."""
    return asked(title, description, min_length=min_length, max_length=80, pattern=NAME)


YOUR_NAME = "Your name, for the ledger. Unless the plan is green, you cannot be its only approver."

# Fields that several forms share.
RequestedBy = Annotated[str, person("Requested by", YOUR_NAME, min_length=0)]
Requester = Annotated[str, person("Requested by", YOUR_NAME)]
AnswerWithin = Annotated[
    timedelta,
    BeforeValidator(duration),
    asked(
        "Answer within",
        "How long the request stays open, like 90 minutes, 8 hours or 2 days; at most 7 days.",
        form={"default": "8 hours", "format": "text"},
    ),
]
# Fields of the forms that `understudy deploy` writes. Without it they are not asked for: the fields that they replace are.
SiteChoice = Annotated[SkipJsonSchema[str], Field(max_length=CHOICE)]
LoadedChoice = Annotated[SkipJsonSchema[str], Field(max_length=CHOICE)]
OtherSite = Annotated[bool, asked("Allow another site", "Allows a copy between two sites of one account.")]
CopyFiles = Annotated[bool, asked("Copy files", "Uploads, themes, plugins.")]
PolicyName = Annotated[
    str, asked("Policy", "Name of the masking policy, one for each application.", min_length=1, max_length=40)
]
StagingHostname = Annotated[
    str,
    asked(
        "Staging hostname", "Type it. It must match the target of this worker.", form={"minLength": 1}, max_length=255
    ),
]
Readers = Annotated[
    Literal["stay", "wait"],
    asked(
        "Readers of staging",
        "stay: they see the old data until the commit. wait: the load is faster, and they wait for it.",
    ),
]
Attachments = Annotated[
    bool, asked("Include attachments", "Off: the dump is smaller. Rows are kept, their content is not read.")
]
StandingOrAsk = Annotated[
    Literal["ask", "standing"],
    asked(
        "Approval", "ask: people approve in this run. standing: the standing approvals must cover exactly this pair."
    ),
]
Anonymizers = list[Literal["email", "names", "contact", "passwords", "bodies", "attachments"]]
RiskPhrase = Annotated[
    str, asked("Risk phrase", "Only if an anonymizer is off: I_UNDERSTAND_THE_PII_RISK", max_length=60)
]
ANSWER_WITHIN = timedelta(hours=8)
ANSWER_AT_MOST = timedelta(days=7)  # after a week the facts of a plan have changed
