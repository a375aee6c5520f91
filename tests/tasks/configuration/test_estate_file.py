"""The file of the estate: read whole or not at all, and every mistake is reported at once, with line, column and remedy."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.configuration.estate_file import MODELS, OWN_MEANING, load_estate, parse_estate
from tasks.configuration.settings import Settings
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Estate
from tasks.estate.sites import Environment

ROOT = Path(__file__).parents[3]
WHOLE = """
accounts:
  - name: Agency
    user: UNDERSTUDY_AGENCY_USER
    password: UNDERSTUDY_AGENCY_PASSWORD
    notify: ops@agency.example
  - name: School
    user: UNDERSTUDY_SCHOOL_USER
    password: UNDERSTUDY_SCHOOL_PASSWORD
sites:
  - name: Schulfest
    account: School
    production: schulprod
    staging: schulstage
    owners: [Anna Lead]
    login: {user: UNDERSTUDY_SCHULFEST_USER, password: UNDERSTUDY_SCHULFEST_PASSWORD}
    nightly:
      window: {from: 22:30, to: 05:00}
      zone: Europe/Vienna
      approval: standing
databases:
  - name: Schulportal
    application: schulportal
    policy: schulportal
    source: UNDERSTUDY_PORTAL_SOURCE
    source_hostname: schule.example
    target: UNDERSTUDY_PORTAL_TARGET
    hostname: staging.schule.example
"""


def mistakes(text: str) -> list[str]:
    """Return the lines of the error that this text is refused with, without the heading."""
    with pytest.raises(Misconfigured) as caught:
        parse_estate(text, Path("estate.yaml"))
    heading, *lines = caught.value.message.splitlines()
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    assert heading == f"estate.yaml has {count}:"
    return lines


def changed(old: str, new: str) -> str:
    """Return the whole file with one text replaced."""
    assert WHOLE.count(old) == 1, old
    return WHOLE.replace(old, new)


def test_a_whole_file_is_read() -> None:
    """Accounts, sites and databases are what the file contains; a time needs no quotes."""
    estate = parse_estate(WHOLE, Path("estate.yaml"))
    (site,), (database,) = estate.sites, estate.databases
    assert site.installs == (("schulprod", Environment.PRODUCTION), ("schulstage", Environment.STAGING))
    assert site.nightly is not None
    assert f"{site.nightly.window.opens:%H:%M}" == "22:30"
    assert estate.site_of("schulstage") is site
    assert estate.account_of(site) is estate.accounts[1]
    assert estate.database_of("schulportal") is database
    assert estate.database_of("other") is None


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n", "sites:\n"])
def test_a_file_without_entries_describes_nothing(text: str | None, tmp_path: Path) -> None:
    """A missing file, an empty one and an empty list leave everything to the worker's own settings."""
    path = tmp_path / "estate.yaml"
    if text is not None:
        path.write_text(text)
    if text == "sites:\n":
        with pytest.raises(Misconfigured, match=r"line 1, column 1, sites: found nothing; expected a list of sites"):
            load_estate(path)
    else:
        assert load_estate(path) == Estate()


