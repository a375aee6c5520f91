"""What the worker keeps and reads on its own machine: the ledger, the leads, the standing approvals, and where notices go."""

import stat
from collections.abc import Iterator
from datetime import timedelta

from deployments.doctor.examination import Finding, bad, good, unknown
from tasks.configuration.code_version import code_version
from tasks.configuration.settings import load_settings
from tasks.estate.polling import utc_now
from tasks.ledger.facts import Planned
from tasks.ledger.ledger import Ledger
from tasks.runtime.notices import try_places
from tasks.runtime.resources import read_leads, read_rules
from tasks.signoff.standing import load_standing, why_invalid

SOON = timedelta(days=14)  # before its end, as in the daily digest


def examine_ledger(ledger: Ledger) -> Iterator[Finding]:
    """Yield whether the chain is whole, whether a fact could be added, and whose code made the last plan."""
    problems = ledger.verify()
    if problems:
        remedy = "Approve nothing. Compare the ledger with the heads in earlier notices (docs/ledger.md)."
        yield bad("ledger", f"It was changed: {'; '.join(problems[:3])}.", remedy)
    else:
        yield good("ledger", f"The chain is whole, as far as it can be verified. Head: {ledger.head() or 'empty'}.")
    ledger.require_writable()
    yield good("ledger writable", "A fact was written and taken back.")
    planned = ledger.facts(kind=Planned.KIND)
    made_by = planned[-1].as_(Planned).draft.code_version if planned else ""
    if made_by and made_by != code_version():
        detail = f"The last plan, of {planned[-1].at:%Y-%m-%d %H:%M} UTC, was made by code {made_by}; here is {code_version()}."
        remedy = (
            "Run this in the folder of the worker. After an upgrade, restart the worker; the next plan shows its code."
        )
        yield unknown("code of the worker", detail, remedy)
    elif made_by:
        yield good("code of the worker", f"The last plan was made by this code ({made_by}).")


def examine_leads() -> Iterator[Finding]:
    """Yield whether enough people can approve, each with a proof that works."""
    leads, settings, rules = read_leads(), load_settings(), read_rules()
    able = [lead for lead in leads.everybody if not lead.suspended and (leads.secret(lead) or lead.proofs)]
    signing = [lead for lead in able if lead.proofs]
    needed = rules.red.people
    enrol = 'Enrol somebody: understudy leads enrol "Anna Lead" --email anna@example.org --key anna.pub'
    if len(able) < needed:
        yield bad("leads", f"{len(able)} can approve; a red plan needs {needed}.", enrol)
    else:
        yield good("leads", f"{len(able)} can approve, {len(signing)} of them with a key.")
    if able and not signing:
        yield bad("leads' keys", "Nobody has a key, and a red plan needs a signature.", enrol)
    idle = [lead.name for lead in leads.everybody if not lead.suspended and lead not in able]
    if idle:
        yield bad("leads' proofs", f"Without code or key on this machine: {', '.join(idle)}.", enrol)
    codes = settings.codes_file
    if codes.exists() and stat.S_IMODE(codes.stat().st_mode) & 0o077:
        yield bad("codes", f"{codes} can be read by other users of this machine.", f"chmod 600 {codes}")


def examine_standing() -> Iterator[Finding]:
    """Yield whether each standing approval is valid today, and will be for some time."""
    settings, now = load_settings(), utc_now()
    leads = read_leads()
    for entry in load_standing(settings.standing_file):
        wrong = why_invalid(entry, leads, now)
        check = f"standing approval {entry.pair}"
        left = entry.until - entry.local(now).date()
        renew = "Renew it under review, and have its issuer sign it: understudy standing sign"
        if wrong:
            yield bad(check, wrong, renew)
        elif left <= SOON:
            yield unknown(check, f"It is valid until {entry.until}, {left.days} days more.", renew)
        else:
            yield good(check, f"It is valid until {entry.until}.")


def examine_notices(*, send: bool) -> Iterator[Finding]:
    """Yield whether each place takes a notice. Without `send` that is not known."""
    if not load_settings().notices.get_secret_value().split():
        yield bad("notices", "Nobody receives notices.", "Set UNDERSTUDY_NOTICES (docs/operating.md).")
        return
    if not send:
        yield unknown("notices", "No notice was sent.", "Leave out --no-notice to send one to every place.")
        return
    for place, refused in try_places("doctor: a test", ["Somebody ran `understudy doctor`. There is nothing to do."]):
        check = f"notices to {place}"
        yield (
            bad(check, f"It {refused}.", "Check the address in UNDERSTUDY_NOTICES.")
            if refused
            else good(check, "It took a notice.")
        )
