"""What the hosting API says. Tolerant: unknown fields are ignored, all but ids may be absent, enum words stay text."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Said(BaseModel):
    """Base of all models: immutable, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Reference(Said):
    """A pointer to another object by id."""

    id: str


class Installation(Said):
    """One install. `status`: "active", "pending", another word, or absent; `environment` may be null or unknown."""

    id: str
    name: str
    account: Reference | None = None
    site: Reference | None = None
    environment: str | None = None
    status: str | None = None
    primary_domain: str | None = None
    cname: str | None = None
    php_version: str | None = None
    wp_version: str | None = None
    is_multisite: bool | None = None


class Site(Said):
    """One site, the product whose installs are its environments."""

    id: str
    name: str = ""
    account: Reference | None = None


class AccountUser(Said):
    """One person who may log in to an account. `roles`: like "full, billing"; what is absent is not known."""

    email: str | None = None
    roles: str | None = None
    invite_accepted: bool | None = None
    mfa_enabled: bool | None = None


class Backup(Said):
    """One backup. Only `completed` is a good end and only `aborted` a bad one. Times are UTC."""

    id: str
    status: str | None = None
    description: str | None = None
    create_time: datetime | None = None
    complete_time: datetime | None = None


class Tls(Said):
    """State of a domain's certificate on the network."""

    status: str | None = None


class NetworkInfo(Said):
    """A domain's state on the network."""

    status: str | None = None
    ssl: Tls | None = None


class NetworkDetails(Said):
    """Wrapper of the network state."""

    network_info: NetworkInfo | None = None


class Domain(Said):
    """One domain. `redirects_to` comes as list, object, empty object or not at all."""

    id: str
    name: str
    primary: bool | None = None
    duplicate: bool | None = None
    network_details: NetworkDetails | None = None
    ownership_status: str | None = None
    redirects_to: Any = None

    @property
    def redirect_target(self) -> str | None:
        """Name of the domain it redirects to, if any."""
        first = self.redirects_to[0] if isinstance(self.redirects_to, list) and self.redirects_to else self.redirects_to
        return str(first["name"]) if isinstance(first, dict) and first.get("name") else None


class Certificate(Said):
    """One certificate. `expires_time` is UTC."""

    common_name: str | None = None
    status: str | None = None
    expires_time: datetime | None = None


class DayOfUsage(Said):
    """One day's figures. The host writes int64 as JSON strings; `storage_update_time` is when it really measured."""

    date: str | None = None
    storage_file_bytes: int | None = None
    storage_database_bytes: int | None = None
    database_tables_count: int | None = None
    storage_update_time: datetime | None = None


class Usage(Said):
    """Usage of one install, newest day first."""

    install_name: str | None = None
    metrics: tuple[DayOfUsage, ...] = ()
    storage_refresh_expected_time: datetime | None = None

    @field_validator("metrics", mode="before")
    @classmethod
    def _absent_is_empty(cls, value: Any) -> Any:
        return value or ()


class DomainReport(Said):
    """A DNS and TLS report on an install's domains; final once `complete`."""

    id: str | None = None
    complete: bool = False
    domains: tuple[dict[str, Any], ...] = ()