NIGHT = "line 18, column 7, sites 1, nightly, window"
WRONG = [
    ("staging: schulstage", "stagging: schulstage", "line 14, column 5, sites 1, stagging: found an unknown key"),
    ("staging: schulstage", "stagging: schulstage", "expected one of name, .*Is staging meant"),
    (
        "Europe/Vienna",
        "Europe/Wien",
        "line 19, column 7, sites 1, nightly, zone: found 'Europe/Wien'; expected the time zone",
    ),
    ("to: 05:00", "to: 22:30", f"{NIGHT}: found the same time twice, 22:30; expected the hours"),
    ("from: 22:30", "from: late", "line 18, column 16, .*window, from: found 'late'; expected a time of day"),
    (
        "UNDERSTUDY_AGENCY_USER",
        "anna@agency:hunter2",
        "line 4, column 5, accounts 1, user: found a value that is not shown",
    ),
    ("UNDERSTUDY_AGENCY_USER", "hunter2", "expected the name of the setting that holds the API user"),
    ("UNDERSTUDY_AGENCY_USER", "UNDERSTUDY_AGENCY_USER_FILE", "accounts 1, user: .*NAME_FILE"),
    ("UNDERSTUDY_AGENCY_USER", "UNDERSTUDY_MASKING_KEY", "found UNDERSTUDY_MASKING_KEY, which has another purpose"),
    ("UNDERSTUDY_SCHULFEST_USER", "UNDERSTUDY_API_USER", "sites 1, login, user: found UNDERSTUDY_API_USER, which"),
    ("UNDERSTUDY_PORTAL_TARGET", "UNDERSTUDY_PORTAL_SOURCE", "line 27, .*target: found the same setting as source"),
    (
        "    account: School\n",
        "",
        "line 11, column 5, sites 1, account: found no account; expected one of Agency, School",
    ),
    ("account: School", "account: Scool", "line 12, .*account: found 'Scool'; expected one of Agency, School"),
    (
        "  - name: School\n",
        "  - name: agency\n",
        "line 7, column 5, accounts 2, name: found the same name as in line 3",
    ),
    (
        "staging: schulstage",
        "staging: schulprod",
        "found schulprod, which is the production install of Schulfest in line 13",
    ),
    ("staging: schulstage", "staging: schulprod", "line 14, .*; expected an install that is production nowhere"),
    (
        "    staging: schulstage\n",
        "",
        "line 16, column 5, sites 1, nightly: found a nightly refresh of staging, and no",
    ),
    ("    hostname: staging.schule.example\n", "", "databases 1, hostname: found no such key; expected the hostname"),
    ("    policy: schulportal\n", "", "line 22, column 5, databases 1, policy: found no such key"),
    ("production: schulprod", "production: Schul Prod", "production: found 'Schul Prod'; expected the name of the"),
    ("owners: [Anna Lead]", "owners: Anna Lead", "owners: found 'Anna Lead'; expected a list of names"),
    ("owners: [Anna Lead]", "owners: [{}]", "line 15, column 14, sites 1, owners 1: found a mapping; expected a name"),
    (
        "account: School",
        "account: A\n    account: School",
        r"line 13, column 5, .*found this key again \(first in line 12\)",
    ),
    (
        "name: Schulportal",
        "name: Schulportal\n    ? [a]\n    : b",
        "databases 1: found a key that is a list or mapping",
    ),
    ("sites:", "sites: ]", "line 10, column 8, the file: found text that is not YAML"),
    ("owners: [Anna Lead]", "owners: &a [*a]", "owners 1: found an alias"),
    (WHOLE, "- a\n", "line 1, column 1, the file: found a list; expected a mapping with accounts, sites, databases"),
    (WHOLE, "sites: {}\n", "sites: found a mapping; expected a list of sites"),
    (WHOLE, "sites: [x]\n", "line 1, column 9, sites 1: found 'x'; expected a mapping with name, account, production"),
]


@pytest.mark.parametrize(("old", "new", "expected"), WRONG)
def test_a_mistake_is_reported_with_its_place(old: str, new: str, expected: str) -> None:
    """The error contains line, column, what was found, what was expected, and what to do."""
    lines = mistakes(changed(old, new))
    (found,) = [line for line in lines if re.search(expected, line)]
    assert re.match(r"line \d+, column \d+, [^:]+: found .+; expected .+\. .+[.?]", found)


def test_all_mistakes_are_reported_at_once() -> None:
    """A file with four mistakes, in keys, values and between entries, is refused once, in the order of its lines."""
    text = changed("notify: ops@agency.example", "notify: nobody").replace("Europe/Vienna", "Nowhere")
    text = text.replace("staging: schulstage", "staging: schulprod") + "    colour: blue\n"
    assert [line.split(",")[0] for line in mistakes(text)] == ["line 6", "line 14", "line 19", "line 29"]


