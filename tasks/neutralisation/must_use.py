"""Our must-use plugins on an install: written, read back and removed by `wp eval`.

WordPress loads every PHP file of `wp-content/mu-plugins` before all plugins, and nobody can switch one off in wp-admin. Each
part is one file, `understudy-<part>.php`. A file contains the name of its install and does nothing on another one of the host,
so that a promotion that copies it does not stop production's e-mails.
"""

import base64
import hashlib
import json
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tasks.estate.errors import Unreachable
from tasks.wpcli.commands import Command
from tasks.wpcli.wordpress import QUIET

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

PLACE = "__UNDERSTUDY_FACTS__"  # in each PHP file: where its facts are put, as JSON in base64
# The only PHP that is sent. What is put in for %s has an alphabet of letters, digits, +, /, = and -.
WRITE = (
    '$d = WPMU_PLUGIN_DIR; if (!is_dir($d)) { mkdir($d, 0755, true); } $f = "$d/understudy-%s.php"; '
    'file_put_contents("$f.new", base64_decode("%s")); rename("$f.new", $f); echo hash_file("sha256", $f);'
)
READ = '$f = WPMU_PLUGIN_DIR . "/understudy-%s.php"; echo is_file($f) ? hash_file("sha256", $f) : "absent";'
REMOVE = '$f = WPMU_PLUGIN_DIR . "/understudy-%s.php"; $n = is_file($f) ? 1 : 0; if ($n) { unlink($f); } echo $n;'
LIST = 'echo implode(",", array_map("basename", glob(WPMU_PLUGIN_DIR . "/understudy-*.php") ?: []));'


class Part(StrEnum):
    """A must-use plugin of ours: the name of its PHP file."""

    KEEP_OUT = "keep-out"
    MAIL = "mail"
    JOBS = "jobs"
    SEARCH = "search"
    BANNER = "banner"


@cache
def _template(part: Part) -> str:
    return files("tasks.neutralisation").joinpath("php", f"{part.value}.php").read_text(encoding="utf-8")


def content(part: Part, install: str, **facts: Any) -> bytes:
    """Return the file of a part for an install, with its facts."""
    text = json.dumps({"install": install, **facts}, sort_keys=True)
    return _template(part).replace(PLACE, base64.b64encode(text.encode()).decode()).encode()


class MustUse:
    """The must-use plugins of one install. Methods raise as `Connection.run`."""

    def __init__(self, connection: "Connection") -> None:
        self._run = connection.run

    def is_written(self, part: Part, file: bytes) -> bool:
        """Return whether the install has exactly this file."""
        return self._evaluate(READ % part.value) == hashlib.sha256(file).hexdigest()

    def write(self, part: Part, file: bytes) -> None:
        """Write the file. Raise `Unreachable` if it does not have this content afterwards."""
        written = self._evaluate(WRITE % (part.value, base64.b64encode(file).decode()))
        if written != hashlib.sha256(file).hexdigest():
            raise Unreachable(f"wp eval: the must-use plugin {part.value} was not written completely.")

    def remove(self, part: Part) -> int:
        """Remove the file, and return how many files were removed: 0 or 1."""
        return 1 if self._evaluate(REMOVE % part.value) == "1" else 0

    def present(self) -> tuple[str, ...]:
        """Return the names of our files, whatever their content is."""
        return tuple(name for name in self._evaluate(LIST).split(",") if name)

    def _evaluate(self, code: str) -> str:
        return self._run(Command(("eval",), (code,), QUIET)).last_line
