"""Approvals: ask people about exactly this plan, verify every answer on the worker, and record it once."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from prefect.runtime import flow_run

from tasks.configuration.estate_settings import read_estate
from tasks.configuration.settings import load_settings
from tasks.estate.approval_sheet import Sheet
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import Misconfigured, NotApproved, Rejected, Skipped, Superseded
from tasks.estate.flow_parameters import ANSWER_AT_MOST
from tasks.estate.plans import Approval, Comparison, Intent, Plan
from tasks.estate.polling import until, utc_now
from tasks.ledger.approval_requests import ApprovalRequest
from tasks.ledger.facts import Asked, PreauthorisationUsed, Sending, StandingUsed
from tasks.ledger.ledger import AlreadyRecorded
from tasks.rendering import dumps
from tasks.rendering.approval import approval_text, gate_lines, missing_people, notice_lines, opening_lines
from tasks.rendering.request_words import must_be_bound
from tasks.rendering.times_and_tables import plain
from tasks.runtime.approval_forms import (
    ApprovalForm,
    FormAnswer,
    await_answer,
    form_for,
    publish_sheet,
)
from tasks.runtime.notices import Kind, send_copied_passkey, send_notice
from tasks.runtime.other_runs import end_waiting
from tasks.runtime.permission import approval_gate, require_open
from tasks.runtime.prefect_records import form_key, parameters_of, require_scheduled, typed_proofs, why_moved
from tasks.runtime.resources import open_ledger, read_leads, read_rules
from tasks.safeguards import scheduled_run_conditions
from tasks.signoff import preauthorised
from tasks.signoff.answers import Answer, entry, record_approval, recorded_answer
from tasks.signoff.approval_recheck import permitted_by
from tasks.signoff.form_fields import REJECT, read_choice
from tasks.signoff.gate import Gate, Settling, Waiting
from tasks.signoff.one_time_codes import use_up
from tasks.signoff.standing import StandingApproval, load_standing, require_covered, require_load_covered
from tasks.signoff.standing_entries import standing_use

MISSED = timedelta(hours=6)  # a scheduled run that is later than this belongs to another day
SETTLES = (
    "Approving this also settles the earlier run: whether or not its copy arrived, the backup is put back over it."
)
SOMEBODY = "Somebody"  # who rejected without a name
CHANGED = "the run was changed in Prefect"
EMPTIED_NOW = "* **This run needs an approval because it empties other tables than the last load that people approved**"
NOT_PERMITTED = "This run needs an approval because its pre-authorisation is missing, has expired or was used."


def ask(plan: Plan, comparison: Comparison, *, within: timedelta, notes: tuple[str, ...] = ()) -> Approval:
    """Suspend the run until as many people have approved as the plan's risk requires, and return the approval.

    A plain function, because Prefect suspends only from a flow body. If the plan was approved before, returns the recorded
    approval: the ledger limits its use. Raises `Rejected`, `ApprovalExpired`, `Superseded` or `Frozen`.
    """

    zone = read_estate().zone_of(plan.destination_name)

    def text(waiting: Waiting) -> str:
        return approval_text(plan, comparison, waiting, notes=notes, zone=zone)

    # A restore puts files and all tables back: after a smaller copy it would undo more than arrived.
    undoable = plan.verb == "promote" and plan.options.files and not plan.options.tables
    return _ApprovalRequest(plan, plan.pair.source.id, comparison, text, undoable).ask(within)


def ask_or_standing(
    plan: Plan, comparison: Comparison, *, mode: Literal["ask", "standing"], within: timedelta
) -> Approval:
    """Return the standing approval of exactly this pair, or ask people. For a refresh only.

    Raises what `ask` raises; `NotApproved` if no standing approval covers the pair, `Skipped` if one does, but not now.
    """
    if mode == "ask":
        return ask(plan, comparison, within=within)
    ledger, rules = open_ledger(), read_rules()
    if ledger.receipt(plan.run_id) is not None and (recorded := recorded_answer(ledger, plan)):
        return recorded  # sent before: nothing is sent again, whatever the conditions are now
    return _stand(
        plan,
        lambda now: scheduled_run_conditions.require_met(ledger, plan, comparison, rules, now=now),
        require_covered,
    )


def ask_load(plan: LoadPlan, *, mode: Literal["ask", "standing"], within: timedelta) -> Approval:
    """Return the standing approval of this load, or ask people.

    If the load empties other tables than people approved last, people are asked. Raises what `ask_or_standing` raises. The form
    refuses a wrong hostname or risk phrase.
    """
    ledger, rules = open_ledger(), read_rules()
    recorded = recorded_answer(ledger, plan)
    if recorded is not None and (
        mode != "standing" or recorded.kind == "person" or ledger.facts(run_id=plan.run_id, kind=Sending.KIND)
    ):
        return recorded
    notes: tuple[str, ...] = ()
    if mode == "standing" and not plan.first_load:  # no standing approval covers a first load
        emptied = scheduled_run_conditions.newly_emptied(ledger, plan)
        notes = (EMPTIED_NOW,) if emptied is not None else ()
    if mode == "standing" and not notes:
        return _stand(
            plan,
            lambda now: scheduled_run_conditions.require_load_met(ledger, plan, rules, now=now),
            require_load_covered,
        )

    zone = read_estate().zone_of(plan.destination_name)

    def text(waiting: Waiting) -> str:
        gate = [*notes, *gate_lines(plan, waiting, zone=zone)]
        details = dumps.load_text(plan, answer_by=waiting.answer_by, gate=gate, zone=zone)
        return "\n".join([*opening_lines(plan, waiting), details])

    return _ApprovalRequest(plan, "", None, text).ask(within)


def ask_or_preauthorised(
    plan: Plan, comparison: Comparison, promotion: str, *, mode: Literal["ask", "pre-authorised"], within: timedelta
) -> Approval:
    """Return the permission in the promotion's approval, which is used once, or ask people. For a restore only."""
    ledger = open_ledger()
    recorded = recorded_answer(ledger, plan)
    if recorded is not None:
        return recorded
    if mode == "pre-authorised":
        now = utc_now()
        allowed = permitted_by(ledger, plan, promotion, read_leads(), now=now, at_most=read_rules().restore_within)
        if allowed is not None:
            with suppress(AlreadyRecorded):
                return record_approval(
                    ledger,
                    plan,
                    kind="pre-authorised",
                    approver=f"{allowed.approver} (in the approval of run {promotion})",
                    reason="the verification of the promotion failed",
                    answered_at=now,
                    execute_within=_execute_within(),
                    also=(entry(PreauthorisationUsed(), plan, preauthorised.key_of(promotion)),),
                )
        return ask(plan, comparison, within=within, notes=(SETTLES, NOT_PERMITTED))
    return ask(plan, comparison, within=within, notes=(SETTLES,))


