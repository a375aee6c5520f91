"""Answers of the hosting API. Unknown fields are ignored, all fields but ids may be absent, enum values stay text."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator


def _moment(value: object) -> datetime | None:
    """Return a time in UTC, or None if the value is not a time: the host declares most times as any string, and "" occurs.

    A time without a zone is UTC.
    """
    if not isinstance(value, str | datetime):
        return None
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _count(value: object) -> int | None:
    """Return a whole number, which the host writes as a JSON string, or None if the value is not a number."""
    try:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        return None


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Count = Annotated[int | None, BeforeValidator(_count)]


class Answer(BaseModel):
    """Base of all models: immutable, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Reference(Answer):
    """A pointer to another object by id."""

    id: str


class Installation(Answer):
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


class Site(Answer):
    """One site, the product whose installs are its environments."""

    id: str
    name: str = ""
    account: Reference | None = None


class AccountUser(Answer):
    """One person who may log in to an account. `roles`: like "full, billing". Absent fields are unknown."""

    email: str | None = None
    roles: str | None = None
    invite_accepted: bool | None = None
    mfa_enabled: bool | None = None


class Backup(Answer):
    """One backup. Its final states are `completed` and `aborted`. Times are UTC."""

    id: str
    status: str | None = None
    description: str | None = None
    create_time: Moment = None
    complete_time: Moment = None


class Tls(Answer):
    """State of a domain's certificate on the network."""

    status: str | None = None


class NetworkInfo(Answer):
    """A domain's state on the network."""

    status: str | None = None
    ssl: Tls | None = None


class DnsConfig(Answer):
    """What DNS must contain for a domain: either the CNAME or one of the addresses."""

    cname: str | None = None
    a_records: tuple[str, ...] | None = None


class NetworkDetails(Answer):
    """Network state and required DNS records of a domain."""

    dns_config_info: DnsConfig | None = None
    network_info: NetworkInfo | None = None


class Domain(Answer):
    """One domain. `redirects_to` is a list, an object, an empty object or absent."""

    id: str
    name: str
    primary: bool | None = None
    duplicate: bool | None = None
    network_details: NetworkDetails | None = None
    ownership_status: str | None = None
    redirects_to: Any = None

    @property
    def redirect_target(self) -> str | None:
        """Return the name of the domain that it redirects to, or None."""
        first = self.redirects_to[0] if isinstance(self.redirects_to, list) and self.redirects_to else self.redirects_to
        return str(first["name"]) if isinstance(first, dict) and first.get("name") else None


class Certificate(Answer):
    """One certificate. `domains`: every name that it covers, `*.` for a wildcard. `expires_time` is UTC."""

    common_name: str | None = None
    domains: tuple[str, ...] | None = None
    status: str | None = None
    expires_time: Moment = None


class DayOfUsage(Answer):
    """One day's figures. The host writes int64 as JSON strings. `storage_update_time`: time of the measurement."""

    date: str | None = None
    storage_file_bytes: Count = None
    storage_database_bytes: Count = None
    database_tables_count: Count = None
    storage_update_time: Moment = None


class Usage(Answer):
    """Usage of one install, newest day first."""

    install_name: str | None = None
    metrics: tuple[DayOfUsage, ...] = ()
    storage_refresh_expected_time: Moment = None

    @field_validator("metrics", mode="before")
    @classmethod
    def _absent_is_empty(cls, value: Any) -> Any:
        return value or ()
