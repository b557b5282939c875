"""From a batch to everything it causes: kept events, role versions, alerts, watches tripped. All of it or nothing."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

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
# So many batches are best claimed. On SQLite the hook waits while those that are examined together are recorded.
AT_ONCE = 16
# Of those examined together, before compression.
_TOGETHER_BYTES = 8 * 1024 * 1024
_FINISHED = ["earliest_at", "latest_at", "mentions", "event_count", "damaged_count", "state", "leased_until", "error"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of batches: the alerts they opened, the messages put into the outbox, and how many events are kept.

    `error` is why one failed; it is alone then.
    """

    opened: tuple[Alert, ...] = ()
    told: tuple[Notification, ...] = ()
    kept: int = 0
    error: str = ""


def examine(batch: Batch) -> Outcome:
    """Examine a leased batch. Done twice, or by two at once, it comes to the same; failed, it is tried again later."""
    try:
        return _examine([batch])
    except Exception as error:
        # Whatever it is, it must neither stop the batches after this one nor be tried for ever.
        logger.exception("Batch %s could not be examined.", batch)
        reason = visible(redaction.text(f"{type(error).__name__}: {error}"))[:_LONGEST_ERROR]
        inbox.put_back(batch, reason)
        return Outcome(error=reason)


def examine_all(batches: Iterable[Batch]) -> Iterator[Outcome]:
    """Examine leased batches and yield what came of them: those of one cluster together, as long as none fails."""
    for together in _together(batches):
        try:
            outcomes = [_examine(together)] if len(together) > 1 else [examine(together[0])]
        except Exception:
            logger.warning("One of %s batches failed; each is examined by itself.", len(together), exc_info=True)
            outcomes = [examine(batch) for batch in together]
        yield from outcomes


