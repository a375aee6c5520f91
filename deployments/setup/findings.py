"""What a set-up found out, and every file that follows from it, with its old and new text."""

from dataclasses import dataclass, field
from pathlib import Path

from deployments.setup.changes import FileChange, current_text
from deployments.setup.environment_file import EnvironmentFile, settings_of_this_shell
from deployments.setup.estate_entries import with_entries
from deployments.setup.worker_unit import unit_text
from tasks.configuration.settings import Settings
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Database, Estate, Site
from tasks.signoff.enrolment import Enrolment, text_of_codes, text_of_leads
from tasks.signoff.leads import Leads
from tasks.signoff.standing import load_standing


@dataclass
class SetUp:
    """What was found out. `values` are new settings of the environment file; `notes` are shown at the end."""

    leads: Leads
    sites: list[Site] = field(default_factory=list)
    databases: list[Database] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    enrolments: list[Enrolment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def changes_of(setup: SetUp, settings: Settings, environment: EnvironmentFile, unit: Path | None) -> list[FileChange]:
    """Return every file with its old and new text."""
    estate_text = current_text(settings.estate_file)
    estate_after = with_entries(estate_text or "", settings.estate_file, sites=setup.sites, databases=setup.databases)
    found = []
    if estate_text is not None or estate_after:
        found.append(FileChange(settings.estate_file, estate_text, estate_after, 0o644))
    if setup.enrolments:
        leads_text = current_text(settings.leads_file)
        found.append(
            FileChange(settings.leads_file, leads_text, text_of_leads(setup.leads, settings.leads_file), 0o644)
        )
    if secrets := [made.lead.name for made in setup.enrolments if made.secret]:
        lines = tuple(f"+secret for one-time codes: {name}" for name in secrets)
        codes_file = settings.codes_file.expanduser()
        found.append(FileChange(codes_file, current_text(codes_file), text_of_codes(setup.leads), 0o600, lines))
    found.append(_environment_change(setup, environment))
    if unit is not None and not unit.exists():
        found.append(FileChange(unit, None, unit_text(environment.path.resolve()), 0o644))
    return found


def _environment_change(setup: SetUp, environment: EnvironmentFile) -> FileChange:
    named = tuple(name for each in setup.databases for name in (each.source, each.target) if name)
    of_shell = {name: value for name, value in settings_of_this_shell(named).items() if name not in environment.values}
    # What is in a file stays there: a value and a file of one setting are refused.
    new = {name: value for name, value in setup.values.items() if f"{name}_FILE" not in of_shell | environment.values}
    wanted = {name: value for name, value in (of_shell | new).items() if environment.values.get(name) != value}
    lines = tuple(f"{'~' if name in environment.values else '+'}{name}" for name in wanted)
    before = current_text(environment.path)
    after = environment.with_values(wanted) if wanted else environment.text
    return FileChange(environment.path, before, after, 0o600, lines)


def foreign_standing(path: Path, setup: SetUp, estate: Estate) -> list[str]:
    """Return a note about standing approvals of pairs that nobody described, like the examples of the project, or a wrong file."""
    try:
        entries = load_standing(path)
    except Misconfigured as wrong:  # a set-up needs none
        return [wrong.message]
    sites, databases = (*estate.sites, *setup.sites), (*estate.databases, *setup.databases)
    known = {(site.production, name) for site in sites for name in site.lower}
    known |= {(each.application, each.hostname or "") for each in databases}
    others = [
        f"{each.source} to {each.destination}" for each in entries if (each.source, each.destination) not in known
    ]
    if not others:
        return []
    listed = ", ".join(others)
    return [
        f"The standing approvals have entries that the estate does not describe: {listed}. Remove them if they are not yours."
    ]
