"""All exceptions of the project. The class decides who may retry.

UnderstudyError
├─ Refused            nothing was changed; never retried
│  ├─ NotFound            the site, install or backup does not exist
│  ├─ WrongDestination    direction, account, site or environment do not allow this pair
│  ├─ BackupAborted       the host aborted the backup
│  ├─ BackupOverdue       the backup did not complete by its deadline
│  ├─ DestinationBusy     another run locks the destination, or its copy may still be running
│  ├─ Frozen              a freeze window is active for the destination
│  ├─ LedgerBroken        facts in the ledger were changed or removed
│  ├─ OnHold              a person holds the destination
│  ├─ TooRisky            the plan is of the class that nobody may approve
│  ├─ NotApproved         no valid approval: rejected, expired, superseded or already used
│  │  ├─ Rejected
│  │  ├─ ApprovalExpired
│  │  ├─ ApprovalUsed
│  │  ├─ Superseded
│  │  ├─ RunLost
│  │  └─ Skipped
│  ├─ PlanIsStale         something changed after the plan was shown
│  ├─ InstallOverdue      the new install did not become active by its deadline
│  ├─ HostRefused         the hosting API answered 4xx: nothing was started
│  ├─ GatewayRefused      the SSH gateway of an install refused the login
│  │  └─ HostKeyRefused      its host key is not the trusted one, or none is trusted
│  ├─ CommandRefused      WP-CLI refused a command
│  ├─ GateClosed          imports are not allowed on this worker
│  ├─ WrongHost           the typed hostname is not that of the target
│  ├─ RiskNotAccepted     an anonymizer is switched off without the risk phrase
│  ├─ WrongTarget         the target database is not proven to be staging
│  ├─ DumpRefused         the dump is incomplete, altered, or not for this target
│  │  └─ DumpTooNew
│  ├─ NotExported         the export ended without a dump
│  └─ NotLoaded           the load was rolled back
│     └─ LeakFound           personal data was found in masked data
├─ Transient          temporary; the step retries it
│  ├─ RateLimited         429
│  └─ Unreachable         no usable answer: connection, time-out, 5xx, malformed body
├─ OutcomeUnknown     a destructive call was sent and its effect is not proven; never retried
│  └─ NotVerified        the copy was sent, but a later step (purge, checks) failed
│     ├─ NotNeutralised     staging was overwritten and is not yet safe to use
│     └─ StagingRemains     production was overwritten and still has what belongs to staging
├─ LedgerUnavailable  the ledger's database cannot be read or written; never retried
└─ Misconfigured      settings or parameters are wrong; found before the first call; never retried
   └─ PolicyRefused       the masking policy does not fit the database
"""

from typing import Any


