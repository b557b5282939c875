"""The stored batches as evidence: what some roles permitted and some actors did, searched again when it is asked."""

import time
from collections.abc import Buffer, Callable, Collection, Iterable, Iterator
from datetime import datetime
from functools import cache, lru_cache
from itertools import accumulate, groupby

from alerts import rbac
from alerts.audit.event import FINAL_STAGES, Event
from alerts.audit.glance import Glance, skim
from alerts.audit.reason import Grant
from alerts.audit.visible import storable
from alerts.models import Batch, Cluster
from alerts.models.credential import CredentialLost
from alerts.services import archive, mentions

# A search opens no more batches than this, and no more bytes; what it leaves out it counts.
BATCHES = 400
BYTES = 256 * 1024 * 1024
# Nor does it go on for longer: what a shipper compressed may come to any number of bytes, and both searches of an
# investigation have to be over before its task may not run any more (CELERY_TASK_TIME_LIMIT).
SECONDS = 20.0
# Of batches fetched together, before compression.
_FETCHED_BYTES = 8 * 1024 * 1024
# What it leaves out is counted so far: to count all of it, every batch that is stored would have to be looked at.
COUNTED = 1_000


class Search(Iterable[Event]):
    """The events that some roles permitted or some actors made, in time, streamed batch by batch.

    An actor counts in both senses: who made the request, and who was impersonated. Of more batches than may be opened,
    those come first in which a role permitted something: whoever floods the log puts their own name into each.
    `left_out` is the number of batches that a limit kept closed, up to COUNTED, and `unreadable` of those under a lost
    key; both are known at the end.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        roles: Collection[rbac.RoleRef],
        actors: Collection[str],
        since: datetime,
        until: datetime | None,
        newest_first: bool,
    ) -> None:
        self.cluster = cluster
        self.roles = frozenset(rbac.RoleRef(ref.kind, storable(ref.name), storable(ref.namespace)) for ref in roles)
        self.actors = frozenset(map(storable, actors))
        # Asked of every event of every batch, in which the same few names and reasons come again and again.
        self._is_one = cache(lambda username: storable(username) in self.actors)
        self._is_allowing = cache(lambda reason: bool(self.roles) and _role(reason) in self.roles)
        self.since, self.until = since, until
        self.newest_first = newest_first
        self.opened = self.left_out = self.unreadable = 0

    def __iter__(self) -> Iterator[Event]:
        return self.events(lambda _: False)

    def events(self, enough: Callable[[Event | Glance], bool]) -> Iterator[Event]:
        """Yield the events but those of which there are `enough`, unless their batch had to be decoded all the same."""
        if not self.roles and not self.actors:
            return
        opened, self.left_out = self._chosen()
        self.opened = self.unreadable = 0
        deadline = time.monotonic() + SECONDS
        ends = accumulate(size for _, size in opened)
        # A query for each batch takes half as long as looking through its events.
        for _, together in groupby(zip(opened, ends, strict=True), key=lambda each: each[1] // _FETCHED_BYTES):
            keys = [pk for (pk, _), _ in together]
            bodies = dict(Batch.objects.filter(pk__in=keys).order_by().values_list("pk", "body"))
            for pk in keys:
                if self.opened and time.monotonic() > deadline:
                    self.left_out = min(self.left_out + len(opened) - self.opened, COUNTED)
                    return
                self.opened += 1
                # It may have been purged since.
                yield from self._events(bodies[pk], enough) if pk in bodies else ()

    def _chosen(self) -> tuple[list[tuple[int, int]], int]:
        """Return the keys and sizes of the batches to open, in order of time, and how many are left out."""
        roles = [mentions.role(ref.kind, ref.namespace, ref.name) for ref in self.roles]
        candidates: dict[int, tuple[int, datetime | None]] = {}
        for lines in (roles, list(map(mentions.actor, self.actors))):
            for pk, size, latest_at in self._mentioning(lines) if lines else ():
                candidates.setdefault(pk, (size, latest_at))
        ends = accumulate(size for size, _ in candidates.values())
        fitting = [pk for pk, end in zip(candidates, ends, strict=True) if end <= BYTES][:BATCHES]
        fitting.sort(key=lambda pk: (candidates[pk][1] or self.since, pk), reverse=self.newest_first)
        return [(pk, candidates[pk][0]) for pk in fitting], min(len(candidates) - len(fitting), COUNTED)

    def _mentioning(self, lines: list[str]) -> Iterable[tuple[int, int, datetime | None]]:
        """Return the first batches that mention any of it: their keys and sizes, and when their last events came."""
        found = Batch.objects.filter(mentions.any_of(lines), cluster=self.cluster, latest_at__gte=self.since)
        if self.until is not None:
            found = found.filter(earliest_at__lte=self.until)
        # In this order the index is read, and no more of it than is needed.
        order = ["-latest_at", "-pk"] if self.newest_first else ["latest_at", "pk"]
        return found.order_by(*order).values_list("pk", "size", "latest_at")[: BATCHES + COUNTED]

    def _events(self, packed: Buffer, enough: Callable[[Event | Glance], bool]) -> Iterator[Event]:
        try:
            content = archive.unpack(packed)
        except CredentialLost:
            self.unreadable += 1
            return
        events = skim(content, lambda glance: self._meant(glance) and not enough(glance)).decoded.events
        yield from (event for event in (reversed(events) if self.newest_first else events) if self._meant(event))

    def permitted(self, event: Event | Glance) -> bool:
        """Tell whether one of the roles permitted a request."""
        return self._is_allowing(event.reason)

    def _meant(self, event: Event | Glance) -> bool:
        if not (is_by(event, self._is_one) or self.permitted(event)):
            return False
        at = event.at
        return at is not None and at >= self.since and (self.until is None or at <= self.until)


def search(
    cluster: Cluster,
    *,
    roles: Collection[rbac.RoleRef] = (),
    actors: Collection[str] = (),
    since: datetime,
    until: datetime | None = None,
    newest_first: bool = False,
) -> Search:
    """Return every stage of the requests between two times that a role permitted or an actor made."""
    return Search(cluster, roles=roles, actors=actors, since=since, until=until, newest_first=newest_first)


def requests(events: Iterable[Event]) -> list[Event]:
    """Return one event for each request, in order of time: the final stage, or for one still running its beginning."""
    found: dict[tuple[object, ...], Event] = {}
    for event in events:
        key = _request(event)
        if event.stage in FINAL_STAGES or key not in found:
            found[key] = event
    return sorted(found.values(), key=lambda event: event.at.timestamp() if event.at else 0.0)


def once(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the first stage that comes of each request, as it comes: of a hundred thousand none is held."""
    seen: set[int] = set()
    for event in events:
        key = hash(_request(event))
        if key not in seen:
            seen.add(key)
            yield event


