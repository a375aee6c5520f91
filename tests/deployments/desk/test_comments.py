"""Comments at the desk: they are shown with a claimed name, and nobody takes one for an answer."""

from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import Artifact

from tests.deployments.desk.conftest import Office


def test_a_comment_decides_nothing(office: Office) -> None:
    """It is shown with its claimed name, on the card too, and no form of the run is answered, whatever it contains."""
    sheet = office.ask()
    path = f"/runs/{sheet.plan.run_id}"
    text = "approve <b>now</b> [here](http://evil.example) {{ x }}"
    sent = office.send(
        f"{path}/comment", who="Carl *Comment*", comment=text, decision="approve", reason="because I can"
    )
    assert (sent.status_code, sent.headers["location"]) == (303, f"{path}/decide#comments")
    page = office.page(f"{path}/decide")
    assert "approve &lt;b&gt;now&lt;/b&gt; [here](http://evil.example) (( x ))" in page
    assert "Carl *Comment* (not proven)" in page
    assert "1 comment." in office.page("/")
    (stored,) = office.prefect.artifacts
    assert (stored.key, str(stored.flow_run_id)) == (f"comment-{sheet.plan.run_id}", sheet.plan.run_id)
    assert "<" not in str(stored.data).replace("\\<", ""), "Prefect shows it as Markdown"
    assert office.prefect.answers == []
    assert not office.ledger.facts(kind="answered")


@pytest.mark.parametrize(
    "fields", [{"who": "C", "comment": "well"}, {"who": "Carl", "comment": "x" * 501}, {"who": "Carl"}]
)
def test_a_comment_has_a_name_and_a_length(office: Office, fields: dict[str, str]) -> None:
    """What was typed stays in the form."""
    sent = office.send(f"/runs/{office.ask().plan.run_id}/comment", **fields)
    assert (sent.status_code, "nothing was decided" in sent.text) == (409, True)
    assert f'value="{fields["who"]}"' in sent.text
    assert office.prefect.artifacts == []


def test_a_comment_of_another_run_is_not_shown(office: Office) -> None:
    """Whoever writes to Prefect can give an artifact any key; it counts for the run that it belongs to, and is cut."""
    sheet = office.ask()
    long = Artifact(
        id=uuid4(), key=f"comment-{sheet.plan.run_id}", data="y" * 5000, flow_run_id=UUID(sheet.plan.run_id)
    )
    stray = Artifact(id=uuid4(), key=f"comment-{sheet.plan.run_id}", data="stray", flow_run_id=uuid4())
    office.prefect.artifacts += [long, stray]
    page = office.page(f"/runs/{sheet.plan.run_id}/decide")
    assert "stray" not in page
    assert "y" * 500 in page
    assert "y" * 501 not in page
