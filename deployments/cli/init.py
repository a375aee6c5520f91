"""`init`: from nothing to a worker that can refresh a site: the estate, the settings, the unit of the worker, and two leads."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.bootstrap import WrongPool, bootstrap
from deployments.cli.answers import Answers
from deployments.cli.deploy import deploy
from deployments.cli.init_prompts import (
    ask_account,
    ask_database,
    ask_leads,
    ask_notify,
    ask_server,
    ask_sites,
    server_responds,
)
from deployments.cli.leads import secret_lines
from deployments.cli.output import INTERRUPTED, Caution, Good, NoResult, Result, print_aside
from deployments.prefect_server import connected
from deployments.setup.changes import FileChange, require_project, require_writable, signals_held, write_together
from deployments.setup.environment_file import EnvironmentFile, environment_with
from deployments.setup.findings import SetUp, changes_of, foreign_standing
from deployments.setup.hosting import OWN, differences, new_sites
from deployments.setup.worker_unit import NAME
from tasks.configuration.estate_file import load_estate
from tasks.configuration.settings import load_settings
from tasks.estate.errors import Misconfigured, Refused, UnderstudyError
from tasks.estate.estate import Estate, HostingAccount
from tasks.signoff.leads import load_leads

SYSTEMD = sys.platform == "linux"
SIGNS = {"created": "+", "changed": "~"}
UNITS = Path("~/.config/systemd/user", NAME)  # where a user's systemd looks for units

Account = Annotated[
    str | None, typer.Option("--account", help="Name of the account, if the estate lists several.", show_default=False)
]
WithoutAccount = Annotated[bool, typer.Option("--no-account", help="Set up databases only, without a hosting account.")]
Sites = Annotated[
    list[str] | None,
    typer.Option("--site", help="Site by its name or production install; all; none. May be repeated."),
]
Notify = Annotated[str | None, typer.Option("--notify", help="E-mail address that the host notifies.")]
Application = Annotated[
    str | None, typer.Option("--application", help="Name of the database's application, as in its masking policy.")
]
Hostname = Annotated[str | None, typer.Option("--hostname", help="Hostname of staging's database, which people type.")]
NewLeads = Annotated[
    list[str] | None,
    typer.Option("--lead", help="Lead to enrol: 'Anna Lead <anna@example.org> anna.pub'. May be repeated."),
]
Codes = Annotated[
    bool, typer.Option("--codes/--no-codes", help="Create secrets for one-time codes of the leads, or enrol keys only.")
]
ShowSecret = Annotated[
    bool, typer.Option("--show-secret", help="Show the leads' secrets even if the output is not a terminal.")
]
Address = Annotated[str | None, typer.Option("--server", help="Address of Prefect's API, which ends in /api.")]
EnvFile = Annotated[Path, typer.Option("--environment-file", help="File for the worker's settings and secrets.")]
Unit = Annotated[Path, typer.Option("--unit", help="File for the systemd unit of the worker.")]
WithoutUnit = Annotated[bool, typer.Option("--no-unit", help="Write no unit.")]
Deploy = Annotated[
    bool | None,
    typer.Option("--deploy/--no-deploy", help="Prepare Prefect's server and write the deployments at the end."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Write the files without asking.")]


def init(
    account: Account = None,
    no_account: WithoutAccount = False,
    site: Sites = None,
    notify: Notify = None,
    application: Application = None,
    hostname: Hostname = None,
    lead: NewLeads = None,
    codes: Codes = True,
    show_secret: ShowSecret = False,
    server: Address = None,
    environment_file: EnvFile = Path("~/.understudy/worker.env"),
    unit: Unit = UNITS,
    no_unit: WithoutUnit = False,
    prepare: Deploy = None,
    yes: Yes = False,
) -> Result:
    """Set up a worker for your own account: ask for what is missing, check it at once, and write it after you agree.

    It writes the estate, the leads, the environment file with mode 0600, and a systemd unit of the user. May be repeated: it
    keeps what is there, shows every difference, and asks before it writes. Secrets are typed, or come from the environment
    (UNDERSTUDY_API_USER, UNDERSTUDY_API_PASSWORD, UNDERSTUDY_SOURCE_DATABASE, UNDERSTUDY_TARGET_DATABASE, or their
    …_FILE), never from options. Run it in the project's folder, as the user of the worker.
    """
    answers = Answers()
    if codes and not show_secret and not (answers.on_terminal and sys.stderr.isatty()):
        raise typer.BadParameter(
            "Nobody would see the secrets of the leads: run this in a terminal, or use --show-secret or --no-codes."
        )
    files = _Files(EnvironmentFile(environment_file), unit.expanduser() if SYSTEMD and not no_unit else None)

    def ask(setup: SetUp, estate: Estate) -> str:
        if not no_account:
            _ask_about_sites(answers, setup, estate, _account(answers, estate, account), site or (), notify)
        described = [each.application for each in estate.databases]
        if application not in described if application else not described:
            ask_database(answers, setup, estate, application, hostname)
        ask_leads(answers, setup, lead or (), codes=codes)
        return ask_server(answers, setup, server)

    try:
        return _set_up(answers, files, ask, agreed=yes, as_document=show_secret, prepare=prepare)
    except KeyboardInterrupt:
        step = "The files are written together at the end: none of them was, or all were. It can be repeated."
        raise NoResult("Interrupted.", step, INTERRUPTED) from None


def _set_up(
    answers: Answers,
    files: "_Files",
    ask: Callable[[SetUp, Estate], str],
    *,
    agreed: bool,
    as_document: bool,
    prepare: bool | None,
) -> Result:
    """Ask, show every difference, write, and offer to prepare Prefect. `ask` returns the address of Prefect's server."""
    environment = files.environment
    with environment_with(environment.values):
        settings = load_settings()
        require_project([settings.estate_file, settings.leads_file])
        written = (settings.estate_file, settings.leads_file, settings.codes_file, environment.path, files.unit)
        require_writable([path for path in written if path is not None])
        estate = load_estate(settings.estate_file)
        setup = SetUp(load_leads(settings.leads_file, settings.codes_file))
        address = ask(setup, estate)
        setup.notes += foreign_standing(settings.standing_file, setup, estate)
        changes = changes_of(setup, settings, environment, files.unit)
        _confirm(answers, changes, agreed=agreed)
        with signals_held():  # whoever is enrolled must see the secret
            write_together(changes)
            secrets = _show_secrets(setup, as_document=as_document)
    deployed = _prepare(answers, environment, address, prepare)
    steps = _next_steps(setup, estate, files, deployed=deployed)
    return _result(answers, setup, changes, secrets, steps)


