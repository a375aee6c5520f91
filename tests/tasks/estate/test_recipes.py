"""Recipes: everything is on by default, and the digest changes with everything that changes the steps."""

import pytest
from pydantic import ValidationError

from tasks.estate.recipes import PROTECTING, CopyStep, Mail, Recipe, Staff, StepDone


def test_the_default_does_everything() -> None:
    """No step is off, and nothing is unprotected."""
    assert Recipe.safe().steps == tuple(CopyStep)
    assert Recipe.safe().unprotected == ()


def test_visitors_are_kept_out_first() -> None:
    """The steps run in the order of the list, whatever is off."""
    assert Recipe.safe().steps[0] is CopyStep.KEEP_OUT
    assert Recipe(off=(CopyStep.FLUSH, CopyStep.STOP_MAIL)).steps[:2] == (CopyStep.KEEP_OUT, CopyStep.PAUSE_JOBS)


@pytest.mark.parametrize("step", CopyStep)
def test_a_step_that_protects_people_is_named_if_it_is_off(step: CopyStep) -> None:
    """The steps without which people's data is in danger are exactly the protecting ones."""
    assert Recipe(off=(step,)).unprotected == ((step,) if step in PROTECTING else ())


DIFFERENT = [
    Recipe(off=(CopyStep.FLUSH,)),
    Recipe(mail=Mail(mode="log")),
    Recipe(mail=Mail(mode="redirect", address="team@example.org")),
    Recipe(staff=Staff(roles=("administrator", "editor"))),
    Recipe(staff=Staff(domains=("example.org",))),
    Recipe(banner="Test"),
    Recipe(personal_keys=("vat_number",)),
    Recipe(harmless_tables=("vat_number",)),
    Recipe(harmless_gateways=("vat_number",)),
]


def test_each_parameter_is_part_of_the_digest() -> None:
    """No two of these recipes have one digest."""
    assert len({each.digest for each in [Recipe.safe(), *DIFFERENT]}) == len(DIFFERENT) + 1


def test_the_order_of_names_is_not_part_of_the_digest() -> None:
    """A file whose lists are sorted differently is the same recipe, also after a round trip."""
    one, other = (Recipe(personal_keys=keys) for keys in (("a", "b"), ("b", "a", "a")))
    assert one.digest == other.digest
    assert Recipe.model_validate_json(one.model_dump_json()).digest == one.digest


@pytest.mark.parametrize(
    "mail",
    [{"mode": "redirect"}, {"mode": "stop", "address": "team@example.org"}, {"mode": "redirect", "address": "a b@c.d"}],
)
def test_a_redirect_needs_an_address(mail: dict[str, str]) -> None:
    """An address without a redirect would be a redirect that somebody believes in."""
    with pytest.raises(ValidationError):
        Mail.model_validate(mail)


@pytest.mark.parametrize(
    ("checked", "left", "safe"), [(True, "", True), (None, "", False), (False, "", False), (True, "2 gateways", False)]
)
def test_not_known_is_not_safe(checked: bool | None, left: str, safe: bool) -> None:
    """A step is safe only if it was read back and nothing dangerous is left."""
    assert StepDone(step=CopyStep.FLUSH, changed=0, checked=checked, still_dangerous=left).is_safe is safe
