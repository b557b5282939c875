"""The patterns we look for, one module each: plain Python over one event at a time."""

from collections.abc import Iterator

from alerts.audit.event import Event
from alerts.detections import cluster_role_created
from alerts.detections.detection import Finding

__all__ = ["Finding", "examine"]

_DETECTIONS = (cluster_role_created,)


def examine(event: Event) -> Iterator[Finding]:
    """Yield what every detection finds in an event."""
    for detection in _DETECTIONS:
        yield from detection.examine(event)
