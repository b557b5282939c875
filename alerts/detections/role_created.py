"""A Role, which counts in one namespace, was created, or somebody tried to and was refused.

ATT&CK: T1098.006, Additional Container Cluster Roles.
"""

from collections.abc import Iterator

from alerts.audit.event import Event
from alerts.detections.creation import creations
from alerts.detections.detection import Finding, Known
from alerts.detections.writes import kind_of

NAME = "role_created"
TECHNIQUES = ("T1098.006",)


def examine(event: Event, _known: Known) -> Iterator[Finding]:
    """Yield a finding where the event is the creation of a Role, or an attempt at it; a rehearsal is neither."""
    if kind_of(event) == "Role":
        yield from creations(event, "Role", NAME)
