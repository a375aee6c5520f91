"""`plan`: start the deployment of a verb as `run` does, follow its run until it asks, and show its form."""

from collections.abc import Callable
from typing import Any

from deployments.cli.follow_run import end_result, follow, state_name
from deployments.cli.output import MarkdownText, Result, command, new_group
from deployments.cli.start_options import read_values, with_fields
from deployments.cli.start_values import complete
from deployments.prefect_server import connected, link

VERBS = {
    "promote": "promote", "refresh": "refresh", "provision": "provision", "restore": "restore", "load": "load_dump",
    "reload": "reload",
}  # fmt: skip

group = new_group("Start a run and show the plan that it submits for approval. Nothing is overwritten before that.")


def _plans(verb: str) -> Callable[..., Result]:
    """Return the command that starts a verb's run and follows it until it asks."""

    def run(**given: Any) -> Result:
        with connected() as server:
            now, form = follow(server, f"{verb}/{verb}", complete(server, verb, read_values(verb, given)))
        if form is None:
            return end_result(now)
        where = link(now.id)
        document = {"run": str(now.id), "link": where, "state": state_name(now), "form": form.text}
        lines = [MarkdownText(form.text), "", f"It waits for an answer: {where}", f"Or: understudy approve {now.id}"]
        return Result(document, lines)

    return with_fields(verb, run)


for _word, _verb in VERBS.items():
    command(group, _word)(_plans(_verb))
