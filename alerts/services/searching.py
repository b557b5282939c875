"""The search that people make themselves: through everything that a cluster sent and that is still stored.

It looks through the newest batches first, some at a time, and goes on where it is asked to.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Self

from django.db.models import Q, QuerySet

from alerts import rbac
from alerts.audit.event import RBAC_GROUP, WRITES, Event
from alerts.audit.glance import Glance, skim
from alerts.detections import writes
from alerts.models import Batch, Cluster
from alerts.models.credential import CredentialLost
from alerts.services import inbox, mentions
from alerts.services.evidence import is_by, role_of

# A page opens so many batches at most, and shows so many events; the next one goes on where it ended.
BATCHES_A_PAGE = 20
EVENTS_A_PAGE = 200
# And opens no further batch after so long: each may hold what a shipper compressed, and somebody waits.
SECONDS_A_PAGE = 5.0
_UNEXAMINED = (*Batch.UNEXAMINED, Batch.State.QUARANTINED)


@dataclass(frozen=True)
class Wanted:
    """What somebody looks for in the batches: any of an actor, a role that allowed, and a role or binding written."""

    actor: str = ""
    role: rbac.RoleRef | None = None
    written: tuple[str, str, str] | None = None

    @cached_property
    def lines(self) -> frozenset[str]:
        """What a batch mentions that holds some of it."""
        found = {mentions.actor(self.actor)} if self.actor else set()
        if self.role is not None:
            found.add(mentions.role(self.role.kind, self.role.namespace, self.role.name))
        if self.written is not None:
            found |= {mentions.object_(*self.written), self._unnamed}
        return frozenset(found)

    def fits(self, event: Event) -> bool:
        """Tell whether the event is meant, or may be: the log does not name what it made or deleted of the kind."""
        return self._fits(event) or (self.written is not None and event.writes_rbac and self._wrote(event))

    def may_fit(self, glance: Glance) -> bool:
        """Tell whether the event may be meant, of which the name of what it made may be in the answer only."""
        about = glance.object_ref
        writes_rbac = glance.verb in WRITES and (about is None or about.api_group == RBAC_GROUP)
        return self._fits(glance) or (self.written is not None and writes_rbac)

    def _fits(self, event: Event | Glance) -> bool:
        # By its line, which holds names as they are shown: so are those that somebody copies from a page.
        return (bool(self.actor) and is_by(event, self._is_actor)) or (
            self.role is not None and self._is_by_role(event)
        )

    def _is_actor(self, username: str) -> bool:
        return mentions.actor(username) in self.lines

    def _is_by_role(self, event: Event | Glance) -> bool:
        role = role_of(event)
        return role is not None and mentions.role(role.kind, role.namespace, role.name) in self.lines

    def _wrote(self, event: Event) -> bool:
        meant = self.lines if writes.unnamed(event) else self.lines - {self._unnamed}
        return not meant.isdisjoint(mentions.objects(event))

    @property
    def _unnamed(self) -> str:
        """The line for a write of the kind that names none, or more than are mentioned."""
        resource, namespace, _ = self.written or ("", "", "")
        return mentions.object_(resource, namespace, "")


@dataclass(frozen=True, slots=True)
class Found:
    """An event that was looked for. `at` is when its batch was received where it does not say itself when it came."""

    event: Event
    at: datetime

    @property
    def role(self) -> rbac.RoleRef | None:
        """The role that permitted the request, None where RBAC did not."""
        return role_of(self.event)

    @property
    def unnamed(self) -> bool:
        """Whether it wrote roles or bindings that the log does not name."""
        return self.event.writes_rbac and writes.unnamed(self.event)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: after so many events that were found in a batch, or after all of it where that is None."""

    batch: int
    shown: int | None = None

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what `str` wrote. Raises ValueError."""
        batch, _, shown = text.partition(".")
        return cls(int(batch), int(shown) if shown else None)

    def rest(self) -> Q:
        """Return the condition on the batches of which something may be left."""
        return Q(pk__lt=self.batch) if self.shown is None else Q(pk__lte=self.batch)

    def __str__(self) -> str:
        return f"{self.batch}" if self.shown is None else f"{self.batch}.{self.shown}"


@dataclass(frozen=True, slots=True)
class Page:
    """What was found, the newest batches first.

    `reached` is when the last batch was received that was looked into, None where there was none. `before` is where the
    next page begins, None at the end.
    """

    found: list[Found]
    unreadable: int
    reached: datetime | None
    before: Place | None


def page(
    cluster: Cluster, wanted: Wanted, *, since: datetime | None, until: datetime | None, before: Place | None
) -> Page:
    """Look through some more batches of a cluster, from where a page ended on back in time."""
    batches = _between(Batch.objects.filter(mentions.any_of(wanted.lines), cluster=cluster), since, until)
    batches = batches.filter(before.rest()) if before else batches
    keys = list(batches.order_by("-pk").values_list("pk", flat=True)[: BATCHES_A_PAGE + 1])
    found: list[Found] = []
    reached, unreadable, end = None, 0, before
    began = time.monotonic()
    for pk in keys[:BATCHES_A_PAGE]:
        if len(found) == EVENTS_A_PAGE or (reached and time.monotonic() - began > SECONDS_A_PAGE):
            break
        end = Place(pk)
        batch = Batch.objects.only("body", "received_at").filter(pk=pk).first()
        if batch is None:
            # It was purged since.
            continue
        reached = batch.received_at
        try:
            of_batch = _found(batch, wanted, since, until)
        except CredentialLost:
            unreadable += 1
            continue
        start = (before.shown or 0) if before is not None and before.batch == pk else 0
        stop = start + EVENTS_A_PAGE - len(found)
        found += of_batch[start:stop]
        if stop < len(of_batch):
            end = Place(pk, stop)
    return Page(found, unreadable, reached, end if keys and end != Place(keys[-1]) else None)


def not_searched(cluster: Cluster, since: datetime | None) -> int:
    """Return how many batches nobody has looked into, though they may hold what happened since then.

    They wait, are being examined or were set aside, so what they mention is unknown. However late one was received, it
    may hold what happened long before.
    """
    unexamined = Batch.objects.filter(cluster=cluster, state__in=_UNEXAMINED)
    return (unexamined.filter(received_at__gte=since) if since else unexamined).count()


def _between(batches: QuerySet[Batch], since: datetime | None, until: datetime | None) -> QuerySet[Batch]:
    """Return the batches that may hold events between two times.

    What is left of a damaged event may lack its times: then it counts as having come when its batch did.
    """
    untimed = Q(latest_at=None) | Q(damaged_count__gt=0)
    if since:
        batches = batches.filter(Q(latest_at__gte=since) | untimed & Q(received_at__gte=since))
    if until:
        batches = batches.filter(Q(earliest_at__lte=until) | untimed & Q(received_at__lte=until))
    return batches


def _found(batch: Batch, wanted: Wanted, since: datetime | None, until: datetime | None) -> list[Found]:
    """Return what a batch holds of what is wanted, the last first. Raises CredentialLost."""
    events = reversed(skim(inbox.body(batch), wanted.may_fit).decoded.events)
    found = (Found(event, event.at or batch.received_at) for event in events if wanted.fits(event))
    return [each for each in found if (since is None or each.at >= since) and (until is None or each.at <= until)]
