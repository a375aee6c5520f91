"""Which key of an SSH gateway is trusted: only one that a person put into the file of host keys.

Each install has a gateway of its own name. A name without an entry is never trusted on first use, except by the command
`understudy trust-host`.
"""

import os
from pathlib import Path

from asyncssh import SSHKey, SSHKnownHosts, read_known_hosts

from tasks.estate.errors import HostKeyRefused, Misconfigured

TRUST = (
    "Nothing was started. Compare the gateway's fingerprint with the one that the host publishes, then run "
    "`understudy trust-host {install}`."
)
Trusted = tuple[list[SSHKey], list[SSHKey], list[SSHKey]]  # host keys, keys of authorities, revoked keys


def trusted_keys(file: Path, host: str) -> Trusted:
    """Return the trusted, authorising and revoked keys of a host. Raise `Misconfigured` if the file cannot be read."""
    found = _read(file).match(host, "", None)
    keys, authorities, revoked = ([*each] for each in found[:3])
    return keys, authorities, revoked


def require_trusted(file: Path, host: str, install: str) -> Trusted:
    """Return the keys of a host. Raise `HostKeyRefused` if it has no entry."""
    found = trusted_keys(file, host)
    if not found[0] and not found[1]:
        raise HostKeyRefused(
            f"The gateway {host} has no trusted host key on this worker; expected an entry in UNDERSTUDY_SSH_KNOWN_HOSTS.",
            next_step=TRUST.format(install=install),
        )
    return found


def add_key(file: Path, host: str, key: SSHKey) -> None:
    """Add a key to the file, which only its owner can write. Raise `Misconfigured` if that fails."""
    line = f"{host} {key.export_public_key().decode().strip()}\n"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        with open(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as written:
            written.write(("" if not before or before.endswith("\n") else "\n") + line)
    except (OSError, UnicodeError) as error:
        raise _unreadable("written", error) from None


def remove_keys(file: Path, host: str) -> None:
    """Remove the lines of exactly this host. Raise `Misconfigured` if another line still names it, by a pattern or a hash."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.split(" ", 1)[0] != host]
        new = file.with_name(f"{file.name}.new")
        new.touch(mode=0o600)
        new.write_text("".join(kept), encoding="utf-8")
        new.replace(file)
    except (OSError, UnicodeError) as error:
        raise _unreadable("written", error) from None
    if trusted_keys(file, host)[0]:
        raise Misconfigured(
            f"A line of UNDERSTUDY_SSH_KNOWN_HOSTS names {host} by a pattern or a hash; expected its plain name.",
            next_step="Remove that line in an editor, then repeat the command.",
        )


def fingerprint(key: SSHKey) -> str:
    """Return the fingerprint of a key as OpenSSH shows it: `SHA256:…`."""
    return key.get_fingerprint("sha256")


def _read(file: Path) -> SSHKnownHosts:
    if not file.exists():
        return SSHKnownHosts()
    try:
        return read_known_hosts(str(file))
    except (OSError, ValueError) as error:  # ValueError: a line is not in OpenSSH's format
        raise _unreadable("read", error) from None


def _unreadable(done: str, error: Exception) -> Misconfigured:
    return Misconfigured(
        f"The file of UNDERSTUDY_SSH_KNOWN_HOSTS cannot be {done} ({type(error).__name__}); expected OpenSSH's known_hosts "
        "format.",
    )
