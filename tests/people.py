"""The leads of the tests with their keys and codes, and runs of flows that they answer."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import Pending

from deployments.sandbox.runs import Runs
from tasks.ledger.approval_requests import ApprovalRequest
from tasks.ledger.ledger import Ledger
from tasks.runtime.resources import open_ledger
from tasks.signoff.approval_recheck import signed_decision
from tasks.signoff.form_fields import REJECT, approval_choice
from tasks.signoff.proofs import new_key, sign, statement
from tasks.signoff.standing import NAMESPACE as STANDING
from tasks.signoff.standing import sign_standing, statement_of

DEMO_LEAD, SECOND_LEAD = "Demo Lead", "Second Lead"
PEOPLE = {name: new_key() for name in (DEMO_LEAD, SECOND_LEAD)}  # their private and public SSH keys
CODES = {DEMO_LEAD: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", SECOND_LEAD: "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"}


def write_leads(folder: Path) -> None:
    """Write the files of `worker` with two leads, who have keys and codes."""
    leads = [
        {"name": name, "email": f"{name.split()[0].lower()}@schulfest.example", "keys": [{"key": public}]}
        for name, (_, public) in PEOPLE.items()
    ]
    (folder / "leads.yaml").write_text(yaml.safe_dump(leads))
    codes = folder / "codes.yaml"
    codes.write_text(yaml.safe_dump(CODES))
    codes.chmod(0o600)


def write_standing(folder: Path, source: str, destination: str, **more: Any) -> Path:
    """Write a standing approval of this pair, signed by the demo lead, whose window is open now; return its file."""
    now = datetime.now(UTC)
    today, hours = now.date(), timedelta(hours=6)
    window = {"from": f"{now - hours:%H:%M}", "to": f"{now + hours:%H:%M}"}
    entry = {
        "source": source, "destination": destination, "issuer": DEMO_LEAD, "reason": "the night's copy for staging",
        "issued": today - timedelta(days=1), "until": today + timedelta(days=30), "include_database": True,
        "window": window, "zone": "UTC",
    } | more  # fmt: skip
    file = folder / "standing.yaml"
    file.write_text(yaml.safe_dump([entry]))
    sign_standing(file, 1, sign(PEOPLE[DEMO_LEAD][0], statement_of(file, 1), namespace=STANDING))
    return file


def backups_of(ledger: Ledger, run: "Run") -> int:
    """Return how many backups the run asked for."""
    return len(ledger.facts(run_id=run.id, kind="backup-requested"))


SCHEDULED: set[str] = set()  # runs that count as scheduled: no client of Prefect's API can create one


class Run:
    """One run of a deployed flow in this process: started, answered, resumed and read."""

    def __init__(self, flow: Any, parameters: dict[str, Any], *, by_schedule: bool = False) -> None:
        self.flow = flow
        with get_client(sync_client=True) as client:
            flow_id = client.create_flow(flow)
            deployment = client.create_deployment(flow_id=flow_id, name="test")
            made = client.create_flow_run_from_deployment(deployment, parameters=parameters)
            client.set_flow_run_state(made.id, Pending(), force=True)
        self.id = str(made.id)
        if by_schedule:
            SCHEDULED.add(self.id)
        self._uuid = made.id
        self.parameters = parameters

    def go(self) -> "Run":
        """Run the body until it ends or suspends, as a new worker process would."""
        with get_client(sync_client=True) as client:
            run = client.read_flow_run(self._uuid)
        with contextlib.suppress(Pause):
            run_flow(
                self.flow, flow_run=run, parameters=self.flow.validate_parameters(self.parameters), return_type="state"
            )
        return self

    def restart(self) -> "Run":
        """Make a finished or crashed run ready to run again, as `prefect flow-run retry` does."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(self._uuid, Pending(), force=True)
        return self

    def answer(self, **fields: str) -> str:
        """Answer the open request through the public API and return ACCEPT or REJECT."""
        with get_client(sync_client=True) as client:
            verdict = client.resume_flow_run(self._uuid, run_input=fields).status.value
            if verdict == "ACCEPT":
                client.set_flow_run_state(self._uuid, Pending(), force=True)
        return str(verdict)

    @property
    def request(self) -> ApprovalRequest:
        """The newest approval request of this run."""
        return ApprovalRequest.of(open_ledger().facts(run_id=self.id, kind="asked")[-1])

    def signature(self, lead: str = DEMO_LEAD, decision: str = "approve") -> str:
        """Return that lead's SSH signature over a decision on this run's plan."""
        asked = self.request
        return sign(PEOPLE[lead][0], statement(decision, asked.plan, asked.answer_by))

    def say(self, decision: str = "approve", /, *, lead: str = DEMO_LEAD, restore: bool = False, **instead: str) -> str:
        """Fill in the whole form as this lead, signed, and return ACCEPT or REJECT. `restore`: permit it, too."""
        form = self.filled(decision, lead=lead, restore=restore)
        return self.answer(**(form | instead))

    def filled(self, decision: str = "approve", *, lead: str = DEMO_LEAD, restore: bool = False) -> dict[str, str]:
        """Return the answer of this lead, signed, with every field that the form has."""
        asked = self.request
        form = {
            "decision": REJECT if decision == REJECT else approval_choice(asked.code, restore=restore),
            "approver": lead, "reason": "release day", "proof": self.signature(lead, signed_decision(decision, restore=restore)),
        }  # fmt: skip
        return form | ({"destination": asked.destination} if "destination" in self.form["required"] else {})

    @property
    def form(self) -> dict[str, Any]:
        """The JSON schema of the form that this run shows."""
        with get_client(sync_client=True) as client:
            run = client.read_flow_run(self._uuid)
            keys = run.state.state_details.run_input_keyset if run.state else None
            assert keys, f"the run shows no form: {run.state}"
            path = {"id": self._uuid, "key": keys["schema"]}
            schema: dict[str, Any] = client.request("GET", "/flow_runs/{id}/input/{key}", path_params=path).json()
        return schema

    def approve(self, *, restore: bool = False, **instead: str) -> "Run":
        """Approve as all leads whom the plan needs, one after the other, and continue."""
        for lead in (DEMO_LEAD, SECOND_LEAD)[: self.request.people]:
            assert self.say(lead=lead, restore=restore, **instead) == "ACCEPT"
            self.go()
        return self

    def arrived(self, email: str, words: str = "read in the inbox, 14:32") -> "Run":
        """Answer as the demo lead, with a signature, what the host's e-mail reports about the copy, and continue."""
        fact = open_ledger().facts(run_id=self.id, kind="arrival-asked")[0]
        message = statement(f"arrived:{email}", fact.plan, datetime.fromisoformat(fact.detail["answer_by"]))
        proof = sign(PEOPLE[DEMO_LEAD][0], message)
        assert self.answer(email=email, approver=DEMO_LEAD, proof=proof, words=words) == "ACCEPT"
        return self.go()

    @property
    def state(self) -> str:
        """The name of the run's state: its outcome, or Suspended."""
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(self._uuid).state
        return str(state.name if state else "none")

    @property
    def message(self) -> str:
        """The message of the run's state."""
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(self._uuid).state
        return str(state.message if state else "")

    @property
    def report(self) -> str:
        """The Markdown of the run's report."""
        with get_client(sync_client=True) as client:
            return Runs(client).report(self._uuid)
