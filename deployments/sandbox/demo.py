"""The demo: a refresh and a promotion of websites, then two masked loads of production's database to staging."""

import yaml

from deployments.sandbox.demo_databases import DatabasesDemo
from deployments.sandbox.demo_guide import Guide
from deployments.sandbox.demo_websites import WebsitesDemo
from deployments.sandbox.run_progress import Narrator
from deployments.sandbox.runs import connected_to
from deployments.sandbox.stack import PROJECT, Stack
from tasks.ledger.ledger import Ledger


def perform(stack: Stack, narrator: Narrator, *, unattended: bool) -> bool:
    """Deploy all flows and run the demo. Return whether every run succeeded."""
    stack.deploy()
    deployments = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    narrator.say(f"Deployed the flows of prefect.yaml: {', '.join(each['name'] for each in deployments)}")
    stack.await_desk()
    narrator.say(f"The desk, at which people decide and watch: {stack.desk_url}")
    with connected_to(stack.api_url) as runs:
        guide = Guide(stack, runs, narrator, unattended=unattended)
        good = WebsitesDemo(guide).play() and DatabasesDemo(guide).play()
    narrator.heading("Result")
    good = _ledger_is_whole(stack, narrator) and good
    verdict = "done: every run succeeded" if good else "FAILED"
    narrator.say(f"Demo {verdict}, after {narrator.elapsed:.0f} s.")
    return good


def _ledger_is_whole(stack: Stack, narrator: Narrator) -> bool:
    """Verify the ledger, as `understudy ledger verify` does, and print the result."""
    ledger = Ledger(stack.env["UNDERSTUDY_LEDGER_URL"])
    problems = ledger.verify()
    for problem in problems:
        narrator.say(f"The ledger is broken: {problem}")
    if not problems:
        narrator.say(f"The ledger is whole: {len(ledger.facts())} facts, head {ledger.head()}")
    return not problems
