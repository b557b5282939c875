"""What was left behind, as a list that people tick off: kept with the alert, whatever becomes of the evidence."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from alerts.models import Activity, Alert, RemedyItem

State = RemedyItem.State


def record(alert: Alert, items: Iterable[Mapping[str, Any]]) -> None:
    """Keep what an investigation found: new items are added, known ones learn whether they are still there.

    What a later search no longer finds stays, as do the ticks. What was gone and is there again loses its tick. Belongs
    into the transaction that saves the evidence, with the alert's row locked.
    """
    known = {each.digest: each for each in alert.remedy_items.all()}
    for item in items:
        digest = RemedyItem.digest_of(item["kind"], item["title"])
        if digest in known:
            _learn(known[digest], item)
        else:
            RemedyItem.objects.create(alert=alert, digest=digest, **_fields(item))


def _fields(item: Mapping[str, Any]) -> dict[str, Any]:
    kind, namespace, name = item["object"] or ("", "", "")
    return {
        "kind": item["kind"],
        "title": item["title"],
        "note": item["note"],
        "command": item["command"],
        "made_by": item["by"],
        "made_at": datetime.fromisoformat(item["at"]) if item["at"] else None,
        "besides": item["besides"],
        "object_kind": kind,
        "namespace": namespace,
        "name": name,
        "state": item["state"],
        "asked_at": timezone.now() if item["state"] in {State.THERE, State.GONE} else None,
    }


def _learn(known: RemedyItem, item: Mapping[str, Any]) -> None:
    """Take over what the cluster says now; where it could not be asked, what it said before stands."""
    state = State(item["state"])
    if state in {State.UNKNOWN, State.READ}:
        return
    if known.state == State.GONE and state == State.THERE and known.ticked_by_id is not None:
        known.ticked_by = known.ticked_at = None
        Activity.objects.record("remedied", f"{known.title} is there again", by=None, alert=known.alert)
    known.state, known.asked_at = state, timezone.now()
    known.save(update_fields=["state", "asked_at", "ticked_by", "ticked_at"])


def tick(item: RemedyItem, *, by: User) -> None:
    """Count an item as dealt with; one that is ticked stays ticked by whom it was."""
    with transaction.atomic():
        fresh = _held(item)
        if fresh.ticked_by_id is None:
            fresh.ticked_by, fresh.ticked_at = by, timezone.now()
            fresh.save(update_fields=["ticked_by", "ticked_at"])
            Activity.objects.record(
                "remedied", f"dealt with {fresh.title}", by=by, alert=fresh.alert, detail=_of(fresh)
            )


def _held(item: RemedyItem) -> RemedyItem:
    """Hold an item, after its alert: an investigation that saves what it found holds them in this order."""
    alert = Alert.objects.select_for_update(no_key=True).get(pk=item.alert_id)
    return alert.remedy_items.select_for_update().get(pk=item.pk)


def tick_removed(alert: Alert, keys: Iterable[int], *, by: User | None) -> None:
    """Count items as dealt with by whom had them removed: the cluster answered that their objects are gone.

    Belongs into the transaction in which the removal ends, with the alert's row locked.
    """
    now = timezone.now()
    for item in alert.remedy_items.select_for_update().filter(pk__in=list(keys)):
        item.state, item.asked_at = State.GONE, now
        if item.ticked_by_id is None and by is not None:
            item.ticked_by, item.ticked_at = by, now
            Activity.objects.record("remedied", f"removed {item.title}", by=by, alert=alert, detail=_of(item))
        item.save(update_fields=["state", "asked_at", "ticked_by", "ticked_at"])


def untick(item: RemedyItem, *, by: User) -> None:
    """Count an item as not dealt with after all."""
    with transaction.atomic():
        fresh = _held(item)
        if fresh.ticked_by_id is not None:
            fresh.ticked_by = fresh.ticked_at = None
            fresh.save(update_fields=["ticked_by", "ticked_at"])
            summary = f"has not dealt with {fresh.title} after all"
            Activity.objects.record("remedied", summary, by=by, alert=fresh.alert, detail=_of(fresh))


def chips(alert: Alert) -> list[list[str]]:
    """Return in a chip how many are still there, or that all are gone."""
    states = list(alert.remedy_items.values_list("state", flat=True))
    if there := states.count(State.THERE):
        return [["high", f"{there} still there"]]
    return [["good", "All gone"]] if states and set(states) == {State.GONE} else []


def listed(alert: Alert) -> list[str]:
    """Return the items a line each, what is still to be dealt with first."""
    items = sorted(alert.remedy_items.all(), key=lambda item: item.ticked_at is not None or item.state == State.GONE)
    return [_line(item) for item in items]


def _line(item: RemedyItem) -> str:
    known = {State.THERE: "still there", State.GONE: "gone already"}.get(State(item.state), "")
    how = ", ".join(filter(None, ("dealt with" if item.ticked_at else "", known)))
    return f"{item.title}{f': {how}' if how else ''}{f' ({item.note})' if item.note else ''}"


def _of(item: RemedyItem) -> dict[str, Any]:
    return {"item": item.pk}
