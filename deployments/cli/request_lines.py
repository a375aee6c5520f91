"""The facts of a request that waits, as lines for a terminal."""

from deployments.cli.output import Alert, columns
from deployments.open_requests import OpenRequest, facts_of
from tasks.rendering.approval import difference_lines


def fact_lines(request: OpenRequest) -> list[str]:
    """Return the same facts as lines, with the sheet's list of differences."""
    facts = facts_of(request)
    rows = [
        (name.replace("_", " "), "; ".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in facts.items()
        if value not in ("", [], None, 0)
    ]
    lines = columns(rows)
    if facts.get("newer"):
        lines.append(Alert(f"{facts['destination']} is NEWER than {facts['source']}."))
    sheet = request.trusted_sheet
    if sheet.comparison:
        lines += ["", *difference_lines(sheet.comparison)]
    return lines
