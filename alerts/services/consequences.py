"""What kept events cause, in the transaction that stores them: versions of roles, watches that trip, alerts.

First everything is worked out, then all alerts that it touches are held at once and in one order, then it takes effect:
so no two workers wait for each other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import BooleanField, ExpressionWrapper, Q

from alerts import detections
from alerts.audit.event import Event
from alerts.detections import Finding, audit_data_damaged
from alerts.models import AccessVersion, Alert, AuditEvent, Batch, Notification, Watch
from alerts.services import alarm, delivery, inventory, revocation, tripwire
from alerts.services.alarm import Found
from alerts.services.kept import event_of
from alerts.services.knowledge import Knowledge

# Of the changes after a version that came late
_JUDGED_AGAIN = 50


@dataclass(frozen=True, slots=True)
class Kept:
    """An event worth a row, the row, and what the detections found in it.

    What is found in a write of a role or binding depends on the versions before it: None until those are recorded.
    """

    batch: Batch
    event: Event
    row: AuditEvent
    findings: tuple[Finding, ...] | None


@dataclass(frozen=True, slots=True)
class Consequences:
    """What is to take effect: findings, watches that trip, and versions after which others were examined already.

    Of such a version it is said when it was received.
    """

    findings: list[Found] = field(default_factory=list)
    tripped: list[tuple[Watch, AuditEvent]] = field(default_factory=list)
    late: list[tuple[AccessVersion, datetime]] = field(default_factory=list)


def work_out(kept: Sequence[Kept], known: Knowledge) -> Consequences:
    """Record what events changed, one after the other, and return what else follows from them."""
    cluster, held = known.cluster, known.held
    watched = bool(kept) and tripwire.waits(cluster)
    found, tripped = Consequences(), set[int]()
    for each in kept:
        findings = each.findings if each.findings is not None else found_in(each.event, each.batch, known)
        found.findings.extend(Found(finding, each.row, each.batch.received_at) for finding in findings)
        version = inventory.record(held, each.event, each.row)
        if watched:
            held.store()
            true = [watch for watch in tripwire.true_by(cluster, each.row, version) if watch.pk not in tripped]
            found.tripped.extend((watch, each.row) for watch in true)
            tripped |= {watch.pk for watch in true}
        if version is not None:
            known.forget()
            # Nothing is judged by a version of which nothing is known.
            if version.tells() and held.newest(version.object) != version:
                found.late.append((version, each.batch.received_at))
    held.store()
    return found


def hold_alerts(found: Consequences, known: Knowledge, *, besides: Iterable[int], fingerprints: Iterable[str]) -> None:
    """Hold the alerts that will be touched, those of these keys and fingerprints among them."""
    alarm.hold(
        known.cluster,
        keys={*besides, *(watch.alert_id for watch, _ in found.tripped)},
        fingerprints={*fingerprints, *(each.finding.fingerprint for each in found.findings)},
        objects={version.object_id for version, _ in found.late},
    )


def take_effect(found: Consequences, known: Knowledge) -> tuple[list[Alert], list[Notification]]:
    """Trip the watches, open the alerts, and judge later changes again; return the new alerts, and who is told what."""
    told = list[Notification]()
    for watch, row in found.tripped:
        tripwire.trip(watch, row)
        told += delivery.announce(watch.alert, tripwire.told(watch), once=f"watch {watch.pk}")
    opened = alarm.open_all(known.cluster, found.findings, known.held)
    again = [judged for version, received_at in found.late for judged in _judged_again(version, received_at, known)]
    return opened + [alert for alert, new in again if new], told


def found_in(event: Event, batch: Batch, known: Knowledge) -> list[Finding]:
    """Return what the detections find in an event, and that it is damaged; nothing in what we did ourselves."""
    return [*_detected(event, known), *audit_data_damaged.examine(event, batch.received_at)]


def _detected(event: Event, known: Knowledge) -> list[Finding]:
    found = detections.examine(event, known)
    return [each for each in found if not (each.kind and revocation.ours(known.cluster, event, kind=each.kind))]


def _judged_again(version: AccessVersion, received_at: datetime, known: Knowledge) -> Iterator[tuple[Alert, bool]]:
    """Examine the next changes of an object again, where what they changed from became known only now."""
    for following in _following(version):
        event = event_of(following)
        if event is None:
            continue
        found = _detected(event, known)
        for finding in found:
            yield alarm.open_alert(known.cluster, finding, following, received_at=received_at)
        if not following.incomplete:
            # Of any other the row may say less than the event did that the alert was opened for.
            alarm.withdraw_all_but(found, following, version.object)


def _following(version: AccessVersion) -> Iterator[AuditEvent]:
    """Yield the events that are judged by this version: what changed the object from it, and what deleted it at last.

    More than one changed it where it is unknown what some left: then the first of them. Whoever may write an object
    makes such changes by the thousand (a request with `timeout=2ms` is one), and each was judged when it came.
    """
    later = version.object.versions.filter(at__gt=version.at).defer("manifest").order_by("at", "pk")
    gone = later.filter(deletion=True, uid=version.uid).exclude(uid="").select_related("event").first()
    known = Q(deletion=True) | Q(manifest__isnull=False)
    told = later.annotate(known=ExpressionWrapper(known, BooleanField())).select_related("event")
    each = None
    for each in told[:_JUDGED_AGAIN].iterator(chunk_size=10):
        if each.event is not None:
            yield each.event
        if each.known:
            break
    if gone is not None and gone.event is not None and gone != each:
        yield gone.event
