"""Standing approvals: reviewed, signed entries that approve scheduled runs of exactly one pair without a person."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import yaml

from tasks.configuration.reviewed_files import parse, read_entries, replace_file
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import Misconfigured, NotApproved
from tasks.estate.nightly_windows import Window
from tasks.estate.plans import Plan
from tasks.estate.recipes import PlannedSteps, Recipe
from tasks.estate.risks import Grade
from tasks.estate.sites import Direction
from tasks.signoff.leads import Leads
from tasks.signoff.proofs import BadProof, one_line, verify_signature
from tasks.signoff.standing_entries import StandingApproval, standing_statement

__all__ = [
    "NAMESPACE", "StandingApproval", "Window", "expiring", "load_standing", "require_covered", "require_load_covered",
    "sign_standing", "standing_statement", "statement_of", "why_invalid", "why_not_signed",
]  # fmt: skip

NAMESPACE = "understudy-standing"  # a signature for an approval is not valid here, nor this one there
LONGEST = timedelta(days=90)  # from `issued` to `until`; then somebody decides again
SIGN = "Have its issuer sign it: `understudy standing sign`."
ASK = "or start the run with approval 'ask'."


def load_standing(path: Path, *, production: Collection[str] = ()) -> list[StandingApproval]:
    """Return the entries of the file. `production` are the names of installs that are known to be production.

    Raises `Misconfigured`, which names the file and the wrong entry; an entry that would overwrite production is wrong.
    Signatures are verified when an entry is used.
    """
    if not path.exists():
        raise Misconfigured(f"The standing approvals in {path} cannot be read: there is no such file; expected a list.")
    entries = read_entries(path, StandingApproval, called="a standing approval")
    known = {name.casefold() for name in production}
    for number, entry in enumerate(entries, start=1):
        if entry.destination.casefold() in known:
            raise Misconfigured(
                f"Entry {number} of {path}, {entry.pair}, names production as its destination: no standing approval may."
            )
    return entries


def statement_of(path: Path, number: int) -> bytes:
    """Return what the issuer of the entry with this number (from 1) must sign. Raises `Misconfigured`."""
    return standing_statement(_entry(path, load_standing(path), number))


def _entry(path: Path, entries: Sequence[StandingApproval], number: int) -> StandingApproval:
    if not 1 <= number <= len(entries):
        raise Misconfigured(f"{path} has no entry {number}; it has {len(entries)}, counted from 1.")
    return entries[number - 1]


def sign_standing(path: Path, number: int, signature: str) -> StandingApproval:
    """Write a signature, as text or on one line, into the entry with this number (from 1), and change nothing else.

    The signature is verified when the entry is used. Raises `Misconfigured`, also if the text is not a signature.
    """
    try:
        body = one_line(signature)
    except BadProof as bad:
        raise Misconfigured(f"Entry {number} of {path} was not signed: {bad}") from None
    before = load_standing(path)
    wanted = [*before]
    wanted[number - 1] = _entry(path, before, number).model_copy(update={"signature": body})
    text = _with_signature(path.read_text(encoding="utf-8"), number, body)
    if [StandingApproval.model_validate(entry) for entry in parse(text, path)] != wanted:
        raise Misconfigured(f"The signature could not be written into entry {number} of {path}; add it manually.")
    replace_file(path, text)
    return wanted[number - 1]


def _with_signature(text: str, number: int, body: str) -> str:
    """Return the file's text with this signature, in place of the old one or as a new field."""
    entries = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(entries, yaml.SequenceNode), "load_standing() read it as one"  # noqa: S101  # an invariant, not input
    fields = entries.value[number - 1]
    values = {key.value: value for key, value in fields.value}
    if "signature" in values:
        old = values["signature"]
        return text[: old.start_mark.index] + body + text[old.end_mark.index :]
    if fields.flow_style:
        last = fields.value[-1][1].end_mark.index
        return f"{text[:last]}, signature: {body}{text[last:]}"
    # The line becomes the first field, after the entry's dash: that is right however the other fields are written.
    first = fields.value[0][0].start_mark
    return f"{text[: first.index]}signature: {body}\n{' ' * first.column}{text[first.index :]}"


