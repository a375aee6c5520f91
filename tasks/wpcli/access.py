"""How an install is reached by SSH: address, user, key and trusted host keys, from the settings of the worker."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.configuration.settings import Settings
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Estate

if TYPE_CHECKING:  # asyncssh takes a third of a second to load, and most workers and commands never use SSH
    from asyncssh import SSHKey

INSTALL = re.compile(
    r"[a-z][a-z0-9]{1,62}"
)  # what the host accepts as a name; becomes part of a host name and of a path
EVERY = "*"  # in UNDERSTUDY_SSH_INSTALLS
PORT = 22


@dataclass(frozen=True)
class Access:
    """The SSH gateway of one install. `host` names it, also in the file of host keys; `address` and `port` are dialled."""

    install: str
    host: str
    address: str
    port: int
    known_hosts: Path
    key: "SSHKey | None" = field(default=None, repr=False)  # None: the keys of the agent

    @property
    def folder(self) -> str:
        """The folder of the install's WordPress on the gateway."""
        return f"/sites/{self.install}"


def has_access(install: str, settings: Settings, estate: Estate) -> bool:
    """Return whether this worker may log in to the install: the settings name it, or its site in the estate has `ssh: true`."""
    allowed, site = settings.ssh_installs.split(), estate.site_of(install)
    return install in allowed or EVERY in allowed or (site is not None and site.ssh)


def access_to(install: str, settings: Settings, *, with_key: bool = True) -> Access:
    """Return how the install is reached; without the key if none is needed. Raise `Misconfigured`."""
    if not INSTALL.fullmatch(install):
        raise Misconfigured(f"{install[:60]!r} is not the name of an install; expected lowercase letters and digits.")
    host = settings.ssh_host.replace("{install}", install)
    if "{install}" not in settings.ssh_host or not re.fullmatch(r"[a-z0-9.-]+", host):
        raise Misconfigured(
            "UNDERSTUDY_SSH_HOST is not a host name with {install} in it; expected {install}.ssh.wpengine.net."
        )
    address, _, port = settings.ssh_gateway.rpartition(":")
    return Access(
        install=install,
        host=host,
        address=address.strip("[]") or host,
        port=int(port or PORT),
        known_hosts=settings.ssh_known_hosts,
        key=_private_key(settings) if with_key else None,
    )


def _private_key(settings: Settings) -> "SSHKey | None":
    """Return the private key of the settings, or None for the agent's keys. Raise `Misconfigured`, without any of its content."""
    text, named = settings.ssh_key.get_secret_value(), "UNDERSTUDY_SSH_KEY"
    if settings.ssh_key_file:
        named = "UNDERSTUDY_SSH_KEY_FILE"
        if text:
            raise _wrong_key("UNDERSTUDY_SSH_KEY and UNDERSTUDY_SSH_KEY_FILE are both set; expected one of them")
        try:
            text = Path(settings.ssh_key_file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise _wrong_key(f"{named} cannot be read ({type(error).__name__})") from None
    if not text:
        return None
    from asyncssh import KeyEncryptionError, KeyImportError, import_private_key  # loaded only when it is needed

    try:
        return import_private_key(text)
    except (KeyEncryptionError, KeyImportError) as error:
        if "passphrase" in str(error).lower():
            raise _wrong_key(f"The key of {named} has a passphrase; expected a key without one, or an agent") from None
        raise _wrong_key(f"{named} is not a private key; expected OpenSSH's or PEM's format") from None


def _wrong_key(what: str) -> Misconfigured:
    return Misconfigured(
        f"{what}. Nothing of it is shown.",
        next_step="No connection was made. Correct the variable on the worker. docs/settings.md describes it.",
    )
