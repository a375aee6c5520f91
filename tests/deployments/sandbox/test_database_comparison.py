"""The demo's proof: it detects each fault and never shows production in clear text."""

from collections.abc import Iterator
from typing import Any

import bcrypt
import pytest

from deployments.sandbox.database_comparison import SideBySide, aligned
from deployments.sandbox.school.database import CANARIES
from tasks.masking.session_settings import PASSWORD


@pytest.fixture
def sides(school: Any) -> Iterator[SideBySide]:
    """A small school's production and staging, before any load."""
    with SideBySide(school.production, school.staging) as sides:
        yield sides


def test_search_finds_every_canary_on_production_only(sides: SideBySide) -> None:
    """Before a load production has all canaries and staging, whose rows are others, has none."""
    good, (there, here) = sides.search()
    assert good
    assert f"{len(CANARIES)} of {len(CANARIES)}" in there
    assert "0 of" in here
    assert not [value for value in CANARIES.values() if value in there + here]


@pytest.mark.parametrize(
    "hidden",
    [
        "INSERT INTO settings VALUES ('leak', jsonb_build_object('a', jsonb_build_array('x', 'mail {email} now')))",
        "UPDATE attachments SET content = made, size_bytes = octet_length(made), sha256 = encode(sha256(made), 'hex') "
        "FROM (SELECT convert_to('an {email}', 'UTF8') AS made) m WHERE id = (SELECT min(id::text)::uuid FROM attachments)",
        "UPDATE users SET other_emails = ARRAY[upper('{email}')] WHERE id = 22",
    ],
)
def test_search_finds_one_canary_anywhere(school: Any, sides: SideBySide, hidden: str) -> None:
    """One canary inside a document, in the bytes of a file or in an array, in other letters: the search fails."""
    school.change(hidden.format(email=CANARIES["email"]))
    good, (_, here) = sides.search()
    assert not good
    assert "1 of 15 canaries (email)" in here


def test_people_of_production_are_hidden(school: Any, sides: SideBySide) -> None:
    """Of production only the first letter is shown, of staging everything; who is not on staging has dashes."""
    canary = sides.person(CANARIES["email"])
    shown = "\n".join(sides.people([22, canary]))
    clear = school.ask("SELECT unnest(ARRAY[email, display_name, iban]) FROM users WHERE iban <> ''", production=True)
    assert not [value for (value,) in clear if value in shown]
    assert not [value for value in CANARIES.values() if value in shown]
    assert school.ask("SELECT email FROM users WHERE id = 22")[0][0] in shown
    assert "–" in shown


def test_counts_and_login_say_no_before_a_load(sides: SideBySide) -> None:
    """Staging before a load has other rows and its own passwords, and the comparison detects it."""
    assert not sides.counts_agree()
    good, details = sides.login()
    assert not good
    assert "'staging123' does not" in details


SETS = "UPDATE users SET password_hash = '{made}'"


def test_login_needs_one_hash_for_all(school: Any, sides: SideBySide) -> None:
    """The password must open every account, not only the one that was tried."""
    first, second = (bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode() for _ in range(2))
    school.change(SETS.format(made=first))
    assert sides.login()[0]
    school.change(SETS.format(made=second) + " WHERE id = 22")
    assert not sides.login()[0]


def test_columns_are_aligned() -> None:
    """Rows of any cells become lines with columns of equal width."""
    assert aligned([("a", 10), ("bcd", 2)]) == ["a    10", "bcd  2"]
