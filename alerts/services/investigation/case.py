"""Everything an investigation looks at, gathered once: the role as it stood, the cluster, the requests that matter."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any

from django.utils import timezone

from alerts import rbac
from alerts.audit.event import Event, metadata_of
from alerts.audit.visible import storable
from alerts.models import AccessObject, AccessVersion, Alert, AuditEvent, Cluster, KnownActor
from alerts.services import evidence, inventory, known_actors
from alerts.services.investigation.acts import who

PAST = timedelta(days=7)
# Of one search no more events are held at once.
EVENTS = 10_000
# Through a group anybody may use the role; of those found doing so, these many are followed.
FOLLOWED = 20
HOLDERS = 100
_LISTING_HOLDS = timedelta(seconds=60)
_BINDINGS = (AccessObject.Kind.CLUSTER_ROLE_BINDING, AccessObject.Kind.ROLE_BINDING)


@dataclass
class Findings:
    """The requests of a search, in order of time, and whether they are all there were."""

    events: list[Event] = field(default_factory=list)
    opened: int = 0
    left_out: int = 0
    unreadable: int = 0
    cut: bool = False

    @classmethod
    def of(cls, search: evidence.Search) -> "Findings":
        """Run a search."""
        found = list(islice(search, EVENTS + 1))
        return cls(
            evidence.requests(found[:EVENTS]),
            search.opened,
            search.left_out,
            search.unreadable,
            cut=len(found) > EVENTS,
        )

    @property
    def gaps(self) -> str:
        """What was not looked at, in a sentence, or "" where everything was."""
        if self.cut or self.left_out:
            batches = f", and {self.left_out} more batches were not opened" if self.left_out else ""
            return f"Not all: the search stopped after {len(self.events)} requests{batches}."
        if self.unreadable:
            batches = "1 batch was" if self.unreadable == 1 else f"{self.unreadable} batches were"
            return f"Not all: {batches} stored under a key that is not in CREDENTIAL_KEYS."
        return ""


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding that somebody made, when, and who."""

    binding: rbac.Binding
    at: datetime
    by: str