@dataclass(frozen=True)
class _ApprovalRequest:
    """One plan that people are asked about: its text, and what happens to the answers.

    `undoable`: an approval may also permit the restore.
    """

    plan: Plan | LoadPlan
    source_id: str
    comparison: Comparison | None
    text: Callable[[Waiting], str]
    undoable: bool = False

    def ask(self, within: timedelta) -> Approval:
        """Ask until the approval gate decides."""
        gate, plan = approval_gate(), self.plan
        if not timedelta(0) < within <= ANSWER_AT_MOST:
            raise Misconfigured(
                f"The approval request would stay open for {within}; expected more than 0 and at most {ANSWER_AT_MOST}."
            )
        found: Approval | Waiting | None = recorded_answer(gate.ledger, plan)
        if found is None:
            parameters = self._require_unchanged(gate)
            found, older = gate.ask(plan, source_id=self.source_id, within=within, now=utc_now(), parameters=parameters)
            for request in older:
                self._notify_superseded(request)
        while isinstance(found, Waiting):
            found = self._settle(gate, found.settling) if found.settling else self._await_answer(gate, found)
        assert found is not None, "a request ends in an approval or an error"  # noqa: S101  # an invariant
        return found

    def _require_unchanged(self, gate: Gate) -> str:
        """Return the digest of the run's parameters. Raises `Rejected`, permanently, if they were changed after a request.

        If the run drafted another plan since an earlier request, the codes that were typed into that request are used up: they
        must not serve as the answer to this one.
        """
        plan, parameters = self.plan, parameters_of(self.plan.run_id)
        earlier = gate.ledger.facts(run_id=plan.run_id, kind=Asked.KIND)
        changed = any(fact.as_(Asked).parameters not in (None, parameters) for fact in earlier)
        if changed or any(fact.plan != plan.fingerprint for fact in earlier):
            for typed in typed_proofs(plan.run_id):
                if typed.digits:
                    use_up(gate.ledger, gate.leads, typed.digits, run_id=plan.run_id, given_at=typed.at)
        if changed:
            try:
                gate.reject_changed(plan)
            except Rejected as rejected:
                _notify(plan, "alert", f": {CHANGED}", rejected.message)
                raise
        return parameters

    def _settle(self, gate: Gate, settling: Settling) -> Approval | Waiting:
        """Wait until an approval with a code may take effect; void it if anything shows that the code was moved."""
        plan, name = self.plan, settling.signer.name
        until(lambda: None, deadline=settling.at, started=utc_now(), every=lambda _: 1.0)
        why = why_moved(plan, settling)
        moved = (
            f"The code of {name} does not count: {why}. Answer with the next code, or with a signature." if why else ""
        )
        decided = gate.settle(plan, moved=moved, now=utc_now())
        if moved:
            suspicion = f"If {name} did not intend to approve plan {plan.code}, somebody moved the code."
            _notify(plan, "alert", ": a code was not accepted", plain(moved, 600), suspicion)
        elif isinstance(decided, Approval):
            self._notify_approved(decided)
        return decided

    def _await_answer(self, gate: Gate, waiting: Waiting) -> Approval | Waiting | None:
        plan = self.plan
        typed = await_answer(
            form_key(plan, waiting.index),
            form_for(plan, self.text(waiting), undoable=self.undoable, bound=must_be_bound(plan, waiting)),
            before=lambda: self._announce(waiting),
            until=waiting.answer_by,
            now=utc_now(),
        )
        if typed.form is None:
            return gate.expire(plan) if typed.at >= waiting.answer_by else gate.unreadable(plan)
        try:
            decided = gate.evaluate(plan, self._answer_in(typed), now=utc_now())
        except Rejected as rejected:
            _notify(
                plan,
                "alert" if rejected.facts.get("alert") else "decided",
                ": rejected",
                plain(rejected.message, 400),
            )
            raise
        if isinstance(decided, Approval):
            self._notify_approved(decided)
        elif decided.settling:
            name, at = decided.settling.signer.name, decided.settling.at
            message = (
                f"{name} approved plan {plan.code} with a code. It takes effect at {at:%H:%M:%S} UTC. If that was not {name}, "
                "cancel the run now."
            )
            _notify(plan, "decided", ": approved with a code", plain(message, 400))
        elif decided.copied:
            send_copied_passkey(f"{plan.verb} of {plan.destination_name}", decided.refused, run_id=plan.run_id)
        return decided

    def _answer_in(self, typed: FormAnswer) -> Answer:
        """Return what was typed. Somebody who rejects need not give a name."""
        form = typed.form
        assert isinstance(form, ApprovalForm), "the form was read as one"  # noqa: S101  # an invariant, not input
        decision, code, restore = read_choice(form.decision)
        return Answer(
            decision=decision,
            approver=form.approver.strip() or (SOMEBODY if decision == REJECT else ""),
            plan=code or form.plan,
            destination=form.destination,
            proof=form.proof,
            reason=form.reason,
            given_at=typed.at,
            restore=self.undoable and (restore or form.restore == "yes"),
            phrase=form.risk,
        )

    def _notify_approved(self, approval: Approval) -> None:
        plan = self.plan
        message = (
            f"{approval.approver} approved plan {plan.code}; it may be used until {approval.execute_by:%H:%M:%S} UTC."
        )
        _notify(plan, "decided", ": approved", plain(message, 400))

    def _announce(self, waiting: Waiting) -> None:
        """Publish the request as data, and notify the people who answer."""
        plan = self.plan
        publish_sheet(Sheet(plan=plan, comparison=self.comparison, answer_by=waiting.answer_by, question=waiting.index))
        _notify(plan, "asked", f" waits for {missing_people(plan, waiting)}", *notice_lines(plan, waiting))

    def _notify_superseded(self, older: ApprovalRequest) -> None:
        message = f"Plan {older.code} was replaced by the newer plan {self.plan.code} of run {self.plan.run_id}."
        end_waiting(older.run_id, Superseded.outcome, f"{message} {Superseded.next_step}")
        send_notice("ended", f"{older.verb} of {older.destination}: superseded", [message], run_id=older.run_id)


