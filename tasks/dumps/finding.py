"""Finding dumps, and removing one that failed, in any folder that fsspec reaches."""

import re
from pathlib import Path

import fsspec

from tasks.estate.errors import NotFound

NAME = r"{}-export-(\d{{8}}-\d{{6}})\.json(\.gz|\.zst)?(\.age)?"


def newest_dump(folder: str, app: str) -> str:
    """The address of the newest dump of an application, by the time in its name. Raises `NotFound`."""
    system, path = fsspec.core.url_to_fs(folder)
    pattern = re.compile(NAME.format(re.escape(app)))
    names = [str(each) for each in system.ls(path, detail=False)] if system.exists(path) else []
    dumps = {found[1]: name for name in names if (found := pattern.fullmatch(name.rsplit("/", 1)[-1]))}
    if not dumps:
        raise NotFound(
            f"There is no dump of {app!r} in {Path(folder).name or folder}; expected {app}-export-….json.gz.",
            next_step="Run `anonymize` first, or name a dump by its path or URL.",
        )
    newest = dumps[max(dumps)]
    return system.unstrip_protocol(newest) if "://" in folder else newest


def removed(url: str) -> str:
    """Remove a dump, and return a sentence that says whether that was possible."""
    system, path = fsspec.core.url_to_fs(url)
    name = path.rsplit("/", 1)[-1]
    try:
        if not system.exists(path):
            return f"The dump {name} is gone."
        system.rm(path)
    except OSError as error:
        return f"The dump {name} could NOT be removed ({type(error).__name__}): remove it."
    return f"The dump {name} was removed."
