"""The evidence of a step as it stands now: what people change after it was gathered is asked of its rows."""

from typing import Any

from alerts.audit import redaction
from alerts.models import Alert
from alerts.services import posture, remedies, watch


def evidence(alert: Alert, key: str) -> dict[str, Any]:
    """Return the evidence of one of an alert's steps, {} where none was gathered yet."""
    gathered: dict[str, Any] = alert.evidence.get(key, {})
    if key == "watch":
        return watch.evidence(alert)
    if key == "policies" and gathered:
        gathered = redaction.manifest(posture.evidence(alert))
    if key == "remedy" and gathered:
        gathered = gathered | {"chips": remedies.chips(alert)}
    return gathered
