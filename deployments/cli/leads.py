"""`leads`: enrol people who may approve, list them, and check the clocks of their phones."""

import hmac
import io
import sys
from pathlib import Path
from typing import Annotated, Any

import pyotp
import segno
import typer

from deployments.cli.output import Alert, Result, columns, command, new_group
from tasks.configuration.settings import load_settings
from tasks.estate.errors import Misconfigured, NotFound
from tasks.estate.polling import utc_now
from tasks.signoff.enrolment import Enrolment, enrol
from tasks.signoff.leads import Lead, Leads, load_leads
from tasks.signoff.proofs import LEEWAY, STEP

FAR = (
    20  # steps to either side in which a code is searched: ten minutes; a clock further off is set to a wrong time zone
)
Show = Annotated[bool, typer.Option("--show-secret", help="Show the secret even if the output is not a terminal.")]

group = new_group("The people who may approve, and how they prove who they are.")


@command(group, "enrol")
def enrol_lead(
    name: Annotated[str, typer.Argument(help="Name of the lead, as typed into forms.")],
    email: Annotated[str, typer.Option("--email", help="E-mail address; names the account in their authenticator.")],
    key: Annotated[Path | None, typer.Option("--key", help="File with the OpenSSH public key (.pub).")] = None,
    passkey: Annotated[str, typer.Option("--passkey", help="Line of a passkey, as the desk shows it.")] = "",
    codes: Annotated[bool, typer.Option("--codes/--no-codes", help="Create a new secret for one-time codes.")] = True,
    show_secret: Show = False,
) -> Result:
    """Add a lead, or a new secret, key or passkey for one. The secret is shown once, as a QR code and as text."""
    shown = codes and (show_secret or sys.stdout.isatty())
    if codes and not shown:
        raise typer.BadParameter(
            "Nobody would see the secret: run this in a terminal, or use --show-secret or --no-codes."
        )
    settings = load_settings()
    line = read_key(key) if key else ""
    made = enrol(
        settings.leads_file, settings.codes_file, name=name, email=email, key=line, passkey=passkey, codes=codes
    )
    keys, passkeys = len(made.lead.keys), len(made.lead.passkeys)
    document = {"name": made.lead.name, "email": made.lead.email, "keys": keys, "passkeys": passkeys, "codes": codes}
    lines = [
        f"{made.lead.name} is enrolled, with {keys} keys and {passkeys} passkeys. Submit {settings.leads_file} for review."
    ]
    if show_secret:
        document |= {"secret": made.secret, "uri": made.uri}
    return Result(document, [*(secret_lines(made) if shown else []), *lines])


@command(group, "list")
def list_leads() -> Result:
    """List who may approve, and how they can prove who they are."""
    leads = _read()
    rows = [_row(leads, lead) for lead in leads.everybody]
    if not rows:
        return Result({"leads": []}, ["Nobody may approve yet. Enrol somebody: understudy leads enrol NAME --email …"])
    names = ("name", "email", "codes", "keys", "passkeys", "suspended")
    return Result({"leads": rows}, columns([[_text(row[name]) for name in names] for row in rows], head=names))


def _row(leads: Leads, lead: Lead) -> dict[str, Any]:
    return {
        "name": lead.name,
        "email": lead.email,
        "codes": leads.secret(lead) is not None,
        "keys": [f"{key.kind}{f' until {key.valid_before}' if key.valid_before else ''}" for key in lead.keys],
        "passkeys": [
            f"{each.relying_party}{f' until {each.valid_before}' if each.valid_before else ''}"
            for each in lead.passkeys
        ],
        "suspended": lead.suspended,
    }


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


@command(group, "check")
def check(
    name: Annotated[str, typer.Argument(help="Name of the lead.")],
    code: Annotated[str, typer.Argument(help="Six digits that the authenticator shows now.")],
) -> Result:
    """Check one code without using it up, and report how far the phone's clock is off."""
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
        line = Alert(f"This is not a code of {lead.name}, within {FAR * STEP // 60} minutes to either side.")
        return Result({"name": lead.name, "good": False, "seconds_off": None}, [line], failed=True)
    good = abs(off) <= LEEWAY
    document = {"name": lead.name, "good": good, "seconds_off": off * STEP}
    return Result(document, [_verdict(lead.name, off, good=good)], failed=not good)


def _verdict(name: str, off: int, *, good: bool) -> str:
    way = "ahead of" if off > 0 else "behind"
    if not off:
        return f"The code is {name}'s, and the clocks agree. It was not used up."
    line = f"The code is {name}'s; the phone's clock is about {abs(off) * STEP} s {way} this machine's."
    return f"{line} It was not used up." if good else Alert(f"{line} That is too far: set its time automatically.")


def _steps_off(secret: str, digits: str) -> int | None:
    """Return how many steps of 30 s the phone is ahead of this machine; None if no step near now has this code."""
    generator, now = pyotp.TOTP(secret, interval=STEP), int(utc_now().timestamp()) // STEP
    steps = sorted(range(-FAR, FAR + 1), key=abs)  # the nearest, should two steps share a code
    fitting = [s for s in steps if hmac.compare_digest(generator.generate_otp(now + s).encode(), digits.encode())]
    return fitting[0] if fitting else None


def secret_lines(made: Enrolment) -> list[str]:
    """Return the secret of a lead's codes, as a QR code and as text."""
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


def read_key(path: Path) -> str:
    """Return the line of a `.pub` file. Raise `Misconfigured` if it cannot be read."""
    try:
        return path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({type(error).__name__}); expected a .pub file.") from error
