"""Settings of the worker, from environment variables `UNDERSTUDY_…`; secrets also from files that `UNDERSTUDY_…_FILE` name.

Prefect Blocks are not used: every API client can read them in clear text, but not the environment of a worker
(deployments/worker/worker.py). Secrets leave this object only as arguments of client constructors.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.configuration.secret_settings import secret_setting
from tasks.configuration.setting_addresses import ADDRESSES
from tasks.estate.errors import Misconfigured

LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")


def _secret(description: str) -> Any:
    return Field(SecretStr(""), description=description)


def _reviewed(name: str, description: str) -> Any:
    return Field(Path("deployments", name), description=description)


class Settings(BaseSettings):
    """The settings of a worker. Durations are in seconds of real time at pace 1."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDY_", extra="ignore", hide_input_in_errors=True)

    api_url: str = Field(
        "https://api.wpengineapi.com/v1",
        description="Base URL of the hosting API, with /v1 at its end; https, unless loopback.",
    )
    api_user: SecretStr = _secret("API user, from the host's User Portal, page 'API Access'. Needed by every copy.")
    api_password: SecretStr = _secret("API password, from the same page.")
    notify: str = Field(
        "", description="E-mail address that the host notifies of backups and copies (the API requires one)."
    )
    source_database: SecretStr = _secret("postgresql://… of production, with a read-only role. Needed to export.")
    target_database: SecretStr = _secret("postgresql://… of staging, as the owner of its tables. Needed to load.")
    source_hostname: str = Field(
        "", description="Hostname of production for reports and dumps. Empty: that of the connection."
    )
    target_hostname: str = Field(
        "", description="Hostname of the staging instance, which people type. Empty: that of the connection."
    )
    policies: Path = Field(
        Path("deployments/policies"), description="Folder of masking policies, one `<name>.yaml` for each application."
    )
    masking_key: SecretStr = _secret("Masking key, 32 bytes or more. Keep it in a secret store.")
    masking_key_rotates: bool = Field(
        True, description="True: each run masks differently. False: equal values stay equal in all dumps."
    )
    dump_folder: str = Field(
        default_factory=lambda: str(Path.home() / ".understudy" / "dumps"),
        description="Folder for finished dumps: a path or an fsspec URL (s3://…).",
    )
    dump_work: Path = Field(
        default_factory=lambda: Path.home() / ".understudy" / "work",
        description="Folder for the parts of an unfinished dump. Several exporting machines must share it.",
    )
    dump_compression: Literal["gzip", "zstd", "none"] = Field("gzip", description="How dumps are compressed.")
    dump_recipients: str = Field(
        "", description="age recipients (age1…), separated by spaces. Empty: dumps are not encrypted."
    )
    dump_identity: SecretStr = _secret(
        "age identity (AGE-SECRET-KEY-…) that decrypts dumps. Needed to load encrypted dumps.",
    )
    statement_within: float = Field(
        3600.0, gt=0, description="Time limit of one statement on either database (1 h); not scaled by the pace."
    )
    lock_within: float = Field(
        30.0, gt=0, description="How long a load waits for a lock on staging; not scaled by the pace."
    )
    ledger_url: str = Field(
        default_factory=lambda: f"sqlite:///{Path.home() / '.understudy' / 'ledger.db'}",
        description="SQLAlchemy URL of the ledger. Several workers need postgresql+psycopg://…",
    )
    site_scheme: str = Field("https", description="Scheme of the public sites: https, or http on the sandbox.")
    site_gateway: str = Field(
        "", description="host:port to which requests to all public sites go (like curl --connect-to). Empty: DNS."
    )
    site_logins: SecretStr = _secret(
        "Logins of sites behind Basic authentication: install=user:password, separated by spaces. "
        "Percent-encode all characters but letters and digits.",
    )
    browser: str = Field(
        "auto",
        description="Chromium for the pictures of both sites: its executable, auto to find it by name, or off.",
    )
    browser_sandbox: bool = Field(
        True,
        description="False: Chromium runs without its sandbox. Only in a container that is one; it never runs as root with it.",
    )
    pictures: Path = Field(
        default_factory=lambda: Path.home() / ".understudy" / "pictures",
        description="Folder of the pictures, which the desk reads too: 200 MB and 30 days at most.",
    )
    estate_file: Path = _reviewed(
        "estate.yaml", "Reviewed file of the sites, databases and accounts. Without the file: those of these settings."
    )
    ssh_installs: str = Field(
        "",
        description="Installs on which the worker may run WP-CLI by SSH, separated by spaces; * allows all. Empty: SSH is off.",
    )
    ssh_key_file: str = Field(
        "",
        description="File of the private key for SSH, without a passphrase. Empty: UNDERSTUDY_SSH_KEY, or an agent's keys.",
    )
    ssh_key: SecretStr = _secret("The private key itself, instead of its file.")
    ssh_known_hosts: Path = Field(
        default_factory=lambda: Path.home() / ".understudy" / "known_hosts",
        description="Trusted host keys, in OpenSSH's format. `understudy trust-host` adds to it.",
    )
    ssh_host: str = Field(
        "{install}.ssh.wpengine.net", description="Name of an install's SSH gateway; {install} is the install's name."
    )
    ssh_gateway: str = Field("", description="host:port to which all SSH connections go. Empty: DNS, port 22.")
    standing_file: Path = _reviewed(
        "standing.yaml", "Reviewed file of standing approvals for refreshes, relative to the project."
    )
    leads_file: Path = _reviewed(
        "leads.yaml", "Reviewed file of the people who may approve, with their SSH keys and passkeys."
    )
    codes_file: Path = Field(
        default_factory=lambda: Path.home() / ".understudy" / "codes.yaml",
        description="Secrets of the leads' one-time codes. Readable only by the worker, never in git.",
    )
    risk_file: Path = _reviewed(
        "risks.yaml",
        "Reviewed file of the risk rules: what makes a plan green, yellow or red, and what each class requires.",
    )
    freeze_file: Path = _reviewed("freezes.yaml", "Reviewed freeze calendar. Without the file nothing is frozen.")
    notices: SecretStr = _secret(
        "Where notices go, separated by spaces: Prefect blocks (slack-webhook/leads) or Apprise URLs "
        "(mailtos://…). Empty: no notices.",
    )
    pace: float = Field(
        1.0, gt=0, le=1, description="Factor for deadlines and intervals: 1 in production, 1/60 on the sandbox."
    )
    backup_within: float = Field(2700.0, gt=0, description="Deadline for a backup, from its request (45 min).")
    copy_within: float = Field(5400.0, gt=0, description="Deadline for the arrival of a copy or restore (90 min).")
    install_within: float = Field(1800.0, gt=0, description="Deadline for a new install to become active (30 min).")
    execute_within: float = Field(1800.0, gt=0, description="Approval lifetime, from the answer (30 min); not scaled.")
    settle_gap: float = Field(60.0, ge=0, description="Time between the two readings in which a signal must be seen.")
    lock_horizon: float = Field(
        86400.0,
        gt=0,
        description="When an unproven copy of an ended run no longer locks its destination (24 h).",
    )

    def logins(self) -> dict[str, tuple[str, str]]:
        """Return user and password of each site behind Basic authentication, by install name. Raise `Misconfigured`."""
        found = {}
        for number, each in enumerate(self.site_logins.get_secret_value().split(), 1):
            install, _, login = each.partition("=")
            user, colon, password = login.partition(":")
            if not (install and user and colon):
                raise Misconfigured(
                    f"Entry {number} of UNDERSTUDY_SITE_LOGINS is not valid; expected install=user:password. Its value is not shown.",
                    next_step="Correct the environment variable on the worker. docs/settings.md describes it.",
                )
            found[install] = (unquote(user), unquote(password))
        return found

    def require(self, *names: str) -> "Settings":
        """Return these settings. Raise `Misconfigured` if any of `names` is empty."""
        empty = [f"UNDERSTUDY_{name.upper()}" for name in names if not _plain(getattr(self, name))]
        if empty:
            raise Misconfigured(
                f"Settings of the worker are missing: {', '.join(empty)}.",
                next_step="Set these environment variables on the worker. docs/settings.md lists them.",
            )
        return self


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@lru_cache(maxsize=1)
def _load(_key: None = None) -> Settings:
    files = _from_files()
    try:
        settings = Settings(**files)
    except ValidationError as error:
        wrong = ", ".join(
            sorted(f"UNDERSTUDY_{str(part['loc'][0]).upper()} ({part['msg']})" for part in error.errors())
        )
        raise Misconfigured(
            f"Settings of the worker are not valid: {wrong}.",
            next_step="Correct these environment variables on the worker. docs/settings.md lists them.",
        ) from None  # the pydantic error contains the values
    settings = settings.model_copy(update=_parsed(settings))
    if not settings.api_url.startswith("https://") and not settings.api_url.startswith(LOOPBACK):
        raise Misconfigured("UNDERSTUDY_API_URL does not begin with https://; http is allowed on loopback only.")
    return settings


