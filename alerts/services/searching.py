"""The search that people make themselves: through everything that a cluster sent and that is still stored.

It looks through the newest batches first, some at a time, and goes on where it is asked to.
"""

from dataclasses import dataclass
from datetime import datetime

from alerts import rbac
from alerts.audit.event import RBAC_GROUP, WRITES, Event
from alerts.audit.glance import Glance, skim
from alerts.audit.visible import storable
from alerts.models import Batch, Cluster
from alerts.models.credential import CredentialLost
from alerts.services import inbox, mentions
from alerts.services.evidence import is_by, role_of

# One look at the batches opens so many at most, and stops after the one that fills the page.
BATCHES_A_PAGE = 20
EVENTS_A_PAGE = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for in the batches: any of an actor, a role that allowed, and a role or binding written."""

    actor: str = ""
    role: rbac.RoleRef | None = None
    written: tuple[str, str, str] | None = None

    def lines(self) -> list[str]:
        """Return what a batch mentions that holds some of it."""
        found = [mentions.actor(self.actor)] if self.actor else []
        found += [mentions.role(self.role.kind, self.role.namespace, self.role.name)] if self.role else []
        return found + ([mentions.object_(*self.written)] if self.written else [])

    def fits(self, event: Event) -> bool:
        """Tell whether the event is meant."""
        written = (event.resource, storable(event.namespace), storable(event.name))
        return self._fits(event) or (self.written is not None and event.writes_rbac and written == self.written)

    def may_fit(self, glance: Glance) -> bool:
        """Tell whether the event may be meant, of which the name of what it made may be in the answer only."""
        about = glance.object_ref
        writes = glance.verb in WRITES and (about is None or about.api_group == RBAC_GROUP)
        return self._fits(glance) or (self.written is not None and writes)

    def _fits(self, event: Event | Glance) -> bool:
        by_actor = bool(self.actor) and is_by(event, lambda username: storable(username) == self.actor)
        return by_actor or (self.role is not None and role_of(event) == self.role)


@dataclass(frozen=True, slots=True)
class Page:
    """Events, those of the newest batches first; `before` is where the next page begins, None at the end."""

    events: list[Event]
    opened: int
    unreadable: int
    before: int | None


def page(
    cluster: Cluster, wanted: Wanted, *, since: datetime | None, until: datetime | None, before: int | None
) -> Page:
    """Look through some more batches of a cluster, from the one received before `before` on back in time."""
    found = Batch.objects.filter(mentions.any_of(wanted.lines()), cluster=cluster)
    found = found.filter(latest_at__gte=since) if since else found
    found = found.filter(earliest_at__lte=until) if until else found
    found = found.filter(pk__lt=before) if before else found
    keys = list(found.order_by("-pk").values_list("pk", flat=True)[: BATCHES_A_PAGE + 1])
    events: list[Event] = []
    opened = unreadable = 0
    for batch in (Batch.objects.only("body").filter(pk=pk).first() for pk in keys[:BATCHES_A_PAGE]):
        opened += 1
        try:
            decoded = skim(inbox.body(batch), wanted.may_fit).decoded.events if batch else ()
        except CredentialLost:
            unreadable += 1
            continue
        events += [event for event in reversed(decoded) if _between(event, since, until) and wanted.fits(event)]
        if len(events) >= EVENTS_A_PAGE:
            break
    return Page(events, opened, unreadable, keys[opened - 1] if opened < len(keys) else None)


def _between(event: Event, since: datetime | None, until: datetime | None) -> bool:
    at = event.at
    return at is not None and (since is None or at >= since) and (until is None or at <= until)
