"""The registry of makers, and how a policy names one: by its name alone, or as a mapping with options.

A new maker is a class in one of these files and an entry in `OneOf`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from tasks.estate.errors import Misconfigured
from tasks.masking.makers.addresses_and_phones import City, Phone, Postcode, Street
from tasks.masking.makers.arrays import Array
from tasks.masking.makers.attachments import Placeholder, PlaceholderChecksum, PlaceholderSize
from tasks.masking.makers.dates import BirthDate, DateShift
from tasks.masking.makers.documents import Document, Member
from tasks.masking.makers.email import Email
from tasks.masking.makers.expression import Expression
from tasks.masking.makers.iban import Iban
from tasks.masking.makers.identifiers import Hash, Ip, Token, Url, Uuid
from tasks.masking.makers.maker import Maker, Place, Row, Uniqueness
from tasks.masking.makers.names import Company, FirstName, FullName, LastName
from tasks.masking.makers.numbers import Choice, Number
from tasks.masking.makers.recompute import ByTrigger, Recompute, with_maker
from tasks.masking.makers.texts import Blank, Constant, Null, Password, Scrub

__all__ = ["KINDS", "AnyMaker", "Maker", "Place", "Row", "Uniqueness", "parse", "reasons_of"]

OneOf = (
    Array | BirthDate | Blank | ByTrigger | Choice | City | Company | Constant | DateShift | Document | Email | Expression
    | FirstName | FullName | Hash | Iban | Ip | LastName | Null | Number | Password | Phone | Placeholder
    | PlaceholderChecksum | PlaceholderSize | Postcode | Recompute | Scrub | Street | Token | Url | Uuid
)  # fmt: skip


AnyMaker = Annotated[Annotated[OneOf, Field(discriminator="maker")], BeforeValidator(with_maker)]
KINDS: dict[str, type[Maker]] = {kind.model_fields["maker"].default: kind for kind in get_args(OneOf)}

for _nesting in (Member, Array, Document):  # their fields name AnyMaker, which is complete only now
    _nesting.model_rebuild(_types_namespace={"AnyMaker": AnyMaker, "Member": Member})
_adapter: TypeAdapter[AnyMaker] = TypeAdapter(AnyMaker)


def parse(given: Mapping[str, Any] | str) -> AnyMaker:
    """Return the maker that a policy names. Raise `Misconfigured` naming every wrong option, never its value."""
    try:
        return _adapter.validate_python(with_maker(given))
    except ValidationError as wrong:
        raise Misconfigured(
            f"The policy names no maker that exists with these options: {reasons_of(wrong, 'maker')}",
            next_step="Nothing was read. Correct the maker or its option in the policy.",
        ) from None


def reasons_of(wrong: ValidationError, whole: str) -> str:
    """Return what is wrong with each option, without its value. A fault of the whole is named `whole`."""
    errors = wrong.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, error['loc'])) or whole}: {error['msg']}" for error in errors)
