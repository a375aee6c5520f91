"""Named misbehaviours of the emulated hosting API and its SSH gateway.

Each can be limited to an install, a path and a number of times.
"""

from dataclasses import dataclass, field
from typing import Any

FAULTS: dict[str, str] = {
    "backup-aborted": "A backup ends as `aborted`.",
    "backup-never-ends": "A backup stays `in_progress` for ever.",
    "backup-vanishes": "Asking for a backup by its id answers 404.",
    "copy-silence": "A copy or restore is accepted with 202 and nothing happens.",
    "copy-never-lands": "A copy or restore makes its first checkpoint and nothing more.",
    "copy-half-landed": "The database of a copy lands, its files do not.",
    "reply-lost": "The request is executed and the connection is cut before the answer.",
    "reply-500-after-execution": "The request is executed and answered with 500.",
    "rate-limit-burst": "Requests are refused with 429 and no Retry-After.",
    "rate-limit-retry-after": "Requests are refused with 429 and Retry-After: 1.",
    "server-error-burst": "Requests are refused with 503 and an HTML page.",
    "slow-reply": "The answer comes late.",
    "dripping-reply": "The answer's body comes in drops.",
    "page-two-fails": "The second page of a list answers 500.",
    "unknown-enum": "Environments read `qa` and unfinished backups `archiving`.",
    "malformed-json": "A successful answer's body is cut in the middle.",
    "install-pending-forever": "A new install never becomes active.",
    "renamed-between": "The install has another name from its second read on, once it is active.",
    "relabelled-production": "The install reads as production after `after` reads, once it is active.",
    "primary-domain-moved": "The install's primary domain reads differently after `after` reads, once it is active.",
    "stale-cache": "A purge is accepted and nothing is purged.",
    "urls-leak": "A copy lands without its URLs being replaced.",
    "certificate-expired": "The install's certificate has expired.",
    "no-list-endpoint": "Listing backups answers 404.",
    "no-restore-endpoint": "Restoring answers 403, as an unknown route does.",
    "checkpoints-absent": "Copies and restores make no checkpoints.",
    "site-down": "The public site answers 503.",
    "usage-frozen": "Storage is never measured again.",
}

# Faults of the SSH gateway. They meet a login or a command; a flow that uses no SSH never meets them. With `path`, a fault meets
# only commands whose line contains it, such as `search-replace`.
SSH_FAULTS: dict[str, str] = {
    "ssh-key-refused": "The gateway refuses the key.",
    "ssh-host-key-changed": "The gateway shows another host key.",
    "ssh-dropped": "The connection is lost before a command runs.",
    "ssh-answer-lost": "A command is executed, and the connection is lost before its answer.",
    "ssh-session-killed": "A command is killed.",
    "ssh-out-of-memory": "A command ends with PHP's error for too little memory.",
    "ssh-late": "A command takes `seconds` more.",
    "ssh-database-down": "WordPress cannot reach its database.",
    "ssh-php-fails": "A plugin's error ends PHP; its message contains a customer's address.",
    "ssh-no-wp": "WP-CLI is not installed on the gateway.",
}

# Faults of the websites that concern what was changed by SSH.
FILE_FAULTS: dict[str, str] = {
    "files-late": "The website sees changed must-use plugins `seconds` later, in the host's seconds.",
}

# Which requests a fault meets by itself, as (method, part of the path). The rest are asked for by name where they act.
AT_THE_DOOR: dict[str, tuple[str, str]] = {
    "reply-lost": ("POST", ""),
    "reply-500-after-execution": ("POST", ""),
    "rate-limit-burst": ("", ""),
    "rate-limit-retry-after": ("", ""),
    "server-error-burst": ("", ""),
    "slow-reply": ("", ""),
    "dripping-reply": ("", ""),
    "malformed-json": ("GET", ""),
}


@dataclass
class Fault:
    """One fault that is switched on. `times` None: until it is switched off; empty `install` or `path`: any."""

    name: str
    install: str = ""
    method: str = ""
    path: str = ""
    times: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    met: int = 0

    def meets(self, name: str, install: str, method: str = "", path: str = "") -> bool:
        """Whether this fault acts on that request; counts down `times`."""
        if name != self.name or self.times == 0 or (self.install and self.install != install):
            return False
        if (self.method and self.method != method) or (self.path and self.path not in path):
            return False
        if self.times is not None:
            self.times -= 1
        self.met += 1
        return True