class Case:
    """One alert under investigation.

    `problem` is "" or the sentence that says why the live cluster could not be asked.
    """

    def __init__(self, alert: Alert) -> None:
        self.alert = alert
        self.cluster: Cluster = alert.cluster
        self.problem = _refreshed(self.cluster)
        self.opening: AuditEvent | None = alert.events.order_by("at", "pk").first()
        self.ref = _ref(alert.object)

    @property
    def listed(self) -> bool:
        """Whether the cluster's roles and bindings were ever listed: without, what is not known may still exist."""
        return self.cluster.inventory_at is not None

    @cached_property
    def known_actor(self) -> KnownActor | None:
        """The known actor that did it as it always does; None for anybody else, and for what was refused."""
        if self.opening is None or self.alert.attempted:
            return None
        return known_actors.recognise(self.cluster, self.opening)

    @cached_property
    def versions(self) -> list[AccessVersion]:
        """The role's versions since the alert that say what it was, oldest first."""
        if self.alert.object is None or self.alert.attempted:
            return []
        known = self.alert.object.versions.filter(deletion=False, manifest__isnull=False)
        if self.alert.object_uid:
            # Without a uid it was recorded below level RequestResponse, or is not known to be another object.
            known = known.filter(uid__in=[self.alert.object_uid, ""])
        return list(known.filter(at__gte=self.alert.happened_at).order_by("at", "pk"))

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """The role as last seen since the alert, or as somebody tried to make it; None where nobody recorded it."""
        if self.alert.attempted:
            wanted = self.opening.body.get("requestObject") if self.opening else None
            return wanted if isinstance(wanted, dict) and metadata_of(wanted) else None
        return self.versions[-1].manifest if self.versions else None

    @cached_property
    def role(self) -> rbac.Role | None:
        """The role, or None where its rules are unknown."""
        if self.manifest is None:
            return None
        try:
            return rbac.Role.of_manifest({"kind": "ClusterRole"} | self.manifest)
        except rbac.InvalidRules:
            return None

    @cached_property
    def now(self) -> rbac.Access:
        """Who may do what, as far as it is known now."""
        return inventory.access(self.cluster)

    @cached_property
    def access(self) -> rbac.Access:
        """The same with the role and its bindings as they stood, even where they were taken away since."""
        if self.role is None or self.alert.attempted:
            return self.now
        standing = {(each.kind, each.namespace, each.name) for each in self.now.bindings}
        seen = (each for version in self._referring for each in self._read(version))
        gone = (each for each in seen if (each.kind, each.namespace, each.name) not in standing)
        return self.now.with_(self.role, *gone)

    @cached_property
    def bound(self) -> list["Bound"]:
        """The bindings to the role that somebody made since the alert, oldest first."""
        made = (version for version in self._referring if version.event and version.event.verb in {"create", "patch"})
        first = {binding: version for version in made for binding in self._read(version)}
        return [
            Bound(binding, version.at, version.event.username if version.event else "")
            for binding, version in first.items()
            if version.at >= self.alert.happened_at
        ]

    @cached_property
    def _referring(self) -> list[AccessVersion]:
        """The versions of bindings that refer to a role of that name, oldest first."""
        if self.ref is None:
            return []
        found = AccessVersion.objects.filter(
            object__cluster=self.cluster,
            object__kind__in=_BINDINGS,
            deletion=False,
            manifest__roleRef__name=self.ref.name,
        )
        return list(found.select_related("event").order_by("at", "pk"))

    def _read(self, version: AccessVersion) -> Iterator[rbac.Binding]:
        try:
            binding = rbac.Binding.of_manifest(version.manifest or {})
        except rbac.InvalidRules:
            return
        if binding.role == self.ref:
            yield binding

    @cached_property
    def holders(self) -> tuple[rbac.Holder, ...]:
        """Who holds the role."""
        return self.access.holders(self.ref) if self.ref and not self.alert.attempted else ()

    @cached_property
    def history_since(self) -> datetime | None:
        """The time of the oldest event still stored."""
        return evidence.history_since(self.cluster)

    @cached_property
    def past(self) -> Findings:
        """What the actor did in the days before the alert."""
        until = self.alert.happened_at - timedelta(microseconds=1)
        search = evidence.search(
            self.cluster, actors=[self.alert.actor], since=until - PAST, until=until, newest_first=True
        )
        return Findings.of(search)

    @cached_property
    def since(self) -> Findings:
        """What the actor and the holders did since, and what the role permitted to anybody."""
        roles = [self.ref] if self.ref and not self.alert.attempted else []
        holders = sorted({holder.subject.username for holder in self.holders} - {""})
        actors = {self.alert.actor, *holders[:HOLDERS]} - {""}
        found = self._search(roles, actors)
        through_groups = {storable(who(event)) for event in found.events if self.permitted(event)} - actors
        if through_groups:
            return self._search(roles, {*actors, *sorted(through_groups)[:FOLLOWED]})
        return found

    def _search(self, roles: list[rbac.RoleRef], actors: Iterable[str]) -> Findings:
        return Findings.of(
            evidence.search(self.cluster, roles=roles, actors=list(actors), since=self.alert.happened_at)
        )

    def permitted(self, event: Event) -> bool:
        """Tell whether it was this role that permitted a request."""
        return self.ref is not None and not self.alert.attempted and evidence.role_of(event) == self.ref

    @cached_property
    def through(self) -> list[Event]:
        """The requests that the role permitted."""
        return [event for event in self.since.events if self.permitted(event)]

    def by_actor(self, event: Event) -> bool:
        """Tell whether the alert's actor made a request."""
        return self.alert.actor in {storable(event.actor), storable(who(event))}


def _ref(named: AccessObject | None) -> rbac.RoleRef | None:
    return rbac.RoleRef(named.kind, named.name, named.namespace) if named else None


def _refreshed(cluster: Cluster) -> str:
    """List the live cluster where that was not just done; return why it could not be asked, or ""."""
    if not cluster.api_address or not cluster.readable:
        return ""
    fresh = cluster.inventory_at is not None and timezone.now() - cluster.inventory_at < _LISTING_HOLDS
    if fresh and not cluster.inventory_error:
        return ""
    return "" if inventory.refresh(cluster) else cluster.inventory_error


def readable(cluster: Cluster) -> bool:
    """Tell whether the live cluster may be asked."""
    return bool(cluster.api_address and cluster.readable)
