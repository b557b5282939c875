"""From a batch to everything it causes: kept events, role versions, alerts, watches tripped. All of it or nothing."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction

from alerts import detections, playbook
from alerts.audit import redaction
from alerts.audit.decode import Damaged, Decoded, decode
from alerts.audit.event import Event
from alerts.audit.visible import storable, visible
from alerts.detections import Finding
from alerts.models import (
    AccessObject,
    Activity,
    Alert,
    AuditEvent,
    Batch,
    Cluster,
    DamagedItem,
    Notification,
    Step,
)
from alerts.services import archive, delivery, inbox, inventory, investigation, mentions, watch
from alerts.services.kept import row_of

logger = logging.getLogger(__name__)

_LONGEST_ERROR = 500
# Until the evidence is gathered, some seconds later: in the middle of the queue.
_PROVISIONAL_SCORE = 50


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
    """An event worth a row, the row, and what the detections found in it."""

    event: Event
    row: AuditEvent
    findings: tuple[Finding, ...]


def _examine(batch: Batch) -> Outcome:
    decoded = decode(inbox.body(batch))
    kept = _worth_keeping(decoded.events, batch)
    told: list[Notification] = []
    mentioned = mentions.of(decoded.events)
    with transaction.atomic():
        locked = Batch.objects.select_for_update(of=("self",)).defer("body", "mentions").get(pk=batch.pk)
        if locked.state == Batch.State.DONE:
            return Outcome()
        opened = [alert for each in _stored(batch.cluster, kept) for alert in _take_in(batch.cluster, each, told)]
        _keep_damaged(batch, decoded.damaged)
        investigation.mark_due(batch.cluster, mentioned)
        _finish(locked, decoded, mentioned)
    return Outcome(opened=tuple(opened), told=tuple(told), kept=len(kept))


def _worth_keeping(events: Iterable[Event], batch: Batch) -> list[_Kept]:
    found, awaited = [], watch.awaited(batch.cluster)
    for event in events:
        findings = tuple(detections.examine(event))
        if findings or _changes_rbac(event) or watch.concerns(event, awaited):
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


def _take_in(cluster: Cluster, kept: _Kept, told: list[Notification]) -> list[Alert]:
    """Let an event have its effects, return the alerts it opened, and add who is told of those it opened again."""
    version = inventory.record(cluster, kept.event, kept.row)
    for tripped in watch.notice(cluster, kept.row, version):
        told += delivery.announce(tripped.alert, watch.told(tripped), once=f"watch {tripped.pk}")
    opened = [_open(cluster, finding, kept.row) for finding in kept.findings]
    return [alert for alert in opened if alert is not None]


def _open(cluster: Cluster, finding: Finding, row: AuditEvent) -> Alert | None:
    """Open the alert of a finding and return it; None where its cause has one already, which then gains the event."""
    namespace, name = storable(finding.namespace), storable(finding.name)
    alert, new = Alert.objects.get_or_create(
        cluster=cluster,
        fingerprint=finding.fingerprint,
        defaults={
            "detection": finding.detection,
            "title": storable(finding.title),
            "attempted": finding.attempted,
            "object": AccessObject.named(cluster, finding.kind, namespace, name) if name else None,
            "object_uid": storable(finding.uid)[: inventory.LONGEST_IDENTITY],
            "actor": storable(finding.event.actor),
            "happened_at": row.at,
            "score": _PROVISIONAL_SCORE,
        },
    )
    if not new:
        _add(alert, row)
        return None
    alert.events.add(row)
    Step.objects.bulk_create(Step(alert=alert, key=step.key) for step in playbook.STEPS)
    Activity.objects.record("opened", "opened the alert", by=None, alert=alert, detail={"event": row.sha256})
    return alert


def _add(alert: Alert, row: AuditEvent) -> None:
    if alert.events.filter(pk=row.pk).exists():
        return
    alert.events.add(row)
    locked = Alert.objects.select_for_update().only("happened_at").get(pk=alert.pk)
    Alert.objects.filter(pk=alert.pk).update(evidence_due=True, happened_at=min(locked.happened_at, row.at))


def _keep_damaged(batch: Batch, damaged: Iterable[Damaged]) -> None:
    DamagedItem.objects.bulk_create([_damaged(batch, each) for each in damaged], ignore_conflicts=True)


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


def _finish(batch: Batch, decoded: Decoded, mentioned: str) -> None:
    times = [event.at for event in decoded.events if event.at]
    batch.earliest_at, batch.latest_at = min(times, default=None), max(times, default=None)
    batch.event_count, batch.damaged_count, batch.mentions = decoded.sound, len(decoded.damaged), mentioned
    batch.state, batch.leased_until, batch.error = Batch.State.DONE, None, ""
    batch.save()
    if batch.latest_at:
        # Last, for every post of this cluster waits for this row until we commit.
        batch.cluster.heard_from(batch.latest_at)
