"""The reviewed file that describes the estate, `deployments/estate.yaml`: read it, and report all of its mistakes at once.

A missing file describes nothing: the worker's own settings name its one account and its one database, as before there was a
file. A wrong file is never read in part.
"""

import difflib
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tasks.configuration.yaml_positions import Fault, Place, PositionedYaml, entries
from tasks.estate.dumps import RISK_PHRASE
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import AfterCopy, Database, Estate, HostingAccount, Nightly, Site, SiteLogin, SiteNight
from tasks.estate.nightly_windows import Window
from tasks.estate.recipes import PROTECTING, CopyStep, Mail, Staff

MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Estate,
    ("accounts",): HostingAccount,
    ("sites",): Site,
    ("sites", "login"): SiteLogin,
    ("sites", "after_copy"): AfterCopy,
    ("sites", "after_copy", "mail"): Mail,
    ("sites", "after_copy", "staff"): Staff,
    ("sites", "nightly"): SiteNight,
    ("sites", "nightly", "window"): Window,
    ("databases",): Database,
    ("databases", "nightly"): Nightly,
    ("databases", "nightly", "window"): Window,
    ("after_copy",): AfterCopy,
    ("after_copy", "mail"): Mail,
    ("after_copy", "staff"): Staff,
}
# Settings that have a meaning of their own, and the only key that may name them. Any other use is a mistake that would send
# a secret to the wrong place.
OWN_MEANING = {
    "UNDERSTUDY_API_USER": ("accounts", "user"),
    "UNDERSTUDY_API_PASSWORD": ("accounts", "password"),
    "UNDERSTUDY_SOURCE_DATABASE": ("databases", "source"),
    "UNDERSTUDY_TARGET_DATABASE": ("databases", "target"),
    "UNDERSTUDY_MASKING_KEY": (),
    "UNDERSTUDY_DUMP_IDENTITY": (),
    "UNDERSTUDY_SITE_LOGINS": (),
    "UNDERSTUDY_SSH_KEY": (),
    "UNDERSTUDY_NOTICES": (),
    "UNDERSTUDY_LEDGER_URL": (),
}
SETTINGS = ("user", "password", "source", "target")  # their value is the name of a setting; any other is never shown
ROLES = ("production", "staging", "development")
# What is shown of a wrong value: an address, which may contain a password, does not match.
HARMLESS = re.compile(r"[\w .+-]{1,60}")
TIMES_AND_ZONES = re.compile(r"[\w .+/:-]{1,40}")
NEXT_STEP = "Nothing was started or overwritten. Correct the file, have it reviewed, and start again."
SET_IT = "Write a name here, and its value where the worker starts: in the environment, or in a file whose path NAME_FILE holds."


def load_estate(path: Path) -> Estate:
    """Return what the file describes; nothing if there is no file. Raise `Misconfigured` with every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Estate()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {type(error).__name__}.", next_step=NEXT_STEP) from error
    return parse_estate(text, path)


@lru_cache(maxsize=4)  # a run reads the file in many steps; it changes between two of them only if somebody edits it
def parse_estate(text: str, path: Path) -> Estate:
    """Return what a text describes that was read from `path`. Raise `Misconfigured` with every mistake in it."""
    read = PositionedYaml(text)
    faults = list(read.faults)
    estate = Estate()
    if not any(fault.what == "the file" for fault in faults):
        try:
            estate = Estate.model_validate({} if read.content is None else read.content)
        except ValidationError as error:
            faults += [_fault(read, each) for each in error.errors(include_url=False)]
        faults += [fault for check in CHECKS for fault in check(read)]
    if faults:
        count = "1 mistake" if len(faults) == 1 else f"{len(faults)} mistakes"
        listed = "\n".join(map(str, sorted(set(faults))))
        raise Misconfigured(f"{path} has {count}:\n{listed}", next_step=NEXT_STEP)
    return estate


def _fault(read: PositionedYaml, error: ErrorDetails) -> Fault:
    """Return a mistake that pydantic found, in the words of the field's description."""
    place = error["loc"]
    model = MODELS.get(_keys(place[:-1]), Estate)
    key = str(place[-1]) if place else ""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, _fields(model), n=1)
        remedy = f"Is {near[0]} meant? Rename the key, or remove it." if near else "Rename the key, or remove it."
        expected = f"one of {', '.join(_fields(model))}"
        return read.fault(place, found="an unknown key", expected=expected, remedy=remedy)
    if error["type"] == "missing":
        expected = _expected(place, model, key)
        return read.fault(place, found="no such key", expected=expected, remedy="Add it to this entry.")
    return read.fault(
        place, found=_shown(error["input"], key), expected=_expected(place, model, key), remedy=_remedy(key)
    )