def test_an_install_cannot_be_in_two_sites() -> None:
    """The second site that names an install is refused, whatever its role there."""
    text = WHOLE.replace(
        "databases:", "  - {name: B, account: School, production: bprod, staging: schulstage}\ndatabases:"
    )
    (line,) = mistakes(text)
    assert (
        "found schulstage, which is the staging install of Schulfest in line 14; expected an install that is named once"
        in line
    )


@given(secret=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="'\"#"), min_size=8))
def test_no_secret_is_shown(secret: str) -> None:
    """A password or address in place of a setting's name is refused, and no part of it is in the message."""
    text = changed("UNDERSTUDY_PORTAL_SOURCE", f"'p-{secret}'")
    (line,) = mistakes(text)
    assert "databases 1, source: found a value that is not shown" in line
    assert f"p-{secret}" not in line


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A folder, or text that is not UTF-8, is no empty estate."""
    with pytest.raises(Misconfigured, match="cannot be read: IsADirectoryError"):
        load_estate(tmp_path)
    (tmp_path / "estate.yaml").write_bytes(b"\xff")
    with pytest.raises(Misconfigured, match="cannot be read: UnicodeDecodeError"):
        load_estate(tmp_path / "estate.yaml")


def test_the_example_is_a_whole_file() -> None:
    """The file that comes with the project describes nothing; its example, without the comment marks, is a whole file."""
    path = ROOT / "deployments" / "estate.yaml"
    assert load_estate(path) == Estate()
    example = path.read_text(encoding="utf-8").partition("# accounts:\n")[2]
    estate = parse_estate("accounts:\n" + example.replace("\n# ", "\n").removeprefix("# "), path)
    assert all((estate.accounts, estate.sites, estate.databases))


def test_the_nights_of_the_sandbox_have_standing_approvals() -> None:
    """Each nightly run of the sandbox's estate has an entry in the standing approvals."""
    estate = load_estate(ROOT / "deployments" / "sandbox" / "estate.yaml")
    entries = yaml.safe_load((ROOT / "deployments" / "standing.yaml").read_text(encoding="utf-8"))
    pairs = {(entry["source"], entry["destination"]) for entry in entries}
    assert {(site.production, name) for site, name in estate.pairs() if name == site.staging} <= pairs
    assert {(each.application, each.hostname) for each in estate.databases} <= pairs


def test_every_setting_that_is_a_secret_has_its_own_purpose() -> None:
    """No secret of the worker can be named for another purpose: a masking key would be sent to the host as a password."""
    secret = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    assert {f"UNDERSTUDY_{name.upper()}" for name in secret} <= set(OWN_MEANING)


def rows(place: tuple[str, ...], model: Any) -> list[str]:
    """Return the rows of docs/estate.md for one kind of entry: key, whether it is needed, meaning."""
    return [
        f"| `{field.alias or key}` | {'yes' if field.is_required() else '–'} | {field.description} |"
        for key, field in model.model_fields.items()
    ]


@pytest.mark.parametrize("place", MODELS, ids=lambda place: ".".join(place) or "file")
def test_every_key_is_documented(place: tuple[str, ...]) -> None:
    """docs/estate.md has a row for each key, as the code describes it."""
    page = (ROOT / "docs" / "estate.md").read_text(encoding="utf-8").splitlines()
    assert [row for row in rows(place, MODELS[place]) if row not in page] == []


@pytest.mark.parametrize(
    ("text", "destination", "zone"),
    [
        (WHOLE, "schulprod", "Europe/Vienna"),
        (WHOLE, "staging.schule.example", "Europe/Vienna"),  # it has no night of its own
        (WHOLE, "elsewhere", "Europe/Vienna"),
        ("", "schulprod", ""),
    ],
)
def test_a_destination_has_the_zone_of_its_nights(text: str, destination: str, zone: str) -> None:
    """Without one of its own, that of the first night in the file: whoever decides lives there. Nothing is invented."""
    assert parse_estate(text, Path("estate.yaml")).zone_of(destination) == zone
