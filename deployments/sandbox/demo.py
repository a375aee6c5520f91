"""The demo, in two acts: websites are refreshed and promoted; then staging's database gets production's rows, masked."""

import yaml

from deployments.sandbox.demo_databases import SecondAct
from deployments.sandbox.demo_websites import FirstAct
from deployments.sandbox.guide import Guide
from deployments.sandbox.narrator import Narrator
from deployments.sandbox.runs import connected_to
from deployments.sandbox.stack import PROJECT, Stack
from tasks.ledger.ledger import Ledger


def perform(stack: Stack, narrator: Narrator, *, unattended: bool) -> bool:
    """Deploy and play. True if all ended well."""
    stack.deploy()
    deployments = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    narrator.say(f"Deployed prefect.yaml: {', '.join(each['name'] for each in deployments)}")
    with connected_to(stack.api_url) as runs:
        guide = Guide(stack, runs, narrator, unattended=unattended)
        good = FirstAct(guide).play() and SecondAct(guide).play()
    narrator.heading("The end")
    good = _ledger_is_whole(stack, narrator) and good
    verdict = "done: every run ended well" if good else "FAILED"
    narrator.say(f"Demo {verdict}, after {narrator.elapsed:.0f} s.")
    return good


def _ledger_is_whole(stack: Stack, narrator: Narrator) -> bool:
    """Say whether all that was recorded still hangs together: what `understudy ledger verify` does."""
    ledger = Ledger(stack.env["UNDERSTUDY_LEDGER_URL"])
    problems = ledger.verify()
    for problem in problems:
        narrator.say(f"The ledger is broken: {problem}")
    if not problems:
        narrator.say(f"The ledger is whole: {len(ledger.facts())} facts, head {ledger.head()}")
    return not problems
