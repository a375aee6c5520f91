"""Recipes in the file of the estate: whose is used, and what is refused, with line and column."""

from pathlib import Path

import pytest

from tasks.configuration.estate_file import parse_estate
from tasks.estate.dumps import RISK_PHRASE
from tasks.estate.estate import Estate
from tasks.estate.recipes import PROTECTING, CopyStep, Recipe
from tests.tasks.configuration.test_estate_file import WHOLE, mistakes

STEPS_AFTER = """
after_copy: {banner: A copy}
sites:
  - name: Schulfest
    production: schulprod
    staging: schulstage
    ssh: true
    after_copy:
      off: [flush]
      mail: {mode: redirect, address: staging@school.example}
      staff: {roles: [administrator, editor], domains: [agency.example]}
  - name: Other
    production: otherprod
    staging: otherstage
"""


def test_a_site_has_its_own_recipe_or_that_of_the_file() -> None:
    """A site's recipe takes the place of the file's as a whole; an install that no site names has the file's."""
    estate = parse_estate(STEPS_AFTER, Path("estate.yaml"))
    own = estate.recipe_of("schulstage")
    assert (own.off, own.mail.address, own.staff.domains) == (
        (CopyStep.FLUSH,),
        "staging@school.example",
        ("agency.example",),
    )
    assert (own.banner, estate.recipe_of("otherstage").banner) == (Recipe.safe().banner, "A copy")
    assert [estate.recipe_of(name).off for name in ("otherstage", "unknown")] == [(), ()]


def test_without_a_recipe_every_step_is_on() -> None:
    """An estate that names no steps has the safe recipe."""
    assert Estate().recipe_of("schulstage") == Recipe.safe()
    assert parse_estate(WHOLE, Path("estate.yaml")).recipe_of("schulstage").digest == Recipe.safe().digest


@pytest.mark.parametrize("step", sorted(PROTECTING))
def test_a_step_that_protects_people_is_off_only_with_the_risk_phrase(step: CopyStep) -> None:
    """Without the phrase the file is refused at the line of the step, for a site and for the whole file; with it, it is read."""
    site = STEPS_AFTER.replace("off: [flush]", f"off: [flush, {step.value}]")
    (line,) = mistakes(site)
    assert line.startswith(
        f"line 9, column 20, sites 1, after_copy, off 2: found {step.value}, which protects people's data"
    )
    (line,) = mistakes(f"after_copy: {{off: [{step.value}], risk_phrase: yes}}")
    assert line.startswith("line 1, column 20, after_copy, off 1: found ")
    agreed = site.replace("    after_copy:", f"    after_copy:\n      risk_phrase: {RISK_PHRASE}")
    assert parse_estate(agreed, Path("estate.yaml")).recipe_of("schulstage").unprotected == (step,)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("off: [flush]", "off: [flsh]", "off 1: found 'flsh'; expected one of keep_out, stop_mail"),
        (
            "mode: redirect",
            "mode: log",
            "mail: found a mapping; expected what happens to e-mails: mode, and an address if",
        ),
        (
            "domains: [agency.example]",
            "domain: [x.y]",
            "staff, domain: found an unknown key; expected one of roles, domains.",
        ),
        ("ssh: true", "ssh: maybe", "ssh: found 'maybe'; expected true: the worker may use WP-CLI"),
    ],
)
def test_a_wrong_recipe_names_its_place_and_what_is_expected(old: str, new: str, expected: str) -> None:
    """Mistakes in a recipe are reported as all others are."""
    (line,) = mistakes(STEPS_AFTER.replace(old, new))
    assert expected in line
