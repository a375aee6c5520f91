"""What `init` asks for, one function for each part. Each answer is checked at once: logins and addresses are tried."""

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from deployments.cli.answers import Answers, email, optional
from deployments.cli.leads import read_key
from deployments.cli.output import Caution, Good, print_aside
from deployments.server_address import VARIABLE, unreachable
from deployments.setup.databases import application_of, describe, hostname_of, setting_names, try_source, try_target
from deployments.setup.findings import SetUp
from deployments.setup.hosting import OWN, Listed, in_words, list_sites
from tasks.configuration.secret_settings import secret_setting
from tasks.configuration.setting_addresses import prefect_address
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Estate, HostingAccount, Site
from tasks.signoff.enrolment import enrolled
from tasks.signoff.leads import plain_name

NUMBERS = ("First", "Second")  # a red plan needs two people
LEAD = re.compile(r"(?P<name>[^<>]+?)\s*<(?P<email>[^<>\s]+@[^<>\s]+)>\s*(?P<key>.*)")
LOCAL_SERVER = "http://127.0.0.1:4200/api"  # where `prefect server start` listens
KEY = "UNDERSTUDY_MASKING_KEY"


def ask_account(answers: Answers, setup: SetUp, account: HostingAccount, api_url: str) -> Listed:
    """Return what the account lists. A login that the settings hold is tried first; one that is refused is asked for again."""
    held = [secret_setting(name) for name in (account.user, account.password)]
    if all(held):
        try:
            return list_sites(api_url, *held)
        except Misconfigured as refused:
            in_files = any(os.environ.get(f"{name}_FILE") for name in (account.user, account.password))
            if in_files or not answers.on_terminal:
                raise
            print_aside(Caution(f"{refused.message} It is the login that {account.user} holds. {refused.next_step}"))
            held = ["", ""]

    def log_in(password: str) -> tuple[Listed, str]:
        print_aside(f"Logging in at {api_url} …")
        return list_sites(api_url, user, password), password

    of = f" of {account.name}" if account is not OWN else ""
    option = "{0}, or {0}_FILE, or --no-account"
    before = answers.asked
    while True:
        answers.asked = before  # the same two are asked for again
        user = answers.get(f"API user{of}", str, given=held[0] or None, option=option.format(account.user))
        try:
            label = f"API password{of} (not shown)"
            given = held[1] or None
            typed = answers.get(label, str, given=given, option=option.format(account.password), hidden=True)
            listed, password = log_in(typed)
        except Misconfigured as refused:
            if not answers.on_terminal:
                raise
            print_aside(Caution(f"{refused.message} {refused.next_step}"))
            held = ["", ""]
            continue
        setup.values |= {account.user: user, account.password: password}
        return listed


def ask_sites(answers: Answers, setup: SetUp, offered: Sequence[Site], given: Sequence[str]) -> None:
    """Let a person choose from the sites that the account lists and the estate does not describe."""
    pairs = [site for site in offered if site.lower]
    if not offered:
        return
    for number, site in enumerate(offered, start=1):
        missing = "" if site.lower else ": no staging install; the flow `provision` creates one"
        print_aside(f"  {number}. {site.name}: {in_words(site)}{missing}")

    def choose(words: Sequence[str]) -> list[Site]:
        return list(dict.fromkeys(site for word in words for site in _named(word, offered, pairs)))

    if given:
        setup.sites += choose(given)
        return
    label = f"Which of them (numbers like 1 2, or none; Enter: all {len(pairs)} with a staging or development install)"
    setup.sites += answers.get(label, lambda text: choose(re.split(r"[,\s]+", text)), option="--site", default="all")


def _named(word: str, offered: Sequence[Site], pairs: Sequence[Site]) -> Sequence[Site]:
    if word.casefold() in ("all", "none"):
        return pairs if word.casefold() == "all" else ()
    if word.isdecimal() and 1 <= int(word) <= len(offered):
        return (offered[int(word) - 1],)
    found = [site for site in offered if word.casefold() in (site.name.casefold(), site.production)]
    if not found:
        listed = ", ".join(f"{n} ({site.production})" for n, site in enumerate(offered, start=1))
        raise Misconfigured(
            f"{word!r} is not one of the listed sites.", next_step=f"Expected one of {listed}, all or none."
        )
    return found


def ask_notify(answers: Answers, setup: SetUp, given: str | None, held: str) -> None:
    """Ask for the address that the host notifies, which its API requires, unless there is one."""
    if given is None and held:
        return
    label = "E-mail address that the host notifies of backups and copies"
    setup.values["UNDERSTUDY_NOTIFY"] = answers.get(label, email, given=given, option="--notify")


