"""The estate: the sites and databases that this project works on, with the accounts that they belong to.

It contains names only. Secrets are in the environment of a worker or in files, under the names of settings; whether an install
may be production is decided by the hosting API (`tasks/estate/sites.py`), never by this.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tasks.estate.nightly_windows import Window, Zone
from tasks.estate.recipes import Recipe
from tasks.estate.sites import Environment, Immutable

LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+$"  # one line without control characters


def _not_a_file(name: str) -> str:
    """Refuse NAME_FILE: every setting may be in a file, and its name is NAME wherever it is."""
    if name.endswith("_FILE"):
        raise ValueError("expected the name without _FILE")
    return name


Name = Annotated[str, Field(min_length=1, max_length=60, pattern=LINE)]
InstallName = Annotated[str, Field(pattern=r"^[a-z0-9]{3,14}$")]
SettingName = Annotated[str, Field(pattern=r"^UNDERSTUDY(?:_[A-Z0-9]+)+$"), AfterValidator(_not_a_file)]
PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Hostname = Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]


class HostingAccount(Immutable):
    """One login for the hosting API. An agency may have several."""

    name: Name = Field(description="a name, which sites refer to")
    user: SettingName = Field(
        description="the name of the setting that holds the API user, like UNDERSTUDY_AGENCY_USER"
    )
    password: SettingName = Field(
        description="the name of the setting that holds the API password, like UNDERSTUDY_AGENCY_PASSWORD"
    )
    notify: str = Field(
        "",
        pattern=r"^[^@\s]+@[^@\s]+$",
        description="the e-mail address that the host notifies; by default that of UNDERSTUDY_NOTIFY",
    )


class SiteLogin(Immutable):
    """The login of a site's staging and development installs behind Basic authentication."""

    user: SettingName = Field(description="the name of the setting that holds the user, like UNDERSTUDY_SCHULFEST_USER")
    password: SettingName = Field(
        description="the name of the setting that holds the password, like UNDERSTUDY_SCHULFEST_PASSWORD"
    )


class Nightly(Immutable):
    """When a scheduled run starts, and who approves it."""

    window: Window = Field(
        description='the hours of a night, like {from: "02:30", to: "06:00"}; the run starts at the first of them'
    )
    zone: Zone = Field(description="the time zone of these hours, like Europe/Vienna")
    approval: Literal["standing", "ask"] = Field(
        description="standing (an entry of standing.yaml for this pair) or ask (people, in each run)"
    )


class SiteNight(Nightly):
    """A nightly refresh of one install of a site."""

    destination: Literal["staging", "development"] = Field(
        "staging", description="staging or development: which install is refreshed"
    )


class AfterCopy(Recipe):
    """The recipe of a site as the file contains it. A step that protects people's data is off only with the risk phrase."""

    risk_phrase: str = Field(
        "", description="I_UNDERSTAND_THE_PII_RISK, if a step that protects people's data is switched off"
    )

    @property
    def recipe(self) -> Recipe:
        """The recipe alone."""
        return Recipe.model_validate(self.model_dump(exclude={"risk_phrase"}))


