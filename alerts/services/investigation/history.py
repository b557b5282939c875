"""How far back the requests on a cluster are known: those in the stored batches, and those held with an alert.

What an investigation found must not be forgotten when the batches it came in are purged.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import accumulate

import msgspec
from django.utils import timezone

from alerts import rbac
from alerts.audit.decode import read
from alerts.audit.envelope import Item
from alerts.audit.event import Event
from alerts.models import Alert, HeldRequests
from alerts.models.credential import CredentialLost
from alerts.services import archive, evidence
from alerts.services.investigation import attack
from alerts.services.investigation.acts import resource_of
from alerts.services.investigation.findings import Findings

PAST = timedelta(days=7)
# Of the time before an alert, and of the time since, no more is held than this.
REQUESTS, BYTES = 500, 2 * 1024 * 1024

_items = msgspec.msgpack.Decoder(list[Item])


class History:
    """The requests around an alert, as far as they are stored, or were when it was investigated before."""

    def __init__(self, alert: Alert) -> None:
        self.alert = alert
        self._row = HeldRequests.objects.filter(pk=alert.pk).first()
        self._unreadable = False

    @cached_property
    def stored_since(self) -> datetime | None:
        """When the oldest batch begins that is still stored."""
        return evidence.history_since(self.alert.cluster)

    @cached_property
    def since(self) -> datetime | None:
        """When the oldest batch began that was looked at, now or before."""
        known = self._row.history_since if self._row else None
        return min(filter(None, (self.stored_since, known)), default=None)

    @property
    def purged(self) -> bool:
        """Whether something that was looked at before is not stored any more."""
        return self.stored_since != self.since

    def before(self, actor: str) -> Findings:
        """Return what somebody did in the days before the alert."""
        until = self.alert.happened_at - timedelta(microseconds=1)
        since = until - PAST
        search = evidence.search(self.alert.cluster, actors=[actor], since=since, until=until, newest_first=True)
        return self._with_held(Findings.of(search), since, until)

    def after(self, roles: Collection[rbac.RoleRef], actors: Collection[str]) -> Findings:
        """Return what roles permitted and actors did since the alert."""
        since = self.alert.happened_at
        search = evidence.search(self.alert.cluster, roles=roles, actors=actors, since=since)
        return self._with_held(Findings.of(search), since, None)

    def _with_held(self, found: Findings, since: datetime, until: datetime | None) -> Findings:
        held = [each for each in self._held if each.at and each.at >= since and (until is None or each.at <= until)]
        purged_until = None
        if self._row and self._row.cut and self.purged:
            purged_until = self.stored_since or timezone.now()
        return replace(
            found,
            events=evidence.requests([*held, *found.events]),
            unreadable=found.unreadable + self._unreadable,
            purged_until=purged_until if purged_until and purged_until > since else None,
        )

    @cached_property
    def _held(self) -> list[Event]:
        """The requests held with the alert, in order of time."""
        if self._row is None:
            return []
        try:
            items = _items.decode(archive.unpack(self._row.body))
        except CredentialLost:
            self._unreadable = True
            return []
        return [event for item in items if (event := read(item)[0])]

    def hold(self, past: list[Event], since: list[Event], permitted: Callable[[Event], bool]) -> None:
        """Hold what was found with the alert. Belongs into the transaction that saves what follows from it."""
        if self._unreadable:
            # The key may come back.
            return
        held = [*_chosen(past, permitted), *_chosen(since, permitted)]
        cut = bool(self._row and self._row.cut) or len(held) < len(past) + len(since)
        body = archive.pack(msgspec.msgpack.encode([Item(event.raw, at=event.at) for event in held]))
        fields = {"history_since": self.since, "cut": cut, "body": body}
        HeldRequests.objects.update_or_create(alert=self.alert, defaults=fields)


def _chosen(events: list[Event], permitted: Callable[[Event], bool]) -> list[Event]:
    """Return those of the requests that are held, in their order: first what a role permitted, then what tells most."""

    def weight(place: int) -> tuple[bool, bool]:
        event = events[place]
        return not permitted(event), attack.pattern_of(event.verb, resource_of(event)) is None

    places = sorted(range(len(events)), key=weight)[:REQUESTS]
    sizes = accumulate(len(events[place].raw) for place in places)
    chosen = sorted(place for place, size in zip(places, sizes, strict=True) if size <= BYTES)
    return [events[place] for place in chosen]
