"""Somebody is refused again and again: writing roles and bindings, making tokens, acting as others.

Whoever reaches an API server can be refused as often as they like, without a log-in too, under a new name each time.
So beyond some a day their attempts are one finding. ATT&CK: T1069.003, Permission Groups Discovery: Cloud Groups.
"""

import json

from alerts.audit.event import Event
from alerts.detections.detection import Finding
from alerts.detections.writes import day_of

NAME = "many_attempts"
TECHNIQUES = ("T1069.003",)


def finding(event: Event, limit: int) -> Finding:
    """Return the finding that an actor's refused attempts of the event's day are beyond `limit`."""
    return Finding(
        detection=NAME,
        cause=json.dumps([event.actor, day_of(event)]),
        title=f"More than {limit} different attempts refused in a day",
        event=event,
        attempted=True,
        recurring=True,
        repetitive=True,
    )
