"""What an account lists becomes entries of the estate only if the host leaves no doubt about each install."""

import pytest

from deployments.sandbox.host.host import Host
from deployments.setup.hosting import differences, list_sites, new_sites
from tasks.configuration.settings import load_settings
from tasks.estate.errors import Misconfigured, UnderstudyError
from tasks.estate.estate import Estate, Site


def listed(login: str = "demo") -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """Return what the emulated account lists: installs of each site by environment, and what is left out."""
    found = list_sites(load_settings().api_url, "demo", login)
    return [{role.value: name for name, role in site.installs} for site in found.sites], found.left_out


def test_sites_are_listed_with_their_installs(worker: Host) -> None:
    """Two sites have one production install each; one without production is left out, with the reason."""
    sites, left_out = listed()
    assert sites == [
        {"production": "schulprod", "staging": "schulstage", "development": "schuldev"},
        {"production": "vereinprod", "staging": "vereinstage"},
    ]
    assert left_out == (
        "Fremd: expected one production install and one of each other kind; found fremdstage (staging).",
    )


def test_a_wrong_password_is_one_sentence_with_a_remedy(worker: Host) -> None:
    """It names neither user nor password."""
    with pytest.raises(Misconfigured, match="refuses this API login") as wrong:
        listed("falsch")
    assert "API Access" in wrong.value.next_step
    assert "falsch" not in wrong.value.message


def test_an_account_without_installs_is_refused(worker: Host) -> None:
    """A login that sees nothing is right and of no use."""
    worker.store.clear()
    with pytest.raises(Misconfigured, match="sees no install"):
        listed()


def test_an_install_of_an_unknown_kind_is_never_offered(worker: Host) -> None:
    """Unknown counts as production: it becomes neither staging nor the production of an entry."""
    stage = next(each for each in worker.store.all("installs") if each["name"] == "schulstage")
    worker.store.put("installs", stage | {"environment": None})
    assert listed()[0][0] == {"production": "schulprod", "development": "schuldev"}


def test_a_site_with_two_productions_is_left_out(worker: Host) -> None:
    """Nobody can derive which of them is the source."""
    stage = next(each for each in worker.store.all("installs") if each["name"] == "schulstage")
    worker.store.put("installs", stage | {"environment": "production"})
    sites, left_out = listed()
    assert [each["production"] for each in sites] == ["vereinprod"]
    assert any("schulprod (production), schulstage (production)" in each for each in left_out)


def test_a_host_that_does_not_answer_ends_it() -> None:
    """The account cannot be reached: one of our errors, with a remedy."""
    with pytest.raises(UnderstudyError) as away:
        list_sites("http://127.0.0.1:9/v1", "demo", "demo")
    assert away.value.next_step


def test_what_the_estate_describes_is_not_offered_again(worker: Host) -> None:
    """A described site stays as it is, and a difference is reported; a name that is taken is made different."""
    found = list_sites(load_settings().api_url, "demo", "demo").sites
    estate = Estate(
        sites=(
            Site(name="Verein", production="altprod"),
            Site(name="Fest", production="schulprod", staging="schulstage"),
        )
    )
    assert [site.name for site in new_sites(found, estate)] == ["Verein (vereinprod)"]
    (difference,) = differences(found, estate)
    assert difference.startswith(
        "The estate describes Fest as schulprod (production), schulstage (staging); the account"
    )
