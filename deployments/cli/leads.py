"""`leads`: enrol people who may approve, list them, and check a phone's clock before the night it matters."""

import hmac
import io
import sys
from pathlib import Path
from typing import Annotated, Any

import pyotp
import segno
import typer

from deployments.cli.output import Loud, Told, columns, command, new_group
from tasks.estate.errors import Misconfigured, NotFound
from tasks.estate.settings import load_settings
from tasks.estate.waiting import utc_now
from tasks.signoff.leads import Enrolment, Lead, Leads, enrol, load_leads
from tasks.signoff.proofs import LEEWAY, STEP

FAR = 20  # steps to either side in which a code is looked for: ten minutes; beyond, a phone has the wrong time zone set by hand
Show = Annotated[bool, typer.Option("--show-secret", help="Show the secret although this is no terminal.")]

group = new_group("The people who may approve, and what proves that it is them.")


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the program."""
    app.add_typer(group, name="leads")


@command(group, "enrol")
def enrol_lead(
    name: Annotated[str, typer.Argument(help="Name of the lead, as it will be typed into forms.")],
    email: Annotated[str, typer.Option("--email", help="Names the account in their authenticator.")],
    key: Annotated[Path | None, typer.Option("--key", help="File with the OpenSSH public key (.pub).")] = None,
    codes: Annotated[bool, typer.Option("--codes/--no-codes", help="Make a new secret for one-time codes.")] = True,
    show_secret: Show = False,
) -> Told:
    """Add a lead, or give one a new secret or another key. The secret is shown once, as a QR code and in letters."""
    shown = codes and (show_secret or sys.stdout.isatty())
    if codes and not shown:
        raise typer.BadParameter(
            "Nobody would see the secret: run this in a terminal, or give --show-secret or --no-codes."
        )
    settings = load_settings()
    line = _read_key(key) if key else ""
    made = enrol(settings.leads_file, settings.codes_file, name=name, email=email, key=line, codes=codes)
    document = {"name": made.lead.name, "email": made.lead.email, "keys": len(made.lead.keys), "codes": codes}
    lines = [f"{made.lead.name} is enrolled, with {len(made.lead.keys)} keys. Put {settings.leads_file} under review."]
    if show_secret:
        document |= {"secret": made.secret, "uri": made.uri}
    return Told(document, [*(_once(made) if shown else []), *lines])


@command(group, "list")
def list_leads() -> Told:
    """List who may approve, and how they can prove it."""
    leads = _read()
    rows = [_row(leads, lead) for lead in leads.everybody]
    if not rows:
        return Told({"leads": []}, ["Nobody may approve yet. Enrol somebody: understudy leads enrol NAME --email …"])
    names = ("name", "email", "codes", "keys", "suspended")
    return Told({"leads": rows}, columns([[_shown(row[name]) for name in names] for row in rows], head=names))


def _row(leads: Leads, lead: Lead) -> dict[str, Any]:
    return {
        "name": lead.name,
        "email": lead.email,
        "codes": leads.secret(lead) is not None,
        "keys": [f"{key.kind}{f' until {key.valid_before}' if key.valid_before else ''}" for key in lead.keys],
        "suspended": lead.suspended,
    }


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


@command(group, "check")
def check(
    name: Annotated[str, typer.Argument(help="Name of the lead.")],
    code: Annotated[str, typer.Argument(help="Six digits of the authenticator now.")],
) -> Told:
    """Check one code without using it up, and say how far the phone's clock is off."""
    leads = _read()
    lead = leads.find(name)
    if lead is None:
        raise NotFound(leads.why_not(name), next_step="Look at `understudy leads list`.")
    secret = leads.secret(lead)
    if secret is None:
        raise NotFound(
            f"{lead.name} has no one-time codes on this machine.", next_step="Run this where the worker runs."
        )
    off = _steps_off(secret, "".join(code.split()))
    if off is None:
        words = Loud(f"This is no code of {lead.name}, within {FAR * STEP // 60} minutes to either side.")
        return Told({"name": lead.name, "good": False, "seconds_off": None}, [words], failed=True)
    good = abs(off) <= LEEWAY
    document = {"name": lead.name, "good": good, "seconds_off": off * STEP}
    return Told(document, [_verdict(lead.name, off, good=good)], failed=not good)


def _verdict(name: str, off: int, *, good: bool) -> str:
    way = "ahead of" if off > 0 else "behind"
    if not off:
        return f"The code is {name}'s, and the clocks agree. It was not used up."
    words = f"The code is {name}'s; the phone's clock is about {abs(off) * STEP} s {way} this machine's."
    return f"{words} It was not used up." if good else Loud(f"{words} That is too far: set its time automatically.")


def _steps_off(secret: str, digits: str) -> int | None:
    """How many steps of 30 s the phone is ahead of this machine; None where no step near now has this code."""
    generator, now = pyotp.TOTP(secret, interval=STEP), int(utc_now().timestamp()) // STEP
    steps = sorted(range(-FAR, FAR + 1), key=abs)  # the nearest, should two steps share a code
    fitting = [s for s in steps if hmac.compare_digest(generator.generate_otp(now + s).encode(), digits.encode())]
    return fitting[0] if fitting else None


def _once(made: Enrolment) -> list[str]:
    out = io.StringIO()
    segno.make(made.uri, micro=False).terminal(out, compact=True)
    return [
        out.getvalue(),
        f"Scan this with an authenticator, or type: {made.secret}",
        "It is shown this once. Then: understudy leads check NAME CODE",
        "",
    ]


def _read() -> Leads:
    settings = load_settings()
    return load_leads(settings.leads_file, settings.codes_file)


def _read_key(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({type(error).__name__}); expected a .pub file.") from error
