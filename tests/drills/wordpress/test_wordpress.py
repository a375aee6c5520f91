"""Every flow on real WordPress sites: healthy ones end Verified, broken ones do not."""

from collections.abc import Callable
from typing import Any

import pytest

from flows.diagnose import diagnose
from flows.promote import promote
from flows.provision import provision
from flows.refresh import refresh
from flows.restore import restore
from tasks.configuration.settings import forget_settings
from tasks.runtime.resources import open_ledger
from tests.drills.wordpress.conftest import PRODUCTION, STAGING
from tests.drills.wordpress.host import Looks, RealHost
from tests.people import DEMO_LEAD, SECOND_LEAD

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
PROD, STAGE = "schulprod", "schulstage"
DOWN = {"source": PROD, "destination": STAGE}
UP = {"source": STAGE, "destination": PROD}
POSTS = ["wp_posts", "wp_postmeta"]


def both(**looks: Any) -> tuple[Looks, Looks]:
    """Production and staging that look the same, but for the older content of staging."""
    return Looks(**looks), Looks(**{"posts": 2} | looks)


LOGIN = "visitor:s3same"
LIVES = {
    "block theme, pretty permalinks": both(),
    "classic theme, plain permalinks": both(theme="classic", permalinks="plain"),
    "closed REST": both(plugins=("closed",)),
    "closed REST, plain permalinks": both(plugins=("closed",), theme="classic", permalinks="plain"),
    "behind a CDN": both(plugins=("cdn",), theme="classic"),
    "staging behind a login": (Looks(), Looks(posts=2, password=LOGIN)),
}


def asks_arrival(run: Any) -> bool:
    """Whether the run asks what the host's e-mail reports: nothing that it can read proves a promotion of single tables."""
    return bool(open_ledger().facts(run_id=run.id, kind="arrival-asked"))


class Life:
    """The flows that a pair goes through, and how each ended."""

    def __init__(self, start: Callable[..., Any], host: RealHost) -> None:
        self._start, self.host, self.sites = start, host, host.sites
        self.ends: dict[str, str] = {}
        self.reports: list[str] = []

    def go(self, step: str, flow: Any, **parameters: Any) -> Any:
        """Run a flow to its end, approved where it asks; note how it ended."""
        run = self._start(flow, **parameters)
        for lead in (DEMO_LEAD, SECOND_LEAD):
            if run.state == "Suspended":
                run.say(lead=lead)
                run.go()
        if run.state == "Suspended" and asks_arrival(run):
            run.arrived("completed")
        self.ends[step] = run.state
        print(f"{step}: {run.state}, {run.message}")
        self.reports.append(f"##### {step}: {run.state}, {run.message}\n{run.report}")
        return run

    def note(self, step: str, **expected: Any) -> None:
        """Note what production or staging really is after a step, if it is not what it should be."""
        for what, (seen, wanted) in expected.items():
            if seen != wanted:
                self.ends[f"{step}, {what}"] = f"{seen!r}, expected {wanted!r}"

    def all_reports(self) -> str:
        """The reports, for a failed assertion."""
        return "\n".join(self.reports)


@pytest.fixture
def life(start: Callable[..., Any], worker: RealHost) -> Life:
    """The life of the pair."""
    return Life(start, worker)


