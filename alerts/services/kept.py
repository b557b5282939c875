"""The row that keeps an audit event for good."""

import json

from alerts.audit import redaction
from alerts.audit.decode import decode
from alerts.audit.event import Event, Person
from alerts.audit.visible import storable
from alerts.models import AuditEvent, Batch

# The body holds them whole; these columns are for reading. A client may send an Audit-ID of any length.
_LONGEST_ID, _LONGEST_ADDRESS = 200, 4000


def row_of(event: Event, batch: Batch) -> AuditEvent:
    """Return the row of an event, not yet stored: redacted, and in a form that a database holds."""
    return AuditEvent(
        cluster=batch.cluster,
        sha256=event.sha256,
        audit_id=_cut(storable(event.audit_id), _LONGEST_ID),
        level=storable(event.level or "")[:32],
        stage=storable(event.stage or "")[:32],
        at=event.at or batch.received_at,
        verb=storable(event.verb),
        username=storable(event.user.username),
        groups=_texts(event.user.groups),
        impersonated=_person(event.impersonated_user) if event.impersonated_user else None,
        group=storable(event.group),
        resource=storable(event.resource),
        subresource=storable(event.subresource),
        namespace=storable(event.namespace),
        name=storable(event.name),
        request_uri=_cut(redaction.text(event.request_uri or ""), _LONGEST_ADDRESS),
        code=event.code,
        source_ips=_texts(event.source_ips),
        user_agent=_cut(redaction.text(event.user_agent or ""), _LONGEST_ADDRESS),
        decision=storable(event.decision)[:16],
        reason=storable(event.reason),
        dry_run=event.dry_run,
        incomplete=event.incomplete,
        body=redaction.redacted(event),
    )


def event_of(row: AuditEvent) -> Event | None:
    """Return the event that a row keeps, redacted; None where too little of it could be read to be one."""
    return next(iter(decode(json.dumps(row.body).encode()).events), None)


def _person(person: Person) -> dict[str, str | list[str] | None]:
    return {"username": storable(person.username), "uid": storable(person.uid or ""), "groups": _texts(person.groups)}


def _texts(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else [storable(value) for value in values]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"
