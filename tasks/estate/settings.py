"""Where secrets and addresses enter: environment variables `UNDERSTUDY_…`, and nowhere else.

One way in, on purpose: a Prefect Block can be read back in clear by every API client, an environment variable of our
worker cannot (deployments/worker/worker.py). Secrets leave this object only as client constructor arguments.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.estate.addresses import ADDRESSES
from tasks.estate.errors import Misconfigured

LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")


class Settings(BaseSettings):
    """Everything a worker needs to know that is not a flow parameter. Durations are in seconds of real time at pace 1."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDY_", extra="ignore", hide_input_in_errors=True)

    api_url: str = Field(
        "https://api.wpengineapi.com/v1",
        description="Base URL of the hosting API, with /v1 at its end; https, unless loopback.",
    )
    api_user: SecretStr = Field(
        SecretStr(""), description="API user, from the host's User Portal, page 'API Access'. Needed by every copy."
    )
    api_password: SecretStr = Field(SecretStr(""), description="API password, from the same page.")
    notify: str = Field(
        "", description="E-mail address that the host tells about backups and copies (the API requires one)."
    )
    source_database: SecretStr = Field(
        SecretStr(""), description="postgresql://… of production, with a role that may only read. Needed to export."
    )
    target_database: SecretStr = Field(
        SecretStr(""), description="postgresql://… of staging, as the owner of its tables. Needed to load."
    )
    source_hostname: str = Field(
        "", description="Hostname of production for reports and dumps; empty: that of the connection."
    )
    target_hostname: str = Field(
        "", description="Hostname of the staging instance as people know it; empty: that of the connection."
    )
    policies: Path = Field(
        Path("deployments/policies"), description="Folder of masking policies, one `<name>.yaml` an application."
    )
    masking_key: SecretStr = Field(
        SecretStr(""), description="Key of the masking, 32 bytes or more; from a secret store, never from a form."
    )
    masking_key_rotates: bool = Field(
        True, description="True: each run masks differently. False: equal values stay equal from dump to dump."
    )
    dump_folder: str = Field(
        default_factory=lambda: str(Path.home() / ".understudy" / "dumps"),
        description="Folder for finished dumps: a path, or any fsspec URL (s3://…).",
    )
    dump_work: Path = Field(
        default_factory=lambda: Path.home() / ".understudy" / "work",
        description="Folder for the parts of an unfinished dump; shared, where several machines export.",
    )
    dump_compression: Literal["gzip", "zstd", "none"] = Field("gzip", description="How dumps are compressed.")
    dump_recipients: str = Field(
        "", description="age recipients (age1…), separated by spaces; empty: dumps are not encrypted."
    )
    dump_identity: SecretStr = Field(
        SecretStr(""), description="age identity (AGE-SECRET-KEY-…) that opens encrypted dumps; needed to load them."
    )
    statement_within: float = Field(
        3600.0, gt=0, description="Longest single statement on either database (1 h); not scaled by the pace."
    )
    lock_within: float = Field(
        30.0, gt=0, description="How long a load waits for a lock on staging before it gives up; not scaled."
    )
    ledger_url: str = Field(
        default_factory=lambda: f"sqlite:///{Path.home() / '.understudy' / 'ledger.db'}",
        description="SQLAlchemy URL of the ledger; SQLite by default, postgresql+psycopg://… for several workers.",
    )
    site_scheme: str = Field("https", description="Scheme of the public sites: https, or http on the sandbox.")
    site_gateway: str = Field(
        "", description="host:port that answers for every public site (like curl --connect-to); empty: ask DNS."
    )
    site_logins: SecretStr = Field(
        SecretStr(""),
        description="Logins of sites behind Basic authentication: install=user:password, separated by spaces; "
        "percent-encode what is not a letter or digit.",
    )
    standing_file: Path = Field(
        Path("deployments/standing.yaml"),
        description="Reviewed file of standing approvals for refreshes, relative to the project.",
    )
    leads_file: Path = Field(
        Path("deployments/leads.yaml"), description="Reviewed file of the people who may approve, with their SSH keys."
    )
    codes_file: Path = Field(
        default_factory=lambda: Path.home() / ".understudy" / "codes.yaml",
        description="Secrets of the leads' one-time codes; readable by the worker alone, never in git.",
    )
    risk_file: Path = Field(
        Path("deployments/risks.yaml"),
        description="Reviewed file of what makes a plan green, yellow or red, and what each demands.",
    )
    freeze_file: Path = Field(
        Path("deployments/freezes.yaml"), description="Reviewed freeze calendar; without the file nothing is frozen."
    )
    notices: SecretStr = Field(
        SecretStr(""),
        description="Where notices go, separated by spaces: Prefect blocks (slack-webhook/leads) or Apprise URLs "
        "(mailtos://…). Empty: nowhere.",
    )
    pace: float = Field(
        1.0, gt=0, le=1, description="Factor on every deadline and interval; 1 in real life, 1/60 on the sandbox."
    )
    backup_within: float = Field(2700.0, gt=0, description="Deadline for a backup, from its request (45 min).")
    copy_within: float = Field(5400.0, gt=0, description="Deadline for evidence of a copy or restore (90 min).")
    install_within: float = Field(1800.0, gt=0, description="Deadline for a new install to become active (30 min).")
    execute_within: float = Field(
        1800.0, gt=0, description="How long an approval may be used after its answer (30 min); not scaled."
    )
    settle_gap: float = Field(60.0, ge=0, description="A signal must hold on two readings this far apart.")
    lock_horizon: float = Field(
        86400.0,
        gt=0,
        description="After this long an unproven copy of an ended run no longer holds its destination (24 h).",
    )

    def logins(self) -> dict[str, tuple[str, str]]:
        """User and password of each site behind Basic authentication, by install name. Raises `Misconfigured`."""
        found = {}
        for number, each in enumerate(self.site_logins.get_secret_value().split(), 1):
            install, _, login = each.partition("=")
            user, colon, password = login.partition(":")
            if not (install and user and colon):
                raise Misconfigured(
                    f"Entry {number} of UNDERSTUDY_SITE_LOGINS is not install=user:password.",
                    next_step="Correct the environment variable on the worker; docs/settings.md describes it.",
                )
            found[install] = (unquote(user), unquote(password))
        return found

    def require(self, *names: str) -> "Settings":
        """These settings, if each of these is set. Raises `Misconfigured` naming those that are empty."""
        empty = [f"UNDERSTUDY_{name.upper()}" for name in names if not _plain(getattr(self, name))]
        if empty:
            raise Misconfigured(
                f"The worker's settings are not usable: {', '.join(empty)} (not set).",
                next_step="Set these environment variables on the worker; docs/settings.md lists them.",
            )
        return self


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@lru_cache(maxsize=1)
def _load(_key: None = None) -> Settings:
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = ", ".join(
            sorted(f"UNDERSTUDY_{str(part['loc'][0]).upper()} ({part['msg']})" for part in error.errors())
        )
        raise Misconfigured(
            f"The worker's settings are not usable: {wrong}.",
            next_step="Set these environment variables on the worker; README, 'Your own account', lists them.",
        ) from None  # the pydantic error would carry the values
    settings = settings.model_copy(update=_parsed(settings))
    if not settings.api_url.startswith("https://") and not settings.api_url.startswith(LOOPBACK):
        raise Misconfigured("UNDERSTUDY_API_URL is not https://…; http is for loopback only, on the sandbox.")
    return settings


def _parsed(settings: Settings) -> dict[str, str | SecretStr]:
    """Every setting that holds an address, in the one form in which it is used. Raises `Misconfigured`."""
    parsed: dict[str, str | SecretStr] = {}
    for name, parse in ADDRESSES.items():
        held = getattr(settings, name)
        value = held.get_secret_value() if isinstance(held, SecretStr) else held
        if value:
            address = parse(f"UNDERSTUDY_{name.upper()}", value)
            parsed[name] = SecretStr(address) if isinstance(held, SecretStr) else address
    return parsed


def load_settings() -> Settings:
    """The worker's settings, read once per process. Raises `Misconfigured` naming every variable that is wrong."""
    return _load()


def forget_settings() -> None:
    """Read the environment again at the next `load_settings` (tests, the sandbox)."""
    _load.cache_clear()
