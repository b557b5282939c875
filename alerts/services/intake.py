"""From a batch to everything it causes: kept events, role versions, alerts, watches tripped. All of it or nothing."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from django.db import transaction

from alerts.audit import redaction
from alerts.audit.event import Event
from alerts.audit.visible import visible
from alerts.models import Alert, AuditEvent, Batch, Cluster, Notification
from alerts.services import consequences, damage, echoes, inbox, investigation, stream, tripwire
from alerts.services.consequences import Kept
from alerts.services.kept import row_of
from alerts.services.knowledge import Knowledge
from alerts.services.reading import Reading, may_matter, read

logger = logging.getLogger(__name__)

_LONGEST_ERROR = 500
# So many batches are best claimed where none is large: as many events as in sixteen of those that API servers make
# unless they are told otherwise. On SQLite the hook waits while they are recorded.
AT_ONCE = 128


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
    of_clusters = groupby(sorted(batches, key=attrgetter("cluster_id", "pk")), key=attrgetter("cluster_id"))
    for _, of_one in of_clusters:
        together = list(of_one)
        try:
            outcomes = [_examine(together)] if len(together) > 1 else [examine(together[0])]
        except Exception:
            logger.warning("One of %s batches failed; each is examined by itself.", len(together), exc_info=True)
            outcomes = [examine(batch) for batch in together]
        yield from outcomes


def _examine(batches: Sequence[Batch]) -> Outcome:
    """Examine batches of one cluster as if all they hold had come in one."""
    cluster = batches[0].cluster
    awaited = tripwire.awaited(cluster)
    readings = [(batch, read(body, awaited)) for batch, body in inbox.bodies(batches)]
    known = Knowledge(cluster)
    kept = [
        each for batch, reading in readings for each in _worth_keeping(reading.decoded.events, batch, known, awaited)
    ]
    with transaction.atomic():
        undone = inbox.hold(batches)
        readings = [(undone[batch.pk], reading) for batch, reading in readings if batch.pk in undone]
        if not readings:
            return Outcome()
        stored = _stored(cluster, [each for each in kept if each.batch.pk in undone])
        known.hold(each.event for each in stored)
        found = consequences.work_out(stored, known)
        concerned = investigation.concerned(cluster, "".join(reading.mentioned for _, reading in readings))
        damaged = [(batch, reading.decoded.damaged) for batch, reading in readings if reading.decoded.damaged]
        consequences.hold_alerts(found, known, besides=concerned, fingerprints=damage.causes(damaged))
        opened, told = consequences.take_effect(found, known)
        echoes.attribute(cluster, [each.row for each in stored], opened)
        opened += [alert for batch, items in damaged for alert in damage.keep(batch, items)]
        stream.hear(cluster, [audit_id for _, reading in readings for audit_id in reading.canaries])
        investigation.mark_due(cluster, concerned)
        _finish(cluster, readings)
    return Outcome(opened=tuple(opened), told=tuple(told), kept=len(stored))


def _worth_keeping(events: Iterable[Event], batch: Batch, known: Knowledge, awaited: tripwire.Awaited) -> list[Kept]:
    found, causes = [], set[str]()
    for event in sorted(events, key=lambda event: event.ended_at or batch.received_at):
        if not event.salvaged and not may_matter(event, awaited):
            continue
        if _changes_rbac(event):
            found.append(Kept(batch, event, row_of(event, batch), None))
            continue
        findings = tuple(map(known.attempts.gathered, consequences.found_in(event, batch, known)))
        new = [each for each in findings if not (each.repetitive and each.fingerprint in causes)]
        causes |= {each.fingerprint for each in findings}
        if new or tripwire.concerns(event, awaited):
            found.append(Kept(batch, event, row_of(event, batch), findings))
    return found


def _changes_rbac(event: Event) -> bool:
    """Tell whether it wrote a role or binding, or may have."""
    return event.writes_rbac and not event.dry_run and event.succeeded is not False


def _stored(cluster: Cluster, kept: list[Kept]) -> list[Kept]:
    """Insert the rows that are not there yet, and return everything with its row's key and time, as they ended."""
    # In one order: whoever inserts an event waits for another who does, and has others of the same in its own batches.
    rows = sorted((each.row for each in kept), key=attrgetter("sha256"))
    AuditEvent.objects.bulk_create(rows, ignore_conflicts=True)
    # In no order: SQLite would walk through all the cluster's events in the one they are shown in.
    found = AuditEvent.objects.filter(cluster=cluster, sha256__in=[each.row.sha256 for each in kept]).order_by()
    stored = {sha256: (pk, at) for sha256, pk, at in found.values_list("sha256", "pk", "at")}
    for each in kept:
        # Whatever else is in it follows from the event, so there is no need to read it back.
        each.row.pk, each.row.at = stored[each.row.sha256]
        each.row._state.adding, each.row._state.db = False, found.db
    return sorted(kept, key=lambda each: each.row.ended_at)


def _finish(cluster: Cluster, readings: Sequence[tuple[Batch, Reading]]) -> None:
    for batch, reading in readings:
        batch.earliest_at, batch.latest_at, batch.mentions = reading.earliest, reading.latest, reading.mentioned
        batch.event_count, batch.damaged_count = reading.sound, len(reading.decoded.damaged)
    Batch.objects.finish([batch for batch, _ in readings])
    # Last: whoever else finishes batches of this cluster waits for its row until we commit.
    cluster.heard_from(
        max((reading.latest for _, reading in readings if reading.latest), default=None),
        batches=len(readings),
        examined=sum(reading.examined for _, reading in readings),
        salvaged=sum(len(reading.decoded.events) - reading.decoded.sound for _, reading in readings),
        damaged=sum(len(reading.decoded.damaged) for _, reading in readings),
    )
