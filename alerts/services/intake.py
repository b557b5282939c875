"""From a batch to everything it causes: kept events, role versions, alerts, watches tripped. All of it or nothing."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q

from alerts import detections
from alerts.audit import redaction
from alerts.audit.decode import Damaged
from alerts.audit.event import Event
from alerts.audit.visible import storable, visible
from alerts.detections import Finding, audit_data_damaged
from alerts.models import AccessVersion, Alert, AuditEvent, Batch, Cluster, DamagedItem, Notification
from alerts.services import (
    alarm,
    archive,
    delivery,
    echoes,
    inbox,
    inventory,
    investigation,
    revocation,
    stream,
    tripwire,
)
from alerts.services.kept import event_of, row_of
from alerts.services.knowledge import Knowledge
from alerts.services.reading import Reading, may_matter, read

logger = logging.getLogger(__name__)

_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a batch: the alerts it opened, the messages it put into the outbox, and how many events are kept.

    `error` is why it failed.
    """

    opened: tuple[Alert, ...] = ()
    told: tuple[Notification, ...] = ()
    kept: int = 0
    error: str = ""


def examine(batch: Batch) -> Outcome:
    """Examine a leased batch. Done twice, or by two at once, it comes to the same; failed, it is tried again later."""
    try:
        return _examine(batch)
    except Exception as error:
        # Whatever it is, it must neither stop the batches after this one nor be tried for ever.
        logger.exception("Batch %s could not be examined.", batch)
        reason = visible(redaction.text(f"{type(error).__name__}: {error}"))[:_LONGEST_ERROR]
        inbox.put_back(batch, reason)
        return Outcome(error=reason)


@dataclass(frozen=True, slots=True)
class _Kept:
    """An event worth a row, the row, and what the detections found in it.

    What is found in a write of a role or binding depends on the versions before it: None until those are recorded.
    """

    event: Event
    row: AuditEvent
    findings: tuple[Finding, ...] | None


def _examine(batch: Batch) -> Outcome:
    awaited = tripwire.awaited(batch.cluster)
    reading = read(inbox.body(batch), awaited)
    known = Knowledge(batch.cluster)
    kept = _worth_keeping(reading.decoded.events, batch, known, awaited)
    told: list[Notification] = []
    with transaction.atomic():
        locked = Batch.objects.select_for_update(of=("self",)).defer("body", "mentions").get(pk=batch.pk)
        if locked.state == Batch.State.DONE:
            return Outcome()
        stored = _stored(batch.cluster, kept)
        known.hold(each.event for each in stored)
        watched = bool(stored) and tripwire.waits(batch.cluster)
        opened = [alert for each in stored for alert in _take_in(batch, each, known, told, watched=watched)]
        echoes.attribute(batch.cluster, [each.row for each in stored], opened, known)
        opened += _keep_damaged(batch, reading.decoded.damaged)
        stream.hear(batch.cluster, reading.canaries)
        investigation.mark_due(batch.cluster, reading.mentioned)
        _finish(locked, reading)
    return Outcome(opened=tuple(opened), told=tuple(told), kept=len(kept))


def _worth_keeping(
    events: Iterable[Event], batch: Batch, known: Knowledge, awaited: frozenset[tripwire.Place]
) -> list[_Kept]:
    found = []
    for event in events:
        if not event.salvaged and not may_matter(event, awaited):
            continue
        if _changes_rbac(event):
            found.append(_Kept(event, row_of(event, batch), None))
            continue
        findings = (*detections.examine(event, known), *audit_data_damaged.examine(event, batch.received_at))
        if findings or tripwire.concerns(event, awaited):
            found.append(_Kept(event, row_of(event, batch), findings))
    return sorted(found, key=lambda each: each.row.at)


def _changes_rbac(event: Event) -> bool:
    """Tell whether it wrote a role or binding, may have, or was forbidden to."""
    return event.writes_rbac and not event.dry_run and (event.succeeded is not False or event.code == 403)


def _stored(cluster: Cluster, kept: list[_Kept]) -> list[_Kept]:
    """Insert the rows that are not there yet, and return everything with the rows as they stand."""
    AuditEvent.objects.bulk_create([each.row for each in kept], ignore_conflicts=True)
    hashes = [each.row.sha256 for each in kept]
    rows = {row.sha256: row for row in AuditEvent.objects.filter(cluster=cluster, sha256__in=hashes)}
    return [_Kept(each.event, rows[each.row.sha256], each.findings) for each in kept]