def _request(event: Event) -> tuple[object, ...]:
    """Return what the stages of a request have in common, and no other: the audit ID alone is chosen by the client."""
    return event.audit_id, event.request_received_timestamp, event.verb, event.request_uri


def role_of(event: Event | Glance) -> rbac.RoleRef | None:
    """Return the role that permitted the request, by its name as it is stored; None where RBAC did not permit it."""
    return _role(event.reason)


# Of the events of a batch a few dozen reasons are given.
@lru_cache(maxsize=1024)
def _role(reason: str) -> rbac.RoleRef | None:
    grant = Grant.of(reason)
    return rbac.RoleRef(grant.role_kind, storable(grant.role_name), storable(grant.role_namespace)) if grant else None


def is_by(event: Event | Glance, is_one: Callable[[str], bool]) -> bool:
    """Tell whether somebody who is meant made the request or was impersonated in it."""
    assumed = event.impersonated_user
    return is_one(event.user.username) or (assumed is not None and is_one(assumed.username))


def history_since(cluster: Cluster) -> datetime | None:
    """Return when the oldest batch begins that is still stored, or None where there is none."""
    oldest = Batch.objects.filter(cluster=cluster, latest_at__isnull=False).order_by("latest_at", "pk")
    return oldest.values_list("earliest_at", flat=True).first()
