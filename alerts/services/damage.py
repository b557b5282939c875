"""What came damaged: kept as it came, with the alert of that where it concerns roles and bindings or may."""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from alerts.audit import redaction
from alerts.audit.decode import Damaged
from alerts.audit.visible import storable
from alerts.detections import Finding, audit_data_damaged
from alerts.models import Alert, Batch, DamagedItem
from alerts.services import alarm, archive


def causes(damaged: Iterable[tuple[Batch, Sequence[Damaged]]]) -> set[str]:
    """Return the fingerprints of what is found in damaged items."""
    return {finding.fingerprint for batch, items in damaged for item in items for finding in _found_in(item, batch)}


def keep(batch: Batch, damaged: Sequence[Damaged]) -> list[Alert]:
    """Store what is damaged, with the alert of that where it concerns RBAC or may, and return the alerts it opened."""
    found = {each.sha256: each for each in damaged}
    known = DamagedItem.objects.filter(cluster=batch.cluster, sha256__in=list(found))
    for sha256 in known.values_list("sha256", flat=True):
        del found[sha256]
    alerts: dict[str, tuple[Alert, bool]] = {}
    items = []
    # In one order, in which no two wait for each other.
    for each in sorted(found.values(), key=attrgetter("sha256")):
        item = _damaged(batch, each)
        for finding in _found_in(each, batch):
            if finding.fingerprint not in alerts:
                alerts[finding.fingerprint] = alarm.open_alert(
                    batch.cluster, finding, at=batch.received_at, received_at=batch.received_at
                )
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