def _take_in(batch: Batch, kept: _Kept, known: Knowledge, told: list[Notification], *, watched: bool) -> list[Alert]:
    """Let an event have its effects, return the alerts it opened, and add who is told of those it opened again."""
    findings = kept.findings
    if findings is None:
        damage = audit_data_damaged.examine(kept.event, batch.received_at)
        findings = (*_found(batch.cluster, kept.event, known), *damage)
    version = inventory.record(known.held, kept.event, kept.row)
    for tripped in tripwire.notice(batch.cluster, kept.row, version) if watched else ():
        told += delivery.announce(tripped.alert, tripwire.told(tripped), once=f"watch {tripped.pk}")
    opened = [alarm.open_alert(batch.cluster, finding, kept.row) for finding in findings]
    if version is not None:
        known.forget()
    if version is not None and known.held.newest(version.object) != version:
        opened += _judged_again(batch.cluster, version, known)
    return [alert for alert, new in opened if new]


def _found(cluster: Cluster, event: Event, known: Knowledge) -> list[Finding]:
    found = detections.examine(event, known)
    return [each for each in found if not (each.kind and revocation.ours(cluster, event, kind=each.kind))]


def _judged_again(cluster: Cluster, version: AccessVersion, known: Knowledge) -> Iterator[tuple[Alert, bool]]:
    """Examine the next changes of an object again, where what they changed from became known only now."""
    for following in _following(version):
        event = event_of(following)
        if event is None:
            continue
        found = _found(cluster, event, known)
        for finding in found:
            yield alarm.open_alert(cluster, finding, following)
        if not following.incomplete:
            # Of any other the row may say less than the event did that the alert was opened for.
            alarm.withdraw_all_but(found, following, version.object)


def _following(version: AccessVersion) -> Iterator[AuditEvent]:
    """Yield the events that changed the object from this version: more than one where it is unknown what some left."""
    later = version.object.versions.filter(at__gt=version.at).defer("manifest").order_by("at", "pk")
    known = Q(deletion=True) | Q(manifest__isnull=False)
    told = later.annotate(known=ExpressionWrapper(known, BooleanField())).select_related("event")
    for each in told.iterator(chunk_size=10):
        if each.event is not None:
            yield each.event
        if each.known:
            return


def _keep_damaged(batch: Batch, damaged: Iterable[Damaged]) -> list[Alert]:
    """Store what is damaged, with the alert of that where it concerns RBAC or may, and return the alerts it opened."""
    found = {each.sha256: each for each in damaged}
    known = DamagedItem.objects.filter(cluster=batch.cluster, sha256__in=list(found))
    for sha256 in known.values_list("sha256", flat=True):
        del found[sha256]
    alerts: dict[str, tuple[Alert, bool]] = {}
    items = []
    for each in found.values():
        item = _damaged(batch, each)
        for finding in _found_in(each, batch):
            if finding.fingerprint not in alerts:
                alerts[finding.fingerprint] = alarm.open_alert(batch.cluster, finding, at=batch.received_at)
            item.alert = alerts[finding.fingerprint][0]
        items.append(item)
    DamagedItem.objects.bulk_create(items, ignore_conflicts=True)
    return [alert for alert, new in alerts.values() if new]


def _found_in(item: Damaged, batch: Batch) -> Iterator[Finding]:
    if item.event is None:
        yield audit_data_damaged.unreadable(batch.received_at)
    else:
        yield from audit_data_damaged.examine(item.event, batch.received_at)


def _damaged(batch: Batch, item: Damaged) -> DamagedItem:
    salvaged = redaction.redacted(item.event) if item.event else {}
    return DamagedItem(
        cluster=batch.cluster,
        batch=batch,
        sha256=item.sha256,
        position=item.position,
        reason=storable(item.reason),
        salvaged={key: value for key, value in salvaged.items() if key not in {"requestObject", "responseObject"}},
        size=len(item.raw),
        body=archive.pack(item.raw),
        received_at=batch.received_at,
    )


def _finish(batch: Batch, reading: Reading) -> None:
    decoded = reading.decoded
    batch.earliest_at, batch.latest_at, batch.mentions = reading.earliest, reading.latest, reading.mentioned
    batch.event_count, batch.damaged_count = reading.sound, len(decoded.damaged)
    batch.state, batch.leased_until, batch.error = Batch.State.DONE, None, ""
    batch.save()
    # Last: whoever else finishes a batch of this cluster waits for its row until we commit.
    batch.cluster.heard_from(
        batch.latest_at,
        examined=reading.examined,
        salvaged=len(decoded.events) - decoded.sound,
        damaged=len(decoded.damaged),
    )
