"""The value of a setting that may be a secret: from the environment, or from a file that `NAME_FILE` names."""

import os
from pathlib import Path

from tasks.estate.errors import Misconfigured

LARGEST = 65536  # bytes; a longer file is not a password, an address or a key


def secret_setting(name: str) -> str:
    """Return the value of `NAME`, or the content of the file that `NAME_FILE` names, without line ends; "" without either.

    Raise `Misconfigured` if both are set, because they may differ, or if the file cannot be read or is empty.
    """
    value, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if value and path:
        raise Misconfigured(
            f"{name} and {name}_FILE are both set; expected one of them. Neither value is shown.",
            next_step="Remove one of the two environment variables on the worker.",
        )
    return _content(name, Path(path)) if path else value


def _content(name: str, path: Path) -> str:
    found = ""
    try:
        with path.open(encoding="utf-8") as file:
            content = file.read(LARGEST + 1).strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        found = f"cannot be read: {type(error).__name__}"
    else:
        found = "is empty" if not content else "is longer than a secret" if len(content) > LARGEST else ""
    if found:  # raised here, so that the path's own error is not its context
        raise Misconfigured(
            f"The file that {name}_FILE names {found}; expected the value of {name} as its only content.",
            next_step=f"Correct the file, or the variable {name}_FILE, on the worker.",
        )
    return content
