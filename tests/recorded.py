"""The recorded scenarios, taken in as a worker would."""

import json
from collections.abc import Iterable
from typing import Any

from alerts.models import Alert, Cluster
from alerts.services import inbox, intake, investigation
from tests.conftest import RECORDINGS

# What came before the attack on the recorded cluster, in order.
BEFORE = ("bootstrap", "narrow-role", "operator-install", "refused-escalation")
ATTACK = "clusterrole-takeover"


def take_in(cluster: Cluster, body: bytes) -> list[Alert]:
    """Store a body and examine it; return the alerts it opened."""
    batch, leased = inbox.store_leased(cluster, body)
    if not leased:
        return []
    outcome = intake.examine(batch)
    assert outcome.error == ""
    return list(outcome.opened)


def take_in_recordings(cluster: Cluster, *names: str) -> dict[str, Alert]:
    """Take in recorded scenarios, each as one batch; return the alerts they opened by their titles."""
    opened = [alert for name in names for alert in take_in(cluster, (RECORDINGS / f"{name}.jsonl").read_bytes())]
    return {alert.title: alert for alert in opened}


def events(name: str) -> list[dict[str, Any]]:
    """Return a recorded scenario's events."""
    return [json.loads(line) for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines()]


def as_list(items: Iterable[dict[str, Any]]) -> bytes:
    """Return events as an API server's webhook posts them."""
    return json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": list(items)}).encode()


def gathered(alert: Alert) -> Alert:
    """Gather the alert's evidence, and return the alert as it then stands."""
    investigation.gather(alert)
    return Alert.objects.select_related("cluster", "object").get(pk=alert.pk)


def told(alert: Alert) -> str:
    """Return an alert's story as text."""
    return "".join(text for _, text in alert.story)
