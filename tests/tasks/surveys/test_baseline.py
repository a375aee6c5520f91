"""The baseline of a copy: what the destination was before the call."""

from tasks.estate.sites import Content, Environment, Install, Survey
from tasks.estate.waiting import utc_now
from tasks.surveys.recheck import _with_files_of


def survey_with(assets: dict[str, str]) -> Survey:
    """A survey of a site whose front page uses these files."""
    install = Install(
        id="i", name="site", account_id="a", site_id="s", environment=Environment.STAGING, status="active",
        primary_domain="site.example",
    )  # fmt: skip
    return Survey(install=install, content=Content(reachable=True, assets=assets), taken_at=utc_now())


def test_the_baseline_knows_the_files_that_only_the_source_shows() -> None:
    """A plugin's script that is missing on the destination reads empty, one that is there has its digest, an unreadable none."""

    class Disk:
        def asset(self, domain: str, path: str) -> str | None:
            return {"plugins/new.js": "", "plugins/old.js": "22"}.get(path)

    shown = dict.fromkeys(("plugins/new.js", "plugins/old.js", "plugins/other.js", "themes/a.css"), "11")
    source, destination = (survey_with(assets) for assets in (shown, {"themes/a.css": "33"}))
    seen = _with_files_of(source, Disk(), destination).content.assets  # type: ignore[arg-type]  # only `asset` is asked
    assert seen == {"plugins/new.js": "", "plugins/old.js": "22", "themes/a.css": "33"}
