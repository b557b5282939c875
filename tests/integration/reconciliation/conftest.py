"""A cluster whose API lists what a test says."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from alerts.models import Alert, Cluster
from alerts.services import listing, reconciliation
from tests.integration.conftest import Live
from tests.unit.audit.events import role

START = datetime(2026, 11, 23, 18, tzinfo=UTC)

type Listed = Callable[..., list[Alert]]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as clock:
        yield clock


@pytest.fixture
def listed(cluster: Cluster, clock: time_machine.Traveller, live: Live) -> Listed:
    """List these manifests and, when the grace is over, judge them; a cluster that was listed and heard before."""

    def run(*manifests: dict[str, Any], wait: bool = True) -> list[Alert]:
        live.manifests = manifests
        assert listing.refresh(cluster)
        if wait:
            clock.shift(reconciliation.grace() + timedelta(seconds=1))
        return reconciliation.reconcile(cluster)

    run(role())
    Cluster.objects.update(last_event_at=START)
    return run
