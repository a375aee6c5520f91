"""`ledger`: verify the hash chain, show its head, export it. Reads the ledger of the settings and never writes to it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from deployments.cli.output import Alert, Result, command, new_group
from tasks.configuration.settings import load_settings
from tasks.estate.errors import Misconfigured, Unreachable
from tasks.ledger.ledger import Ledger, verify_export

TAIL = (
    "A tail that was cut off, or a chain that was rebuilt, is not found this way: use --anchor with a head that was stored "
    "elsewhere. Every notice contains one."
)

group = new_group("The ledger: who requested, who approved, and with which outcome.")


@command(group, "verify")
def verify(
    anchor: Annotated[
        str | None, typer.Option("--anchor", metavar="SEQ:HASH", help="A head that was stored elsewhere.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="An export to verify instead of the ledger itself.")
    ] = None,
) -> Result:
    """Verify the hash chain. Exit with 1 if it is broken, or does not contain the anchor."""
    if file is None:
        with open_existing_ledger() as ledger:
            problems, where = ledger.verify(anchor), "The ledger"
    else:
        problems, where = _of_export(file, anchor), str(file)
    document = {"problems": problems, "anchored": anchor is not None}
    if problems:
        return Result(document, [Alert(f"{where} is broken."), *map(Alert, problems)], failed=True)
    held = "is whole, and contains the anchor." if anchor else "is intact, as far as it can be verified."
    return Result(document, [f"{where} {held}", *([] if anchor else [TAIL])])


@command(group, "head")
def head() -> Result:
    """Show the newest fact's number and hash: store it elsewhere, as an anchor for `ledger verify`."""
    with open_existing_ledger() as ledger:
        newest = ledger.head()
    return Result({"head": str(newest) if newest else None}, [str(newest) if newest else "The ledger is empty."])


@command(group, "export")
def export(
    file: Annotated[Path | None, typer.Argument(help="New file for the export; by default standard output.")] = None,
) -> Result:
    """Write every fact as a line of JSON, which `ledger verify --file` verifies on any machine."""
    with open_existing_ledger() as ledger:
        if file is None:
            lines = list(ledger.export())
            return Result({"facts": [json.loads(line) for line in lines]}, lines)
        count = _write(file, ledger.export())
        newest = ledger.head()
    anchor = str(newest) if newest else None
    return Result(
        {"file": str(file), "facts": count, "head": anchor}, [f"{count} facts are in {file}. Head: {anchor or 'none'}"]
    )


@contextmanager
def open_existing_ledger() -> Iterator[Ledger]:
    """Open the ledger of the settings. Raise `Misconfigured` if it does not exist: opening it would create an empty one."""
    url = load_settings().ledger_url
    path = _file_of(url)
    if path is not None and not path.exists():
        raise Misconfigured(
            f"There is no ledger at {path}.",
            next_step="Run this where the worker runs, with its UNDERSTUDY_LEDGER_URL; or verify an export with --file.",
        )
    try:
        yield Ledger(url)
    except SQLAlchemyError as error:
        raise Unreachable(
            f"The ledger's database cannot be read ({type(error).__name__}).",
            next_step="Check UNDERSTUDY_LEDGER_URL and that its server answers.",
        ) from None  # its message may contain the address with a password


def _file_of(url: str) -> Path | None:
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None  # the ledger itself reports what is wrong
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _of_export(file: Path, anchor: str | None) -> list[str]:
    try:
        with file.open(encoding="utf-8") as lines:
            return verify_export((line.rstrip("\n") for line in lines), anchor)
    except (OSError, UnicodeDecodeError) as error:
        raise _not_a_file(file, error) from error


def _write(file: Path, lines: Iterator[str]) -> int:
    count = 0
    try:
        with file.open("x", encoding="utf-8") as out:
            file.chmod(0o600)  # only its owner may read who approved what
            for line in lines:
                out.write(f"{line}\n")
                count += 1
    except OSError as error:
        raise _not_a_file(file, error) from error
    return count


def _not_a_file(file: Path, error: Exception) -> Misconfigured:
    found: dict[str, Any] = {"FileExistsError": "already exists", "FileNotFoundError": "does not exist"}
    why = found.get(type(error).__name__, f"cannot be used ({type(error).__name__})")
    return Misconfigured(f"{file} {why}.", next_step="Nothing was changed. Name another file.")