class UnderstudyError(Exception):
    """Base of all errors that this project raises.

    `outcome` is the outcome of a run that ends with this error (state name, ledger, report): the name of the class, unless
    the class sets another. `next_step` is what the operator does next. `facts` are plain values (ids, statuses, seconds),
    never secrets or personal data.
    """

    outcome = "Failed"
    next_step = "Read the run's log: this error has no documented next step."

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.outcome = cls.__dict__.get("outcome", cls.__name__)

    def __init__(self, message: str, *, next_step: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
        if next_step is not None:
            self.next_step = next_step

    def __reduce__(self) -> tuple[Any, ...]:
        # Prefect pickles exceptions into persisted states. The default would lose the keyword-only facts.
        return (_rebuild, (type(self), self.message, self.next_step, self.facts))


def loggable(error: BaseException) -> str:
    """Return what a log may contain of any error: the message of ours, or the type of another, whose text may contain values."""
    return error.message if isinstance(error, UnderstudyError) else type(error).__name__


def _rebuild(kind: type[UnderstudyError], message: str, next_step: str, facts: dict[str, Any]) -> UnderstudyError:
    return kind(message, next_step=next_step, **facts)


class Refused(UnderstudyError):
    """Nothing was changed, because a rule, a person or the other side refused. Never retried."""

    next_step = "Nothing was changed. Correct what the message names, then start a new run."


class NotFound(Refused):
    """Something that was named does not exist, or the API user may not see it."""

    next_step = "Nothing was changed. Check the name, and that the API user may see this install."


class WrongDestination(Refused):
    """Direction, account, site or environment do not allow this pair."""

    next_step = "Nothing was changed. Choose a pair that the message allows."


class BackupAborted(Refused):
    """The host aborted the backup; an aborted backup never completes."""

    next_step = "Nothing was overwritten. Start a new run. If it aborts again, ask the host for the reason."


class BackupOverdue(Refused):
    """The backup did not complete by its deadline."""

    next_step = "Nothing was overwritten. Check the backup in the host's portal, then start a new run."


class DestinationBusy(Refused):
    """Another run locks the destination, or its copy may still be running."""

    next_step = "Nothing was changed. Wait for the run that locks the destination, or settle it. Then start a new run."


class NotApproved(Refused):
    """No valid approval exists for exactly this plan."""

    next_step = "Nothing was overwritten. Start a new run if the copy is still wanted."


class Rejected(NotApproved):
    """An approver rejected the plan."""

    next_step = "Nothing was overwritten. Talk to the person who rejected. A new run asks for a new approval."


class ApprovalExpired(NotApproved):
    """The answer was given, or would be used, after its deadline."""

    outcome = "Expired"


class ApprovalUsed(NotApproved):
    """The approval was already used, by this run or by another one."""


class Superseded(NotApproved):
    """A newer approval request for the same destination replaced this one."""

    next_step = "Nothing was overwritten. Answer the newer run that the message names."


class RunLost(NotApproved):
    """While its approval request was open, the run was deleted or ended from outside, or its process was lost."""

    next_step = "Nothing was overwritten. Find out what ended the run, then start a new one, which asks again."


class Skipped(NotApproved):
    """A standing approval covers this pair, but its conditions are not met now."""

    next_step = (
        "Nothing was overwritten. The next scheduled run tries again. To copy now, start a run that asks a person."
    )


class Frozen(Refused):
    """A freeze window is active for the destination."""

    next_step = "Nothing was overwritten. Start a new run after the window ends, or one with a break-glass reason."


class LedgerBroken(Refused):
    """Facts in the ledger were changed or removed, so that it cannot be relied on."""

    next_step = (
        "Approve nothing. Compare the ledger with the heads in earlier notices, and find out who changed its database."
    )


class OnHold(Refused):
    """A person placed a hold on the destination after this plan was shown."""

    next_step = "Nothing was overwritten. Talk to the person who holds it. A new run shows the hold to the approver."


class TooRisky(Refused):
    """The plan is of a risk class that nobody may approve."""

    next_step = "Nothing was overwritten. Copy less, as the message describes. The risk file contains the rules."


class PlanIsStale(Refused):
    """Something that the plan depends on changed after it was shown."""

    outcome = "Stale"
    next_step = "Nothing was overwritten. Start a new run: it shows the plan as it is now and asks for approval."


class InstallOverdue(Refused):
    """The new install did not become active by its deadline."""

    next_step = "Nothing was copied. Check the install in the host's portal. A new run finds it by its name."


class HostRefused(Refused):
    """The hosting API answered 4xx: it did not accept the request, and nothing was started."""

    next_step = "Nothing was started. The message quotes the host: correct what it names, then start a new run."


class GatewayRefused(Refused):
    """The SSH gateway of an install refused the login of this worker."""

    next_step = "Nothing was started. Add the worker's public key to a user of the host who may reach this install."


class HostKeyRefused(GatewayRefused):
    """The SSH gateway showed a host key that this worker does not trust."""

    next_step = (
        "Nothing was started. Ask the host whether the key of its gateway changed. Then compare the fingerprints and run "
        "`understudy trust-host INSTALL --replace`."
    )


class CommandRefused(Refused):
    """WP-CLI refused a command on the install."""

    next_step = "Run the command of the message on the host's SSH gateway, where its output can be read."


class GateClosed(Refused):
    """Imports are not allowed on this worker: `APP_ALLOW_PROD_IMPORT` is not exactly `true`."""

    next_step = (
        "Nothing was written, not even an audit row. Set the variable on staging workers only, never on production."
    )


class WrongHost(Refused):
    """The typed hostname is not that of the database that would be overwritten."""

    next_step = "Nothing was loaded. Start a new run and type the hostname of the staging instance."


class RiskNotAccepted(Refused):
    """An anonymizer is switched off, and the risk phrase was not typed exactly."""

    next_step = "Nothing was read or loaded. Leave the anonymizers on, or type the phrase that the form shows."


class WrongTarget(Refused):
    """The database to load into is not proven to be staging, or it is the source itself."""

    next_step = "Nothing was loaded. Check UNDERSTUDY_TARGET_DATABASE. docs/loads.md describes what proves a target."


class DumpRefused(Refused):
    """The dump is incomplete, was altered, or is not for this target."""

    next_step = "Nothing was loaded. Export again. Do not repair a dump manually."


class DumpTooNew(DumpRefused):
    """The dump was made for a newer version of the application than this instance supports."""

    next_step = "Nothing was loaded. Update the staging application to that version first, or use an older dump."


class NotExported(Refused):
    """The export ended without a dump; the parts that it had written were removed."""

    next_step = (
        "No dump was written, and production was only read. Correct what the message names, then start a new run."
    )


class NotLoaded(Refused):
    """The load was rolled back: the target is as it was before."""

    next_step = (
        "The target is unchanged. The audit row has the full error. Correct what the message names, then start a new "
        "run."
    )


class LeakFound(NotLoaded):
    """Personal data of the source was found in masked data, which was removed or rolled back."""

    next_step = "Nothing was kept. Correct the policy for the columns that the message names, then start a new run."


class Transient(UnderstudyError):
    """A temporary failure. The step retries it."""

    outcome = "Unreachable"
    next_step = "Nothing was overwritten. Start a new run when the host answers again."


class RateLimited(Transient):
    """The host answered 429. `facts["retry_after"]` is in seconds, or None if the host did not send it."""

    next_step = "Nothing was overwritten. The host limits requests: start a new run in a few minutes."

    @property
    def retry_after(self) -> float | None:
        """Seconds that the host asks to wait, or None."""
        value = self.facts.get("retry_after")
        return float(value) if value is not None else None


class Unreachable(Transient):
    """No usable answer: connection, time-out, 5xx, or a malformed body."""


class OutcomeUnknown(UnderstudyError):
    """A destructive call was sent and its effect is not proven. Never retried; a person checks."""

    next_step = (
        "Do not send it again. Check the host's e-mail and the destination. A retry of this run checks again and "
        "never sends. To go back, start `restore` with this run's id."
    )


class NotVerified(OutcomeUnknown):
    """The copy was sent, but a later step failed: the cache may be old, and the site is not checked."""

    next_step = (
        "The copy was sent. Retry this run: it checks again, purges and verifies, and never sends. To go back, start "
        "`restore` with this run's id."
    )


class NotNeutralised(NotVerified):
    """The copy to staging arrived, but a step that makes it safe failed: it may reach or reveal production's people."""

    next_step = (
        "Do not use the site yet. Correct what the message names, then retry this run: it repeats the steps that are not "
        "done, and never sends. To go back, start `restore` with this run's id."
    )


class StagingRemains(NotVerified):
    """The copy to production arrived, but production still has what belongs to staging: URLs, mail stop or banner."""

    next_step = (
        "Act now, production is affected. Correct what the message names, then retry this run: it repeats the steps that "
        "are not done, and never sends. To go back, start `restore` with this run's id."
    )


class LedgerUnavailable(UnderstudyError):
    """The ledger's database cannot be read or written: disk full, folder missing, file corrupt, or server down."""

    next_step = (
        "Repair the ledger's database first, then retry this run. It checks on a copy that was sent and never sends "
        "it again."
    )


class Misconfigured(UnderstudyError):
    """Settings or parameters are wrong. Found before the first call."""

    next_step = "Nothing was sent. Correct the setting or parameter that the message names."


class PolicyRefused(Misconfigured):
    """The masking policy does not fit the database: a column has no rule, or a maker does not fit."""

    next_step = "Nothing was exported. Add or correct the entries that the message names. `classify` drafts them."