def _notify(plan: Intent, kind: Kind, event: str, *lines: str) -> None:
    """Send a notice about a plan. Its subject is what the plan does, followed by `event`."""
    send_notice(kind, f"{plan.verb} of {plan.destination_name}{event}", lines, run_id=plan.run_id)


def _execute_within() -> timedelta:
    return timedelta(seconds=load_settings().execute_within)


def _stand(
    plan: Intent, require_met: Callable[[datetime], None], require_covered: Callable[..., StandingApproval]
) -> Approval:
    """Return the standing approval: a timely run of the schedule, an entry that covers exactly this pair, once a night.

    An approval that is in the ledger already is returned only after the same checks: the ledger alone is not enough.
    """
    now = _require_timely(plan)
    # A file that names the source as a destination is wrong.
    production = [plan.pair.source.name] if isinstance(plan, Plan) else []
    entries = load_standing(load_settings().standing_file, production=production)
    try:
        standing = require_covered(plan, entries, now=now, leads=read_leads(), at_most=read_rules().standing_at_most)
    except NotApproved:
        if any(entry.destination == plan.destination_name for entry in entries):
            require_met(now)  # a hold or unpromoted work is a better reason than "not covered"
        raise
    require_met(now)
    require_scheduled(plan)
    ledger = open_ledger()
    if recorded := recorded_answer(ledger, plan):
        return recorded
    once = standing_use(standing, now)
    try:
        approval = record_approval(
            ledger,
            plan,
            kind="standing",
            approver=standing.named,
            reason=standing.reason,
            answered_at=now,
            execute_within=_execute_within(),
            also=(entry(StandingUsed(pair=standing.pair), plan, once),),
        )
    except AlreadyRecorded as taken:
        if taken.once != once:
            raise
        run = next(fact.run_id for fact in ledger.facts(kind=StandingUsed.KIND) if fact.once == once)
        raise Skipped(f"The standing approval for {standing.pair} was used this night already, by run {run}.") from None
    message = f"{approval.approver} permitted run {plan.run_id} to overwrite {plan.destination_name}: plan {plan.code}."
    _notify(plan, "standing", ": by standing approval", plain(message, 400))
    return approval


def _require_timely(plan: Intent) -> datetime:
    """Return the present time. Raises `NotApproved` if the run starts too late, `Frozen` during a freeze.

    A worker that was down for days starts all missed runs at once: only the newest may use a standing approval.
    """
    now, due = utc_now(), flow_run.get_scheduled_start_time()
    if due is not None and now - due > MISSED:
        raise NotApproved(
            f"This run was due at {due:%Y-%m-%d %H:%M} UTC and starts more than {MISSED} late; a standing approval does "
            "not cover missed runs.",
            next_step="Nothing was overwritten. Wait for the next scheduled run, or start one manually now.",
        )
    require_open(plan, now)
    return now