def _keys(place: Place) -> tuple[str, ...]:
    return tuple(step for step in place if isinstance(step, str))


def _expected(place: Place, model: type[BaseModel], key: str) -> str:
    if place and isinstance(place[-1], int):  # an entry of a list
        owner, key = MODELS.get(_keys(place)), _keys(place)[-1]
        if owner is not None:
            return f"a mapping with {', '.join(_fields(owner))}"
        return f"one of {', '.join(CopyStep)}" if key == "off" else "a name"
    if not place:
        return f"a mapping with {', '.join(_fields(Estate))}"
    field = _fields(model).get(key)
    return field.description or key if field else key


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of an entry by the keys of the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _remedy(key: str) -> str:
    return SET_IT if key in SETTINGS else "Correct the value."


def _shown(value: object, key: str) -> str:
    """Return what was found, without a value that may be a secret."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, dict):
        return f"the same time twice, {value.get('from')}" if key == "window" else "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value)
    harmless = TIMES_AND_ZONES if key in ("from", "to", "zone") else HARMLESS
    if key in SETTINGS or not harmless.fullmatch(text):
        return "a value that is not shown, because it may be secret"
    return repr(text)


def _double_installs(read: PositionedYaml) -> Iterator[Fault]:
    """Yield each install that has two places. One that is production somewhere must never be a destination elsewhere."""
    seen: dict[str, tuple[str, str, int]] = {}
    for number, site in entries(read.content, "sites"):
        for role in ROLES:
            install, place = site.get(role), ("sites", number, role)
            if not isinstance(install, str):
                continue
            if install not in seen:
                seen[install] = (str(site.get("name")), role, read.position(place)[0])
                continue
            other, earlier, line = seen[install]
            found = f"{install}, which is the {earlier} install of {other} in line {line}"
            mixed = "production" in (role, earlier) and role != earlier
            expected = "an install that is production nowhere" if mixed else "an install that is named once"
            yield read.fault(
                place, found=found, expected=expected, remedy="Look at the host's User Portal which is right."
            )


def _double_names(read: PositionedYaml) -> Iterator[Fault]:
    """Yield each name that must be unique and is not: of accounts, sites and databases, and what belongs to one database."""
    for section, key in (
        ("accounts", "name"), ("sites", "name"), ("databases", "name"), ("databases", "policy"), ("databases", "hostname"),
        ("databases", "target"),
    ):  # fmt: skip
        seen: dict[str, int] = {}
        for number, entry in entries(read.content, section):
            value, place = entry.get(key), (section, number, key)
            if not isinstance(value, str):
                continue
            if value.casefold() in seen:
                found = f"the same {key} as in line {seen[value.casefold()]}"
                yield read.fault(place, found=found, expected=f"a {key} of its own", remedy="Change one of them.")
            seen.setdefault(value.casefold(), read.position(place)[0])


def _unknown_accounts(read: PositionedYaml) -> Iterator[Fault]:
    """Yield each site whose account is not listed, or that names none of several."""
    listed = [str(account.get("name")) for _, account in entries(read.content, "accounts")]
    known = f"one of {', '.join(listed)}" if listed else "no account, because the file lists none"
    for number, site in entries(read.content, "sites"):
        account, place = site.get("account"), ("sites", number, "account")
        if isinstance(account, str) and account not in listed:
            remedy = "Correct the name, or add the account under accounts."
            yield read.fault(place, found=_shown(account, "account"), expected=known, remedy=remedy)
        elif account is None and len(listed) > 1:
            yield read.fault(place, found="no account", expected=known, remedy="Add the key `account`.")


def _incomplete_nights(read: PositionedYaml) -> Iterator[Fault]:
    """Yield each nightly run without a destination, and each database of which only one half of the target is described."""
    for number, site in entries(read.content, "sites"):
        nightly = site.get("nightly")
        destination = nightly.get("destination", "staging") if isinstance(nightly, dict) else None
        if destination in ROLES[1:] and not site.get(str(destination)):
            place = ("sites", number, "nightly")
            found = f"a nightly refresh of {destination}, and no {destination} install"
            yield read.fault(place, found=found, expected="an install to refresh", remedy=f"Add the key {destination}.")
    for number, database in entries(read.content, "databases"):
        missing = [key for key in ("target", "hostname") if not database.get(key)]
        wanted = "nightly" in database or len(missing) == 1
        for key in missing if wanted else ():
            expected = Database.model_fields[key].description or key
            yield read.fault(("databases", number, key), found="no such key", expected=expected, remedy="Add it.")


def _misused_settings(read: PositionedYaml) -> Iterator[Fault]:
    """Yield each place that names a setting which is for something else, and each pair that has only one setting."""
    for section in ("accounts", "sites", "databases"):
        for number, entry in entries(read.content, section):
            login = entry.get("login")
            for place, holder in (((section, number), entry), ((section, number, "login"), login)):
                if isinstance(holder, dict):
                    yield from _misused(read, place, holder)


def _misused(read: PositionedYaml, place: Place, holder: dict[str, Any]) -> Iterator[Fault]:
    named = {key: holder[key] for key in SETTINGS if isinstance(holder.get(key), str)}
    for key, setting in named.items():
        if setting in OWN_MEANING and OWN_MEANING[setting] != (*_keys(place), key):
            found = f"{setting}, which has another purpose"
            expected = "the name of a setting for this purpose alone"
            yield read.fault((*place, key), found=found, expected=expected, remedy=SET_IT)
    first, *others = named or [""]
    for key in others:
        if named[key] == named[first]:
            found = f"the same setting as {first}"
            yield read.fault((*place, key), found=found, expected="another setting", remedy="Change one of them.")


def _unprotected(read: PositionedYaml) -> Iterator[Fault]:
    """Yield each recipe that switches off a step which protects people's data, without the risk phrase."""
    sites = [(("sites", number), site) for number, site in entries(read.content, "sites")]
    file: list[tuple[Place, Any]] = [((), read.content)] if isinstance(read.content, dict) else []
    for place, holder in (*file, *sites):
        recipe = holder.get("after_copy")
        if not isinstance(recipe, dict) or recipe.get("risk_phrase") == RISK_PHRASE:
            continue
        off = recipe["off"] if isinstance(recipe.get("off"), list) else []
        for number, step in enumerate(off):
            if step in PROTECTING:
                found = f"{step}, which protects people's data, without the risk phrase"
                remedy = (
                    f"Remove it, or add risk_phrase: {RISK_PHRASE} if production's people may be reached from there."
                )
                yield read.fault(
                    (*place, "after_copy", "off", number), found=found, expected="this step on", remedy=remedy
                )


CHECKS: tuple[Callable[[PositionedYaml], Iterator[Fault]], ...] = (
    _double_installs, _double_names, _unknown_accounts, _incomplete_nights, _misused_settings, _unprotected,
)  # fmt: skip