def ask_database(answers: Answers, setup: SetUp, estate: Estate, application: str | None, hostname: str | None) -> None:
    """Ask for a database and its staging instance, which nobody needs to have, and try both addresses.

    The estate lists no database, or not that of this `application`.
    """
    name = setting_names(estate, application or "")[0]
    held = secret_setting(name)
    if held and application is None and not answers.on_terminal:
        setup.notes.append(f"{name} is the worker's one database; --application describes it in the estate.")
        return
    source = answers.get(
        "Address of production's PostgreSQL database (not shown; Enter: none)",
        optional(_tried_source),
        given=held or None,
        option=name,
        default="",
        hidden=True,
    )
    if source is None:
        return
    derived = application_of(source) or None
    application = answers.get(
        f"Name of the application, as in its masking policy{f' (Enter: {derived})' if derived else ''}",
        lambda text: describe(estate, text, source).application,
        given=application,
        option="--application",
        default=derived,
    )

    target, hostname = _ask_target(answers, estate, application, source, hostname)
    entry = describe(estate, application, source, hostname=hostname)
    setup.databases.append(entry)
    setup.values |= {entry.source: source} | ({entry.target: target} if entry.target else {})
    if not secret_setting(KEY):
        setup.values[KEY] = secrets.token_hex(32)
        setup.notes.append(f"{KEY} is new. Keep a copy in a secret store.")
    if entry.target:
        setup.notes.append(
            "A worker loads into staging only with APP_ALLOW_PROD_IMPORT=true: add it on staging's side."
        )


def _ask_target(
    answers: Answers, estate: Estate, application: str, source: str, hostname: str | None
) -> tuple[str, str]:
    """Return address and hostname of the staging instance, both empty without one."""

    def tried(text: str) -> str:
        _show(try_target(text, source))
        return text

    name = setting_names(estate, application)[1]
    label = "Address of staging's database (not shown; Enter: none, exports only)"
    held = secret_setting(name) or None
    target = answers.get(label, optional(tried), given=held, option=name, default="", hidden=True)
    if target is None:
        return "", ""
    own = hostname_of(target) or None
    hostname = answers.get(
        f"Hostname of the staging instance, which people type to confirm{f' (Enter: {own})' if own else ''}",
        lambda text: describe(estate, application, source, hostname=text).hostname or "",
        given=hostname,
        option="--hostname",
        default=own,
    )
    return target, hostname


def _tried_source(text: str) -> str:
    _show(try_source(text))
    return text


def _show(findings: Sequence[object]) -> None:
    for finding in findings:
        passed, detail = getattr(finding, "passed", None), getattr(finding, "detail", "")
        print_aside((Good if passed else Caution)(detail))


def ask_leads(answers: Answers, setup: SetUp, given: Sequence[str], *, codes: bool) -> None:
    """Enrol people until two can approve. `given`: each like `Anna Lead <anna@example.org> anna.pub`."""
    for text in given:
        found = _lead(text)
        if plain_name(found["name"]) in map(plain_name, (lead.name for lead in setup.leads.everybody)):
            setup.notes.append(f"{found['name']} is enrolled already.")
        else:
            _enrol(setup, found["name"], found["email"], found["key"], codes=codes)
    for number in range(len(setup.leads.names), len(NUMBERS)):
        needed = number == 0
        label = f"{NUMBERS[number]} lead, who may approve, like Anna Lead <anna@example.org>"
        lead = answers.get(
            label if needed else f"{label} (Enter: later)",
            _lead if needed else optional(_lead),
            option="--lead",
            default=None if needed else "",
        )
        if lead is None:
            setup.notes.append("A red plan needs two people: `understudy leads enrol` adds the second one.")
            return
        without = "Enter: one-time codes only" if codes else "needed, because of --no-codes"
        answers.get(
            f"SSH public key of {lead['name']}: a .pub file, or the line of a passkey ({without})",
            lambda text, lead=lead: _enrol(setup, lead["name"], lead["email"], text, codes=codes),  # type: ignore[misc]  # mypy infers no type for a default of a lambda
            option="--lead 'NAME <EMAIL> FILE.pub'",
            given=lead["key"] or None,
            default="",
        )


def _lead(text: str) -> dict[str, str]:
    found = LEAD.fullmatch(text.strip())
    if found is None:
        raise Misconfigured(
            f"{text!r} is not a name with an e-mail address.", next_step="Expected Anna Lead <anna@example.org>."
        )
    return found.groupdict()


def _enrol(setup: SetUp, name: str, address: str, proof: str, *, codes: bool) -> None:
    """Add a lead with a key, the line of a passkey, or codes alone."""
    if not proof and not codes:
        raise Misconfigured(
            f"{name} would have nothing to prove an answer with; expected a key, a passkey or codes.",
            next_step="Name the file of a public key, or leave out --no-codes.",
        )
    passkey = proof if proof.lstrip("- ").startswith("{") else ""
    key = read_key(Path(proof)) if proof and not passkey else ""
    setup.leads, made = enrolled(setup.leads, name=name, email=address, key=key, passkey=passkey, codes=codes)
    setup.enrolments.append(made)


def ask_server(answers: Answers, setup: SetUp, given: str | None) -> str:
    """Return the address of the Prefect server: the given or configured one, or one that is asked for."""
    held = os.environ.get(VARIABLE) or get_current_settings().api.url
    address = answers.get(
        f"Address of the Prefect server (Enter: {LOCAL_SERVER})",
        lambda text: prefect_address(VARIABLE, text),
        given=given or held or None,
        option="--server",
        default=LOCAL_SERVER,
    )
    setup.values[VARIABLE] = address
    return address


def server_responds(address: str) -> bool:
    """Return whether the Prefect server responds now, and report why if it does not."""
    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        failed = client.api_healthcheck()
    if failed is None:
        return True
    print_aside(Caution(f"{unreachable(address, failed).message} Start it, for example with `prefect server start`."))
    return False