def _from_files() -> dict[str, Any]:
    """Return the secrets that files hold, each named by UNDERSTUDY_…_FILE. Raise `Misconfigured`."""
    fields = Settings.model_fields
    # The file of the SSH key is a setting of its own.
    secret = [name for name in fields if fields[name].annotation is SecretStr and f"{name}_file" not in fields]
    values = {name: secret_setting(f"UNDERSTUDY_{name.upper()}") for name in secret}
    return {name: SecretStr(value) for name, value in values.items() if value}


def _parsed(settings: Settings) -> dict[str, str | SecretStr]:
    """Return the settings that are addresses, validated and in the form that is used. Raise `Misconfigured`."""
    parsed: dict[str, str | SecretStr] = {}
    for name, parse in ADDRESSES.items():
        held = getattr(settings, name)
        value = held.get_secret_value() if isinstance(held, SecretStr) else held
        if value:
            address = parse(f"UNDERSTUDY_{name.upper()}", value)
            parsed[name] = SecretStr(address) if isinstance(held, SecretStr) else address
    return parsed


def load_settings() -> Settings:
    """Return the worker's settings, read once per process. Raise `Misconfigured` with all variables that are wrong."""
    return _load()


def forget_settings() -> None:
    """Read the environment again at the next `load_settings` (tests, the sandbox)."""
    _load.cache_clear()