def expiring(standing: Sequence[StandingApproval], today: date, notice: timedelta) -> list[StandingApproval]:
    """Return the entries that end within `notice` and have not ended, the first to end first."""
    soon = [entry for entry in standing if today <= entry.until <= today + notice]
    return sorted(soon, key=lambda entry: entry.until)


def why_invalid(entry: StandingApproval, leads: Leads, now: datetime) -> str:
    """Return why an entry covers no run today, whatever the hour, as a sentence, or an empty string."""
    today = entry.local(now).date()
    if not entry.issued <= today <= entry.until:
        return f"It is valid from {entry.issued} to {entry.until}, and today is {today}."
    if entry.window is None:
        return "It has no window, and covers nothing: add `window` and `zone`, and have it signed again."
    return why_not_signed(entry, leads, now)


def why_not_signed(entry: StandingApproval, leads: Leads, now: datetime) -> str:
    """Return why the signature of an entry is not valid, as a sentence, or an empty string."""
    why = _not_signed(entry, leads, now)
    return f"{why[0].upper()}{why[1:]}." if why else ""


def require_covered(
    plan: Plan, standing: Sequence[StandingApproval], *, now: datetime, leads: Leads, at_most: timedelta = LONGEST
) -> StandingApproval:
    """Return the entry that covers exactly this plan now. Raises `NotApproved` with the reason if no entry does.

    Only a green refresh to a destination that is proven not to be production can be covered: never a promotion or restore,
    and no plan that overrides a freeze or a hold.
    """
    source, destination = plan.pair.source, plan.pair.destination
    if plan.verb != "refresh" or plan.direction is not Direction.DOWN or destination.environment.may_be_production:
        raise NotApproved(
            f"A {plan.verb} to {destination.name} can never have a standing approval; a person must answer."
        )
    _require_harmless(plan)
    named = _named(standing, source.name, destination.name)
    steps = plan.after_copy
    return _covering(named, now=now, leads=leads, at_most=at_most, database=plan.options.database, steps=steps)


def require_load_covered(
    plan: LoadPlan, standing: Sequence[StandingApproval], *, now: datetime, leads: Leads, at_most: timedelta = LONGEST
) -> StandingApproval:
    """Return the entry that covers loading this application's dumps into this host now; its source is the application.

    Raises `NotApproved` if no entry does. A first load, personal data, an unproven dump, and a target that lacks or may refuse
    something always need a person.
    """
    if plan.first_load:
        raise NotApproved(
            f"The target {plan.hostname} has no staging marker yet; a first load needs a person.",
            next_step="Nothing was loaded. Start `load_dump` with approval 'ask' once; the load sets the marker.",
        )
    if plan.arrives_raw or plan.header.raw:
        raise NotApproved(
            "A dump with anonymizers switched off can never have a standing approval; a person must answer."
        )
    if plan.unproven:
        raise NotApproved(
            f"The dump is unproven, and can never have a standing approval: {plan.unproven}; a person must answer.",
            next_step="Nothing was loaded. Make a new dump with `anonymize`, or start `load_dump` with approval 'ask'.",
        )
    if absent := [each for each in plan.missing if not each.allowed]:
        raise NotApproved(
            f"Staging lacks what the dump has ({', '.join(f'{e.what} {e.name}' for e in absent[:10])}); a person must answer.",
            next_step=f"Nothing was loaded. Run on staging: {'; '.join(e.statement for e in absent[:10])}. Or list it in the"
            f" policy's missing_on_staging, {ASK}",
        )
    if doubts := plan.open_doubts:
        raise NotApproved(
            f"Staging may refuse rows or statements of the load ({'; '.join(map(str, doubts[:5]))}); a person must answer.",
            next_step=f"Nothing was loaded. Correct staging, or list in the policy's accept_doubts what is acceptable"
            f" ({', '.join(dict.fromkeys(doubt.table for doubt in doubts[:10]))}), {ASK}",
        )
    _require_harmless(plan)
    named = _named(standing, plan.header.app, plan.hostname)
    return _covering(named, now=now, leads=leads, at_most=at_most, database=True)


def _require_harmless(plan: Plan | LoadPlan) -> None:
    what = f"The {plan.verb} of {plan.destination_name} can have no standing approval now"
    if plan.overrides:
        raise NotApproved(f"{what}: it overrides {', '.join(plan.overrides)}; a person must answer.")
    if plan.risk.grade is not Grade.GREEN:
        raise NotApproved(
            f"{what}: it is {plan.risk.grade.value}, not green ({'; '.join(plan.risk.reasons) or 'no reason given'})."
        )