@dataclass(frozen=True)
class _Files:
    """The files of the worker, which settings do not name. `unit` is None if none is written."""

    environment: EnvironmentFile
    unit: Path | None


def _account(answers: Answers, estate: Estate, name: str | None) -> HostingAccount:
    """Return the account to log in to: that of the worker's own settings, or one of the estate's."""
    if not estate.accounts:
        return OWN
    names = {each.name: each for each in estate.accounts}

    def find(text: str) -> HostingAccount:
        if text not in names:
            listed = ", ".join(names)
            raise Misconfigured(f"The estate lists no account {text!r}.", next_step=f"Expected one of {listed}.")
        return names[text]

    only = next(iter(names)) if len(names) == 1 else None
    label = f"Account ({', '.join(names)})"
    return answers.get(label, find, given=name or only, option="--account")


def _ask_about_sites(
    answers: Answers, setup: SetUp, estate: Estate, account: HostingAccount, chosen: Sequence[str], notify: str | None
) -> None:
    settings = load_settings()
    listed = ask_account(answers, setup, account, settings.api_url)
    print_aside(Good(f"The login is right. The account lists {len(listed.sites)} sites."))
    setup.notes += [*differences(listed.sites, estate), *(f"Left out: {each}" for each in listed.left_out)]
    ask_sites(answers, setup, new_sites(listed.sites, estate), chosen)
    if len(estate.accounts) > 1:
        setup.sites = [each.model_copy(update={"account": account.name}) for each in setup.sites]
    ask_notify(answers, setup, notify, account.notify or settings.notify)


