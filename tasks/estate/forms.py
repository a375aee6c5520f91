"""Fields of the forms that people fill in to start a run."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field


def asked(title: str, description: str, **rules: Any) -> Any:
    """A form field with its label, its explanation and pydantic's rules (`min_length`, `pattern`, …).

    Prefect replaces a field's own title and description by the parameter's name and docstring; what is in the extra
    schema stays.
    """
    return Field(json_schema_extra={"title": title, "description": description}, **rules)


# Fields that several forms share, so that people read the same words everywhere.
RequestedBy = Annotated[
    str,
    asked(
        "Requested by",
        "Your name, for the ledger. Unless the plan is green, you cannot be the only one who approves it.",
        max_length=80,
    ),
]
Requester = Annotated[
    str,
    asked(
        "Requested by",
        "Your name, for the ledger. Unless the plan is green, you cannot be the only one who approves it.",
        min_length=3,
        max_length=80,
    ),
]
AnswerWithin = Annotated[timedelta, asked("Answer within", "How long the question stays open.")]
OtherSite = Annotated[bool, asked("Allow another site", "Explicit leave to copy between two sites of one account.")]
CopyFiles = Annotated[bool, asked("Copy files", "Uploads, themes, plugins.")]
PolicyName = Annotated[
    str, asked("Policy", "Name of the masking policy, one for each application.", min_length=1, max_length=40)
]
StagingHostname = Annotated[
    str,
    asked(
        "Staging hostname",
        "Type it: it is compared with the real target of this worker.",
        min_length=1,
        max_length=255,
    ),
]
Readers = Annotated[
    Literal["stay", "wait"],
    asked("Readers of staging", "stay: they see the old data until the commit. wait: faster, they wait."),
]
Attachments = Annotated[
    bool, asked("Include attachments", "Off: a smaller dump; rows stay, their content is not read.")
]
StandingOrAsk = Annotated[
    Literal["ask", "standing"],
    asked("Approval", "ask: people answer in this run. standing: the reviewed file must cover exactly this pair."),
]
ANSWER_WITHIN = timedelta(hours=8)