def _named(standing: Sequence[StandingApproval], source: str, destination: str) -> list[StandingApproval]:
    named = [entry for entry in standing if (entry.source, entry.destination) == (source, destination)]
    if not named:
        raise NotApproved(
            f"No standing approval covers {source} → {destination}.",
            next_step=f"Nothing was overwritten. Add the pair to the standing approvals file and sign it, {ASK}",
        )
    return named


def _covering(
    named: Sequence[StandingApproval],
    *,
    now: datetime,
    leads: Leads,
    at_most: timedelta,
    database: bool,
    steps: PlannedSteps | None = None,
) -> StandingApproval:
    """Return the first of a pair's entries that covers this, or raise `NotApproved` with the reasons of all."""
    refusals = []
    for entry in named:
        why, step = _refusal(entry, now=now, leads=leads, at_most=at_most, database=database)
        if not why:
            why, step = _other_recipe(entry, steps)
        if not why:
            return entry
        refusals.append((why, step))
    reasons = "; ".join(why for why, _ in refusals)
    raise NotApproved(
        f"The standing approval for {named[0].pair} does not cover this: {reasons}.",
        next_step=f"Nothing was overwritten. {' '.join(dict.fromkeys(step for _, step in refusals))}",
    )


def _refusal(
    entry: StandingApproval, *, now: datetime, leads: Leads, at_most: timedelta, database: bool
) -> tuple[str, str]:
    """Return why an entry does not cover this now, and what to do; two empty strings if it does."""
    today, renew = entry.local(now).date(), f"Renew it under review and sign it (`understudy standing sign`), {ASK}"
    if today > entry.until:
        return f"it ended on {entry.until}", renew
    if today < entry.issued:
        return f"it begins on {entry.issued}", f"Wait for that day, {ASK}"
    if entry.until - entry.issued > at_most:
        return f"it is for {(entry.until - entry.issued).days} days; at most {at_most.days} are allowed", renew
    if forged := _not_signed(entry, leads, now):
        return forged, SIGN
    if database and not entry.include_database:
        return "it does not include the database", f"Copy files only, {ASK}"
    if entry.window is None:
        return (
            "it has no window, and a scheduled run needs one",
            f"Add `window` and `zone` to the entry, and have its issuer sign it again (`understudy standing sign`), {ASK}",
        )
    if not entry.is_open(now):
        opens = entry.opens_next(now)
        when = f"opens next on {opens:%Y-%m-%d at %H:%M} {entry.zone}" if opens else "does not open within three days"
        return f"its window is closed and {when}", f"Start it then, {ASK}"
    return "", ""


def _other_recipe(entry: StandingApproval, steps: PlannedSteps | None) -> tuple[str, str]:
    """Return why an entry does not cover what happens after the copy, and what to do; two empty strings if it does.

    An entry without a recipe covers the safe recipe, in whatever version: it can only protect more than the copy alone.
    """
    digest = steps.digest if steps else ""
    if entry.recipe == digest or (not entry.recipe and steps is not None and steps.recipe == Recipe.safe()):
        return "", ""
    if not digest:
        why = "it is for a copy with the steps of a recipe after it, and this worker has no WP-CLI access for them"
        return why, f"Allow SSH to the installs (docs/ssh.md), {ASK}"
    named = "it names another recipe" if entry.recipe else "it names no recipe, and the site's is not the safe one"
    step = f"Review the site's `after_copy`, write `recipe: {digest}` into the entry, have it signed, {ASK}"
    return f"{named} for the steps after the copy", step


def _not_signed(entry: StandingApproval, leads: Leads, now: datetime) -> str:
    issuer = leads.find(entry.issuer)
    if issuer is None:
        return f"its issuer {entry.issuer} may not sign: {leads.why_not(entry.issuer).rstrip('.')}"
    if not entry.signature:
        return f"it is not signed by {issuer.name}"
    try:
        verify_signature(issuer, entry.signature, standing_statement(entry), namespace=NAMESPACE, at=now)
    except BadProof as bad:
        return f"its signature does not hold, or it was changed after signing ({str(bad).rstrip('.')})"
    return ""