class Site(Immutable):
    """One site: its installs, and what happens to them at night and after a copy."""

    name: Name = Field(description="the name that people use, like Schulfest")
    account: Name | None = Field(None, description="the name of an entry of accounts; needed if there are several")
    production: InstallName = Field(
        description="the name of the production install: 3 to 14 lower-case letters and digits"
    )
    staging: InstallName | None = Field(
        None, description="the name of the staging install: 3 to 14 lower-case letters and digits"
    )
    development: InstallName | None = Field(
        None, description="the name of the development install: 3 to 14 lower-case letters and digits"
    )
    owners: tuple[Name, ...] = Field((), description="a list of names: whom others ask about the site")
    login: SiteLogin | None = Field(None, description="user and password, each the name of a setting")
    ssh: bool = Field(
        False,
        description="true: the worker may use WP-CLI on all installs of the site, as with UNDERSTUDY_SSH_INSTALLS",
    )
    after_copy: AfterCopy | None = Field(
        None, description="the steps after a copy to staging, if they differ from those of the file's own after_copy"
    )
    nightly: SiteNight | None = Field(None, description="window, zone and approval of a nightly refresh")

    @property
    def installs(self) -> tuple[tuple[str, Environment], ...]:
        """The installs with the role that this file claims; the hosting API decides about it."""
        named = (
            (self.production, Environment.PRODUCTION),
            (self.staging, Environment.STAGING),
            (self.development, Environment.DEVELOPMENT),
        )
        return tuple((name, role) for name, role in named if name)

    @property
    def lower(self) -> tuple[str, ...]:
        """The names of the staging and the development install, as far as there are any."""
        return tuple(name for name, role in self.installs if role is not Environment.PRODUCTION)


class Database(Immutable):
    """One application's database: production, and the staging instance that its dumps are loaded into."""

    name: Name = Field(description="the name that people use, like Schulportal")
    application: PolicyName = Field(
        description="the application, as `app` in its masking policy and in standing.yaml: lower case, digits, - and _"
    )
    policy: PolicyName = Field(
        description="the name of a masking policy that no other database has: lower case, digits, - and _"
    )
    source: SettingName = Field(
        description="the name of the setting that holds the address of production, like UNDERSTUDY_SCHULPORTAL_SOURCE"
    )
    source_hostname: Hostname = Field(description="the hostname of production, like schule.example")
    target: SettingName | None = Field(
        None,
        description="the name of the setting that holds the address of staging, like UNDERSTUDY_SCHULPORTAL_TARGET",
    )
    hostname: Hostname | None = Field(
        None, description="the hostname of the staging instance, like staging.schule.example"
    )
    owners: tuple[Name, ...] = Field((), description="a list of names: whom others ask about the database")
    nightly: Nightly | None = Field(None, description="window, zone and approval of a nightly reload")


class Estate(Immutable):
    """Everything in the file. Without it, a worker has one account, one database, and no names of sites."""

    accounts: tuple[HostingAccount, ...] = Field((), description="a list of logins for the hosting API")
    sites: tuple[Site, ...] = Field((), description="a list of sites")
    databases: tuple[Database, ...] = Field((), description="a list of databases")
    after_copy: AfterCopy = Field(
        AfterCopy(), description="the steps after a copy, for all sites without their own; by default every step is on"
    )

    def site_of(self, install: str) -> Site | None:
        """Return the site that names this install, or None."""
        return next((site for site in self.sites for name, _ in site.installs if name == install), None)

    def recipe_of(self, install: str) -> Recipe:
        """Return the recipe for this install: that of its site, or that of the file, which by default switches every step on."""
        site = self.site_of(install)
        return (site.after_copy if site and site.after_copy else self.after_copy).recipe

    def account_of(self, site: Site) -> HostingAccount | None:
        """Return the account of a site: the one that it names, or the only one. None: that of the worker's own settings."""
        if site.account is None:
            return self.accounts[0] if self.accounts else None
        return next((each for each in self.accounts if each.name == site.account), None)

    def database_of(self, policy: str) -> Database | None:
        """Return the database that has this masking policy, or None."""
        return next((each for each in self.databases if each.policy == policy), None)

    def zone_of(self, destination: str) -> str:
        """Return the time zone of a destination's nights, or else that of the first night in the file; "" without any."""
        site = self.site_of(destination)
        own: list[Site | Database] = [site] if site else []
        own += [database for database in self.databases if database.hostname == destination]
        return next((each.nightly.zone for each in (*own, *self.sites, *self.databases) if each.nightly), "")

    def pairs(self) -> Iterator[tuple[Site, str]]:
        """Yield each site with each of its installs that is not production."""
        yield from ((site, name) for site in self.sites for name in site.lower)
