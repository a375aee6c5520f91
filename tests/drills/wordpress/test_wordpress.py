"""Every flow on real WordPress sites."""
import pytest
from flows.refresh import refresh
from flows.promote import promote
pytestmark = pytest.mark.drill
def test_refresh(start, worker):
    """X."""
    run = start(refresh, source="schulprod", destination="schulstage"); run.approve("schulstage")
    print(run.state, run.message); print(run.report)
    run = start(refresh, source="schulprod", destination="schulstage"); run.approve("schulstage")
    print(run.state, run.message); print(run.report)
