"""A cluster whose API lists what a test says."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from alerts.models import Alert, Cluster
from alerts.services import inventory, reconciliation
from tests.unit.audit.events import role

START = datetime(2026, 11, 23, 18, tzinfo=UTC)

type Listed = Callable[..., list[Alert]]


class Live:
    """A cluster's API that lists what it is told; what it lists comes from memory, everything after that is real."""

    manifests: tuple[dict[str, Any], ...] = ()

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def list_all(self, kind: str) -> list[dict[str, Any]]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as clock:
        yield clock


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Live:
    """What the cluster's API lists."""
    live = Live()
    monkeypatch.setattr("alerts.services.connection.connect", lambda _: live)
    return live


@pytest.fixture
def listed(cluster: Cluster, clock: time_machine.Traveller, live: Live) -> Listed:
    """List these manifests and, when the grace is over, judge them; a cluster that was listed and heard before."""

    def run(*manifests: dict[str, Any], wait: bool = True) -> list[Alert]:
        live.manifests = manifests
        assert inventory.refresh(cluster)
        if wait:
            clock.shift(reconciliation.grace() + timedelta(seconds=1))
        return reconciliation.reconcile(cluster)

    run(role())
    Cluster.objects.update(last_event_at=START)
    return run
