"""How often an actor, its address and its client were seen before, and whether they are new."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from alerts.audit.event import Event
from alerts.audit.visible import storable
from alerts.models import AuditEvent, Batch
from alerts.services import mentions
from alerts.services.investigation.case import Case

# What an actor first used so shortly before counts as new, where it did enough before to tell.
NEW = timedelta(days=1)
ENOUGH = 5
# Who never came before is only new where there is a before.
LONG_ENOUGH = timedelta(hours=1)


def address(row: AuditEvent) -> str:
    """Return where the request says it came from: the first address, which a client may make up."""
    return row.source_ips[0] if row.source_ips else ""


def address_of(event: Event) -> str:
    """Return the same of an event."""
    return storable(event.source_ips[0]) if event.source_ips else ""


def addresses_of(event: Event) -> frozenset[str]:
    """Return every address that a request came over, as it says and as the API server saw."""
    return frozenset(map(storable, event.source_ips or ()))


def telling_address(case: Case, row: AuditEvent) -> str:
    """Return the first of a request's addresses that is new to its actor; where none is, the first of all.

    A client may make up all but the last, and the last may be a proxy's that everybody comes over: so where it came
    from is usual only if all of them are, as for a known actor (`pattern.within_networks`).
    """
    first_seen: dict[str, datetime] = {}
    for event in case.past.events:
        if event.at is not None:
            first_seen |= {each: min(event.at, first_seen.get(each, event.at)) for each in addresses_of(event)}
    addresses = row.source_ips or ()
    # A client may name very many; they were first seen at no more moments than there are events.
    new = {first: _new(case, first) for first in set(map(first_seen.get, addresses))}
    return next((each for each in addresses if new[first_seen.get(each)]), address(row))


def client_of(event: Event) -> str:
    """Return the client's own name for itself."""
    return storable(event.user_agent or "")


def of(case: Case, row: AuditEvent) -> Iterator[dict[str, Any]]:
    """Yield what was seen before of the actor, of its address and of its client, as plain JSON.

    `anybody` is None where it is not known whether anybody else was seen with it.
    """
    past, came_from = case.past.events, telling_address(case, row)
    yield _sighting(case, "actor", case.alert.actor, [mentions.actor(case.alert.actor)], past)
    there = [event for event in past if came_from in addresses_of(event)]
    seen = _sighting(case, "address", came_from, [mentions.address(came_from)], there)
    # Of a request's addresses batches mention the first: of another they tell nothing.
    yield seen if came_from == address(row) else seen | {"anybody": None}
    with_it = [event for event in past if client_of(event) == row.user_agent]
    yield _sighting(case, "client", row.user_agent, mentions.clients(row.user_agent), with_it)


def _sighting(case: Case, what: str, value: str, lines: Collection[str], events: Collection[Event]) -> dict[str, Any]:
    times = [event.at for event in events if event.at]
    first = min(times, default=None)
    return {
        "what": what,
        "value": value,
        "count": len(times),
        "of": len(case.past.events),
        "first": _before(case, first),
        "last": _before(case, max(times, default=None)),
        "new": bool(value) and (_newcomer(case) if what == "actor" else _new(case, first)),
        "anybody": _anybody(case, lines) | _told_before(case, what, value) if value else {},
    }


def comes_from_elsewhere(case: Case, row: AuditEvent) -> bool:
    """Tell whether the API server saw the request come from where none of the actor's earlier ones came from.

    That is the last address. A client may make up those before it (X-Forwarded-For).
    """
    seen = {storable(event.source_ips[-1]) for event in case.past.events if event.source_ips}
    observed = row.source_ips[-1] if row.source_ips else ""
    return bool(seen) and observed not in seen


def _before(case: Case, at: datetime | None) -> str:
    """Return how long before the alert it was, in one unit; "" for never."""
    if at is None:
        return ""
    seconds = (case.alert.happened_at - at).total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} before"
    return "less than 1 s before"


def _newcomer(case: Case) -> bool:
    since = case.history.since
    return not case.past.events and since is not None and case.alert.happened_at - since >= LONG_ENOUGH


def _new(case: Case, first: datetime | None) -> bool:
    """Tell whether it is new to an actor that did enough before without it."""
    happened = case.alert.happened_at
    if first is not None and happened - first >= NEW:
        return False
    return sum(1 for event in case.past.events if event.at and event.at < (first or happened)) >= ENOUGH


def _anybody(case: Case, lines: Collection[str]) -> dict[str, str]:
    """Return when it was seen on the cluster, whoever it was, to the batch: in those that ended before the alert."""
    earlier = Batch.objects.filter(mentions.any_of(lines), cluster=case.cluster, latest_at__lt=case.alert.happened_at)
    # The first and the last one by themselves: each is found where it is, without a look at all between them.
    first = earlier.order_by("latest_at").values_list("earliest_at", flat=True).first()
    last = earlier.order_by("-latest_at").values_list("latest_at", flat=True).first()
    return {key: _before(case, at) for key, at in (("first", first), ("last", last)) if at is not None}


def _told_before(case: Case, what: str, value: str) -> dict[str, str]:
    """Return the same as an earlier investigation found it, where batches that it looked at are purged."""
    told = case.alert.evidence.get("creator", {}).get("sightings", ()) if case.history.purged else ()
    return next((each["anybody"] or {} for each in told if (each["what"], each["value"]) == (what, value)), {})
