"""Audit data about roles and bindings came damaged: cut, malformed, under an absurd audit ID, or not readable at all.

Each is a known way to hide: a malformed patch, a role too large for an event, an audit ID of 150 kB, or so many such
events that their batch is refused. What is damaged by one actor on one day is one finding. ATT&CK: T1562.012, Disable
or Modify Linux Audit System, is the closest.
"""

import json
from collections.abc import Iterator
from datetime import datetime

from alerts.audit.event import FINAL_STAGES, RBAC_GROUP, WRITES, Event
from alerts.audit.visible import visible
from alerts.detections.detection import Finding

NAME = "audit_data_damaged"
# An API server's own are 36 characters; clients that choose theirs have no reason for one beyond this.
LONGEST_AUDIT_ID = 200
_RBAC_ADDRESS = f"/apis/{RBAC_GROUP}/"


def examine(event: Event, received_at: datetime) -> Iterator[Finding]:
    """Yield a finding where the event is damaged and changed RBAC or may have, or where its audit ID is absurd.

    What is left of a damaged event need not say when it was; it was received then.
    """
    if absurd(event) or (event.incomplete and may_write_rbac(event)):
        # Anybody may choose an audit ID, for any number of requests.
        yield _finding(event.actor, event.at or received_at, event, repetitive=not may_write_rbac(event))


def absurd(event: Event) -> bool:
    """Tell whether its audit ID, which clients may choose, is of a length that makes API servers lose events."""
    return len(event.audit_id) > LONGEST_AUDIT_ID


def may_write_rbac(event: Event) -> bool:
    """Tell whether a finished request changed a role or binding, or may have, as far as what is left of it tells."""
    if event.stage and event.stage not in FINAL_STAGES:
        return False
    if event.verb and event.verb not in WRITES:
        return False
    if event.object_ref is not None:
        return event.group == RBAC_GROUP
    return not event.request_uri or _RBAC_ADDRESS in event.path


def unreadable(received_at: datetime) -> Finding:
    """Return the finding for an item of which nothing could be read: it may have been anything, by anybody."""
    return _finding("", received_at, None)


def quarantined(received_at: datetime) -> Finding:
    """Return the finding for a batch that no try could examine: nobody knows what is in it."""
    return _made(["quarantined", f"{received_at:%Y-%m-%d}"], "A batch of audit events could not be examined", None)


def refused(received_at: datetime, size: str) -> Finding:
    """Return the finding for a batch of that size that was not taken: nobody knows what was in it."""
    return _made(["refused", f"{received_at:%Y-%m-%d}"], f"A batch of {size} was refused", None)


def _finding(actor: str, at: datetime, event: Event | None, *, repetitive: bool = False) -> Finding:
    whose = f"Audit data of {visible(actor)} is damaged" if actor else "Audit data of an unknown actor is damaged"
    return _made(["damaged", actor, f"{at:%Y-%m-%d}"], whose, event, repetitive=repetitive)


def _made(cause: list[str], title: str, event: Event | None, *, repetitive: bool = False) -> Finding:
    return Finding(
        detection=NAME,
        cause=json.dumps(cause),
        title=title,
        event=event,
        recurring=True,
        repetitive=repetitive,
    )