def _confirm(answers: Answers, changes: Sequence[FileChange], *, agreed: bool) -> None:
    """Show every difference, and raise `Refused` if the person does not agree. Nothing is asked if nothing differs."""
    different = [each for each in changes if each.kind != "kept"]
    for each in different:
        print_aside("", f"{SIGNS[each.kind]} {_short(each.path)}", *(f"    {line}" for line in each.shown))
    if not different:
        return
    print_aside("")
    if not answers.confirm("Write this", option="--yes", given=agreed or None):
        raise Refused("Nothing was written: you did not agree.", next_step="Run the command again for other answers.")


def _show_secrets(setup: SetUp, *, as_document: bool) -> list[dict[str, str]]:
    """Show each new secret once, on the terminal or in the document."""
    made = [each for each in setup.enrolments if each.secret]
    if as_document:
        return [{"name": each.lead.name, "secret": each.secret, "uri": each.uri} for each in made]
    for each in made:
        print_aside("", f"For {each.lead.name} alone:", *secret_lines(each))
    return []


def _prepare(answers: Answers, environment: EnvironmentFile, address: str, prepare: bool | None) -> bool:
    """Offer to prepare the Prefect server and to write the deployments. Return whether it has them now."""
    if prepare is False or not server_responds(address):
        return False
    label = "Prepare Prefect's server and write the deployments now"
    if not answers.confirm(label, option="--deploy", given=prepare, default=answers.on_terminal):
        return False
    try:
        values = EnvironmentFile(environment.path).values
        with environment_with(values), temporary_settings({PREFECT_API_URL: address}), connected() as server:
            print_aside(*bootstrap(server.client))
            print_aside(*deploy().lines)
    except (UnderstudyError, WrongPool) as error:
        print_aside(Caution(f"{error} {getattr(error, 'next_step', '')}".strip()))
        return False
    return True


def _next_steps(setup: SetUp, estate: Estate, files: _Files, *, deployed: bool) -> list[str]:
    """Return the commands that come next, in their order."""
    steps = [f"set -a; . {_short(files.environment.path)}; set +a"]
    if not deployed:
        steps += ["python -m deployments.bootstrap", "understudy deploy"]
    worker = f"systemctl --user daemon-reload && systemctl --user enable --now {NAME}"
    steps += [worker if files.unit is not None else "understudy-worker --pool understudy", "understudy doctor"]
    sites = [*setup.sites, *estate.sites]
    pair = next(((each.production, each.lower[0]) for each in sites if each.lower), None)
    return [*steps, f"understudy run refresh {pair[0]} {pair[1]}"] if pair else steps


def _result(
    answers: Answers,
    setup: SetUp,
    changes: Sequence[FileChange],
    secrets: list[dict[str, str]],
    steps: Sequence[str],
) -> Result:
    document: dict[str, Any] = {
        "files": [{"path": str(each.path), "change": each.kind} for each in changes],
        "sites": [each.name for each in setup.sites],
        "databases": [each.name for each in setup.databases],
        "leads": [each.lead.name for each in setup.enrolments],
        "asked": answers.asked,
        "notes": setup.notes,
        "next": list(steps),
    }
    if secrets:
        document["secrets"] = secrets
    written = [_short(each.path) for each in changes if each.kind != "kept"]
    head = (
        Good(f"Written: {', '.join(written)}.") if written else Good("Everything is set up already; nothing differs.")
    )
    review = ["Have the estate and the leads reviewed, and commit both files."] if written else []
    shown = [f"{each['name']}: {each['secret']}" for each in secrets]
    return Result(
        document,
        [*shown, "", head, *map(Caution, setup.notes), *review, "", "Next:", *(f"  {step}" for step in steps)],
    )


def _short(path: Path) -> str:
    """Return a path as people type it: relative to their home folder or to this one."""
    for base, prefix in ((Path.home(), "~/"), (Path.cwd(), "./")):
        if path.absolute().is_relative_to(base):
            return f"{prefix}{path.absolute().relative_to(base).as_posix()}"
    return str(path)