def _together(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Yield those of one cluster, as many at a time as are not too large."""
    for _, of_cluster in groupby(sorted(batches, key=attrgetter("cluster_id", "pk")), key=attrgetter("cluster_id")):
        together: list[Batch] = []
        for batch in of_cluster:
            if together and sum(each.size for each in together) + batch.size > _TOGETHER_BYTES:
                yield together
                together = []
            together.append(batch)
        yield together


@dataclass(frozen=True, slots=True)
class _Kept:
    """An event worth a row, the row, and what the detections found in it.

    What is found in a write of a role or binding depends on the versions before it: None until those are recorded.
    """

    batch: Batch
    event: Event
    row: AuditEvent
    findings: tuple[Finding, ...] | None


def _examine(batches: Sequence[Batch]) -> Outcome:
    """Examine batches of one cluster as if all they hold had come in one."""
    cluster = batches[0].cluster
    awaited = tripwire.awaited(cluster)
    readings = [(batch, read(body, awaited)) for batch, body in inbox.bodies(batches)]
    known = Knowledge(cluster)
    kept = [
        each for batch, reading in readings for each in _worth_keeping(reading.decoded.events, batch, known, awaited)
    ]
    told: list[Notification] = []
    with transaction.atomic():
        undone = inbox.hold(batches)
        readings = [(undone[batch.pk], reading) for batch, reading in readings if batch.pk in undone]
        if not readings:
            return Outcome()
        stored = _stored(cluster, [each for each in kept if each.batch.pk in undone])
        known.hold(each.event for each in stored)
        opened = _take_in(stored, known, told)
        echoes.attribute(cluster, [each.row for each in stored], opened)
        opened += [alert for batch, reading in readings for alert in _keep_damaged(batch, reading.decoded.damaged)]
        stream.hear(cluster, [audit_id for _, reading in readings for audit_id in reading.canaries])
        investigation.mark_due(cluster, "".join(reading.mentioned for _, reading in readings))
        _finish(cluster, readings)
    return Outcome(opened=tuple(opened), told=tuple(told), kept=len(stored))


def _worth_keeping(events: Iterable[Event], batch: Batch, known: Knowledge, awaited: tripwire.Awaited) -> list[_Kept]:
    found, causes = [], set[str]()
    for event in sorted(events, key=lambda event: event.at or batch.received_at):
        if not event.salvaged and not may_matter(event, awaited):
            continue
        if _changes_rbac(event):
            found.append(_Kept(batch, event, row_of(event, batch), None))
            continue
        findings = tuple(known.attempts.gathered(each) for each in _found(event, batch, known))
        new = [each for each in findings if not (each.repetitive and each.fingerprint in causes)]
        causes |= {each.fingerprint for each in findings}
        if new or tripwire.concerns(event, awaited):
            found.append(_Kept(batch, event, row_of(event, batch), findings))
    return found


def _changes_rbac(event: Event) -> bool:
    """Tell whether it wrote a role or binding, or may have."""
    return event.writes_rbac and not event.dry_run and event.succeeded is not False


def _stored(cluster: Cluster, kept: list[_Kept]) -> list[_Kept]:
    """Insert the rows that are not there yet, and return everything with its row's key and time, in order of time."""
    AuditEvent.objects.bulk_create([each.row for each in kept], ignore_conflicts=True)
    # In no order: SQLite would walk through all the cluster's events in the one they are shown in.
    found = AuditEvent.objects.filter(cluster=cluster, sha256__in=[each.row.sha256 for each in kept]).order_by()
    stored = {sha256: (pk, at) for sha256, pk, at in found.values_list("sha256", "pk", "at")}
    for each in kept:
        # Whatever else is in it follows from the event, so there is no need to read it back.
        each.row.pk, each.row.at = stored[each.row.sha256]
        each.row._state.adding, each.row._state.db = False, found.db
    return sorted(kept, key=lambda each: each.row.at)


def _take_in(kept: Sequence[_Kept], known: Knowledge, told: list[Notification]) -> list[Alert]:
    """Let events have their effects, return the alerts they opened, and add who is told of those opened again."""
    cluster, held = known.cluster, known.held
    watched = bool(kept) and tripwire.waits(cluster)
    found: list[tuple[Finding, AuditEvent]] = []
    late: list[AccessVersion] = []
    for each in kept:
        findings = each.findings if each.findings is not None else _found(each.event, each.batch, known)
        found += [(finding, each.row) for finding in findings]
        version = inventory.record(held, each.event, each.row)
        if watched:
            held.store()
            for tripped in tripwire.notice(cluster, each.row, version):
                told += delivery.announce(tripped.alert, tripwire.told(tripped), once=f"watch {tripped.pk}")
        if version is not None:
            known.forget()
            late += [version] if held.newest(version.object) != version else []
    held.store()
    opened = alarm.open_all(cluster, found, held)
    again = [judged for version in late for judged in _judged_again(cluster, version, known)]
    return opened + [alert for alert, new in again if new]


def _found(event: Event, batch: Batch, known: Knowledge) -> list[Finding]:
    return [*_detected(event, known), *audit_data_damaged.examine(event, batch.received_at)]


def _detected(event: Event, known: Knowledge) -> list[Finding]:
    found = detections.examine(event, known)
    return [each for each in found if not (each.kind and revocation.ours(known.cluster, event, kind=each.kind))]


def _judged_again(cluster: Cluster, version: AccessVersion, known: Knowledge) -> Iterator[tuple[Alert, bool]]:
    """Examine the next changes of an object again, where what they changed from became known only now."""
    for following in _following(version):
        event = event_of(following)
        if event is None:
            continue
        found = _detected(event, known)
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


def _keep_damaged(batch: Batch, damaged: Sequence[Damaged]) -> list[Alert]:
    """Store what is damaged, with the alert of that where it concerns RBAC or may, and return the alerts it opened."""
    if not damaged:
        return []
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


def _finish(cluster: Cluster, readings: Sequence[tuple[Batch, Reading]]) -> None:
    for batch, reading in readings:
        batch.earliest_at, batch.latest_at, batch.mentions = reading.earliest, reading.latest, reading.mentioned
        batch.event_count, batch.damaged_count = reading.sound, len(reading.decoded.damaged)
        batch.state, batch.leased_until, batch.error = Batch.State.DONE, None, ""
        batch.save(update_fields=_FINISHED)
    # Last: whoever else finishes batches of this cluster waits for its row until we commit.
    cluster.heard_from(
        max((reading.latest for _, reading in readings if reading.latest), default=None),
        batches=len(readings),
        examined=sum(reading.examined for _, reading in readings),
        salvaged=sum(len(reading.decoded.events) - reading.decoded.sound for _, reading in readings),
        damaged=sum(len(reading.decoded.damaged) for _, reading in readings),
    )
