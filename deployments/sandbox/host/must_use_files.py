"""The must-use plugins of an emulated install: files that `wp eval` writes, and what the web side does because of them.

PHP is not interpreted. A file is understood by its name and by the JSON in it. The web side sees a changed file some seconds
later than the command line, as at the host.
"""

import base64
import hashlib
import json
import re
from typing import Any

Document = dict[str, Any]
DELAY = 5.0  # of the host's seconds, until the web side sees a changed file
FACTS = re.compile(r'base64_decode\("([A-Za-z0-9+/=]+)"\)')
NAME = re.compile(r"/understudy-([a-z-]+)\.php")
CONTENT = re.compile(r'file_put_contents\("\$f\.new", base64_decode\("([A-Za-z0-9+/=]*)"\)\)')
# What a new process evaluates → the part that it asks about.
LOADED = {
    'echo defined("UNDERSTUDY_KEEPS_OUT") ? "yes" : "no";': "keep-out",
    'echo defined("UNDERSTUDY_STOPS_MAIL") && has_filter("pre_wp_mail") ? "yes" : "no";': "mail",
    'echo defined("UNDERSTUDY_HIDES") ? "yes" : "no";': "search",
    'echo has_action("wp_footer") && is_file(WPMU_PLUGIN_DIR . "/understudy-banner.php") ? "yes" : "no";': "banner",
}


def evaluate(install: Document, code: str, now: float) -> str | None:
    """Return what a piece of PHP about must-use plugins prints, or None if it is about something else."""
    files = install["files"].setdefault("must_use", {})
    if code in LOADED:
        return "yes" if facts_of(install, LOADED[code]) is not None else "no"
    if "glob(WPMU_PLUGIN_DIR" in code:
        return ",".join(f"understudy-{part}.php" for part, file in sorted(files.items()) if file["text"])
    named = NAME.search(code)
    if named is None:
        return None
    part, present = named[1], _text(install, named[1])
    written = CONTENT.search(code)
    if written:
        present = base64.b64decode(written[1]).decode()
        files[part] = {"text": present, "before": _text(install, part), "since": now}
    elif "unlink(" in code:
        if present:
            files[part] = {"text": "", "before": present, "since": now}
        return "1" if present else "0"
    return hashlib.sha256(present.encode()).hexdigest() if present else "absent"


def _text(install: Document, part: str) -> str:
    return str(install["files"].get("must_use", {}).get(part, {}).get("text", ""))


def facts_of(install: Document, part: str, *, before: float | None = None) -> Document | None:
    """Return the facts in the file of a part, or None if it is absent or written for another install.

    `before`: only what was written before this time, as the web side sees it.
    """
    file = install["files"].get("must_use", {}).get(part)
    if file is None:
        return None
    text = file["text"] if before is None or file["since"] <= before else file["before"]
    found = FACTS.search(text)
    if found is None:
        return None
    facts: Document = json.loads(base64.b64decode(found[1]))
    return facts if facts["install"] == install["name"] else None


def seen_by_visitors(install: Document, part: str, now: float, scale: float, later: float = 0.0) -> Document | None:
    """Return the facts of a part that the web side sees now. `later`: more of the host's seconds of delay."""
    return facts_of(install, part, before=now - (DELAY + later) * scale)
