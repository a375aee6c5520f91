"""The one exception tree. The class says who may try again.

UnderstudyError
├─ Refused            the world said no and nothing was changed; never retried
│  ├─ NotFound            a site, install or backup that was named does not exist
│  ├─ WrongDestination    direction, account, site or environment forbid this pair
│  ├─ BackupAborted       the host gave the backup up
│  ├─ BackupOverdue       the backup was not completed by its deadline
│  ├─ DestinationBusy     another run holds the destination, or its copy may still be running
│  ├─ Frozen              the freeze calendar is closed for this destination now
│  ├─ LedgerBroken        our own record was changed or cut: nothing is sent on its word
│  ├─ OnHold              somebody asked to keep the destination as it is
│  ├─ TooRisky            nobody may approve this plan
│  ├─ NotApproved         no valid answer: rejected, expired, superseded or already used
│  │  ├─ Rejected
│  │  ├─ ApprovalExpired
│  │  ├─ ApprovalUsed
│  │  ├─ Superseded
│  │  ├─ RunLost
│  │  └─ Skipped
│  ├─ PlanIsStale         the world is no longer what was approved
│  ├─ InstallOverdue      a new install did not become active by its deadline
│  ├─ HostRefused         the hosting API answered 4xx: not accepted, nothing started
│  ├─ GateClosed          this worker may not load: the gate of the target's environment is not open
│  ├─ WrongHost           the typed hostname is not that of the target
│  ├─ RiskNotAccepted     an anonymizer is switched off without the phrase that accepts the risk
│  ├─ WrongTarget         the database to load into is not proven to be staging
│  ├─ DumpRefused         the dump is not whole, not what it says it is, or not for this target
│  │  └─ DumpTooNew
│  ├─ NotExported         the export ended without a dump
│  └─ NotLoaded           the load was rolled back: the target is as it was
│     └─ LeakFound           personal data was found where none may be
├─ Transient          not now; safe to try again; the step retries it
│  ├─ RateLimited         429, with `retry_after` in seconds where the host said so
│  └─ Unreachable         no usable answer: connection, time-out, 5xx, a body that is not what it should be
├─ OutcomeUnknown     a destructive call left and its effect is not proven; never retried; a person looks
│  └─ NotVerified        the copy was sent, but a step after it (purge, verify) could not be done
├─ LedgerUnavailable  the ledger's database cannot be read or written; never retried
└─ Misconfigured      our own settings or parameters are wrong; found before the first call; never retried
   └─ PolicyRefused       the masking policy cannot be applied to this database: unclassified, or a maker does not fit
"""

from typing import Any