@pytest.mark.parametrize("looks", LIVES.values(), ids=LIVES.keys(), indirect=True)
def test_every_flow_ends_well_on_a_healthy_pair(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refresh twice, promote files, tables and database, restore and diagnose end well, and the disk agrees."""
    monkeypatch.setenv("UNDERSTUDY_SITE_LOGINS", f"{STAGE}={LOGIN}")
    forget_settings()
    sites = life.sites
    sites.publish(PROD, "News of production")
    life.go("refresh", refresh, **DOWN)
    life.note(
        "refresh", titles=(sites.titles(STAGE), sites.titles(PROD)), home=(sites.home(STAGE), f"http://{STAGING}")
    )
    life.go("refresh again", refresh, **DOWN)

    sites.release(STAGE, "2")
    life.go("promote files", promote, **UP)
    life.note("promote files", released=(sites.released(PROD), "/* release 2 */"))
    sites.publish(STAGE, "News of staging")
    life.go("promote tables", promote, **UP, database=True, tables=POSTS)
    life.note("promote tables", newest=(sites.titles(PROD)[-1], "News of staging"))

    sites.publish(STAGE, "More of staging")
    promoted = life.go("promote database", promote, **UP, database=True)
    life.note("promote database", titles=(sites.titles(PROD), sites.titles(STAGE)),
              home=(sites.home(PROD), f"http://{PRODUCTION}"))  # fmt: skip
    life.go("restore", restore, promotion=promoted.id)
    life.note("restore", newest=(sites.titles(PROD)[-1], "News of staging"))

    life.go("diagnose production", diagnose, install=PROD)
    life.go("diagnose staging", diagnose, install=STAGE, compare_with=PROD)
    wanted = {step: "Healthy" if step.startswith("diagnose") else "Verified" for step in life.ends}
    assert life.ends == wanted, life.all_reports()


ONE_SIDE = (Looks(lacks=("shop",)), Looks(plugins=("shop",), posts=2))


@pytest.mark.parametrize("looks", [ONE_SIDE], ids=["a new plugin"], indirect=True)
def test_a_new_plugin_reaches_production_by_its_files_alone(life: Life) -> None:
    """The plugin is active on staging only; its files arrive, and production is healthy though its pages do not show it."""
    run = life.go("promote files", promote, **UP)
    there = (life.sites.by_name[PROD].content / "plugins" / "shop" / "shop.js").exists()
    assert (life.ends, there) == ({"promote files": "Verified"}, True), life.all_reports()
    assert "Evidence of arrival: confirmed" in run.report, life.all_reports()  # the new files were not there before


@pytest.mark.parametrize("looks", [both(plugins=("shop",))], ids=["a shop"], indirect=True)
def test_a_shop_keeps_its_orders(life: Life) -> None:
    """Refresh and files go as ever; a promotion of the database would replace orders, and is refused before any call."""
    life.sites.publish(PROD, "News of production")
    life.go("refresh", refresh, **DOWN)
    life.sites.release(STAGE, "2")
    life.go("promote files", promote, **UP)
    life.go("promote database", promote, **UP, database=True)
    assert life.ends == {"refresh": "Verified", "promote files": "Verified", "promote database": "TooRisky"}, (
        life.all_reports()
    )
    assert life.host.copies_received() == 2


@pytest.mark.parametrize("replacing", ["none", "half"])
def test_a_promotion_whose_urls_were_not_replaced_fails(replacing: str, life: Life) -> None:
    """The copy arrived, and visitors would be sent to staging, or meet its URLs: VerifyFailed, and a restore ends well."""
    life.sites.publish(STAGE, "News of staging")
    life.go("refresh first", refresh, **DOWN)
    life.sites.publish(STAGE, "News of staging")
    life.host.replacing = replacing
    promoted = life.go("promote database", promote, **UP, database=True)
    life.go("restore", restore, promotion=promoted.id)
    ends = {"refresh first": "Verified", "promote database": "VerifyFailed", "restore": "Verified"}
    assert life.ends == ends, life.all_reports()


@pytest.mark.parametrize("looks", [(Looks(), Looks(posts=2, password=LOGIN))], ids=["login"], indirect=True)
def test_a_site_behind_a_login_is_never_verified_without_it(life: Life) -> None:
    """Nothing of it can be read: the arrival is not proven, and a diagnosis is healthy in part."""
    life.go("refresh", refresh, **DOWN)
    life.go("diagnose", diagnose, install=STAGE)
    assert life.ends["refresh"] in ("OutcomeUnknown", "VerifiedInPart"), life.all_reports()
    assert life.ends["diagnose"] == "HealthyInPart", life.all_reports()


def test_a_new_install_is_filled(life: Life) -> None:
    """Provision creates a fresh WordPress and fills it with production: Verified, with production's posts."""
    life.go("provision", provision, source=PROD, name="schulneu")
    assert life.ends == {"provision": "Verified"}, life.all_reports()
    assert life.sites.titles("schulneu") == life.sites.titles(PROD)