class UnderstudyError(Exception):
    """Root of everything we raise on purpose.

    `outcome` is the name under which a run that ends with this error is filed (state name, ledger, report);
    `next_step` tells the operator what to do; `facts` are plain values (ids, statuses, seconds), never a secret
    and never a personal value.
    """

    outcome = "Failed"
    next_step = "Read the run's log; this error has no prepared answer."

    def __init__(self, message: str, *, next_step: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
        if next_step is not None:
            self.next_step = next_step

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with all facts."""
        # Prefect pickles exceptions into persisted states; keyword-only facts would be lost without this.
        return (_rebuild, (type(self), self.message, self.next_step, self.facts))


def _rebuild(kind: type[UnderstudyError], message: str, next_step: str, facts: dict[str, Any]) -> UnderstudyError:
    return kind(message, next_step=next_step, **facts)


class Refused(UnderstudyError):
    """The world said no and nothing was changed. Never retried."""

    outcome = "Refused"
    next_step = "Nothing was changed. Correct what the message names and start a new run."


class NotFound(Refused):
    """Something that was named does not exist, or this login may not see it."""

    outcome = "NotFound"
    next_step = "Nothing was changed. Check the name, and that the API user may see that install."


class WrongDestination(Refused):
    """Direction, account, site or environment forbid this pair."""

    outcome = "WrongDestination"
    next_step = "Nothing was changed. Choose a pair that the message allows."


class BackupAborted(Refused):
    """The host gave the backup up; it never recovers."""

    outcome = "BackupAborted"
    next_step = "Nothing was overwritten. Start a new run; if it aborts again, ask the host why."


class BackupOverdue(Refused):
    """The backup was not completed by its deadline."""

    outcome = "BackupOverdue"
    next_step = "Nothing was overwritten. Look at the backup in the host's portal, then start a new run."


class DestinationBusy(Refused):
    """Another run holds the destination, or its copy may still be running."""

    outcome = "DestinationBusy"
    next_step = "Nothing was changed. Wait for the run that holds the destination, or settle it, then start again."


class NotApproved(Refused):
    """There is no valid answer to exactly this plan."""

    outcome = "NotApproved"
    next_step = "Nothing was overwritten. Start a new run if the copy is still wanted."


class Rejected(NotApproved):
    """A person said no."""

    outcome = "Rejected"
    next_step = "Nothing was overwritten. Talk to the person who rejected; a new run asks again."


class ApprovalExpired(NotApproved):
    """The answer came, or would be used, after its deadline."""

    outcome = "Expired"


class ApprovalUsed(NotApproved):
    """This approval was already used up, by this run or another."""

    outcome = "ApprovalUsed"


class Superseded(NotApproved):
    """A newer request for the same destination took this one's place."""

    outcome = "Superseded"
    next_step = "Nothing was overwritten. Answer the newer run that the message names."


class RunLost(NotApproved):
    """The run was deleted, ended by somebody or something else, or left by its process while its question was open."""

    outcome = "RunLost"
    next_step = "Nothing was overwritten. Find out who or what ended the run, then start a new one: it asks again."


class Skipped(NotApproved):
    """A standing approval covers this pair, but not now: its conditions are not met."""

    outcome = "Skipped"
    next_step = "Nothing was overwritten. The next night tries again; to go on now, start a run that asks a person."


class Frozen(Refused):
    """The freeze calendar is closed for this destination now."""

    outcome = "Frozen"
    next_step = "Nothing was overwritten. Start a new run when it reopens, or one with a break-glass reason."


class LedgerBroken(Refused):
    """The ledger's past was changed or cut: nothing is sent on its word."""

    outcome = "LedgerBroken"
    next_step = (
        "Approve nothing. Compare the ledger with the heads in earlier notices; find out who changed its database."
    )


class OnHold(Refused):
    """Somebody asked to keep the destination as it is, after this plan was shown."""

    outcome = "OnHold"
    next_step = (
        "Nothing was overwritten. Talk to the person who holds it; a new run shows the hold to whoever approves."
    )


class TooRisky(Refused):
    """Nobody may approve this plan."""

    outcome = "TooRisky"
    next_step = "Nothing was overwritten. Choose less to copy, as the message says; the rules are in the risk file."


class PlanIsStale(Refused):
    """The world is no longer what was approved."""

    outcome = "Stale"
    next_step = "Nothing was overwritten. Start a new run: it shows and asks for the plan as it is now."


class InstallOverdue(Refused):
    """A new install did not become active by its deadline."""

    outcome = "InstallOverdue"
    next_step = "Nothing was copied. Look at the install in the host's portal; a new run finds it by its name."


class HostRefused(Refused):
    """The hosting API answered 4xx: the request was not accepted and nothing was started."""

    outcome = "HostRefused"
    next_step = "Nothing was started. The host's own words are in the message; correct that and start a new run."


class GateClosed(Refused):
    """This worker may not load: `APP_ALLOW_PROD_IMPORT` is not exactly `true` in its environment."""

    outcome = "GateClosed"
    next_step = (
        "Nothing was written, not even an audit row. Set the variable on the staging side only, never on production."
    )


class WrongHost(Refused):
    """The typed hostname is not that of the database that would be overwritten."""

    outcome = "WrongHost"
    next_step = "Nothing was loaded. Start a new run and type the hostname of the staging instance."


class RiskNotAccepted(Refused):
    """An anonymizer is switched off without the phrase that accepts the risk, word for word."""

    outcome = "RiskNotAccepted"
    next_step = "Nothing was read or loaded. Leave the anonymizers on, or type the phrase that the form names."


class WrongTarget(Refused):
    """The database to load into is not proven to be staging, or it is the source itself."""

    outcome = "WrongTarget"
    next_step = "Nothing was loaded. Check UNDERSTUDY_TARGET_DATABASE; docs/dumps.md tells what proves a target."


class DumpRefused(Refused):
    """The dump is not whole, not what it says it is, or not for this target."""

    outcome = "DumpRefused"
    next_step = "Nothing was loaded. Export again; do not repair a dump by hand."


class DumpTooNew(DumpRefused):
    """The dump was made for a newer version of the application than this instance supports."""

    outcome = "DumpTooNew"
    next_step = "Nothing was loaded. Bring the staging application to that version first, or use an older dump."


class NotExported(Refused):
    """The export ended without a dump; what had been written of it was removed."""

    outcome = "NotExported"
    next_step = "No dump was left behind and production was only read. Correct what the message names and start again."


class NotLoaded(Refused):
    """The load was rolled back: the target is as it was before."""

    outcome = "NotLoaded"
    next_step = (
        "The target is as it was; the audit row has the full error. Correct what the message names and start again."
    )


class LeakFound(NotLoaded):
    """Personal data of the source was found where none may be. What held it was removed or rolled back."""

    outcome = "LeakFound"
    next_step = "Nothing was kept. Correct the policy for the columns that the message names, then start again."


class Transient(UnderstudyError):
    """Not now; safe to try again. The step retries it."""

    outcome = "Unreachable"
    next_step = "Nothing was overwritten. Start a new run when the host answers again."


class RateLimited(Transient):
    """429. `facts["retry_after"]` is in seconds, or None where the host did not say."""

    outcome = "RateLimited"
    next_step = "Nothing was overwritten. The host asks for fewer requests: start a new run in a few minutes."

    @property
    def retry_after(self) -> float | None:
        """Seconds the host asked us to wait, if it said."""
        value = self.facts.get("retry_after")
        return float(value) if value is not None else None


class Unreachable(Transient):
    """No usable answer: connection, time-out, 5xx, or a body that is not what it should be."""


class OutcomeUnknown(UnderstudyError):
    """A destructive call left and its effect is not proven. Never retried; a person looks."""

    outcome = "OutcomeUnknown"
    next_step = (
        "Do not send it again. Look for the host's e-mail and at the destination; a retry of this run looks again "
        "and never sends. To go back, start `restore` with this run's id."
    )


class NotVerified(OutcomeUnknown):
    """The copy was sent, but a step after it could not be done: the cache may be old and the site is not checked."""

    outcome = "NotVerified"
    next_step = (
        "The copy was sent. Retry this run: it looks again, purges and verifies, and never sends. To go back, start "
        "`restore` with this run's id."
    )


class LedgerUnavailable(UnderstudyError):
    """The ledger's database cannot be read or written: a full disk, a missing folder, a corrupt file, a server that is away."""

    outcome = "LedgerUnavailable"
    next_step = (
        "Mend the ledger's database first. Then retry this run: it reads the ledger, and a copy that was sent is watched, "
        "never sent again."
    )


class Misconfigured(UnderstudyError):
    """Our own settings or parameters are wrong; found before the first call."""

    outcome = "Misconfigured"
    next_step = "Nothing was sent. Correct the setting or parameter that the message names."


class PolicyRefused(Misconfigured):
    """The masking policy cannot be applied to this database: something is unclassified, or a maker does not fit."""

    outcome = "PolicyRefused"
    next_step = "Nothing was exported. Add or correct the entries that the message names; `classify` drafts them."
