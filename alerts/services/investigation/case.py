"""Everything an investigation looks at, gathered once: the role as it stood, the cluster, the requests that matter."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from django.db.models import Q

from alerts import detections, rbac
from alerts.audit.event import Event, metadata_of
from alerts.audit.visible import storable
from alerts.detections import powerful_impersonation
from alerts.detections.writes import doubt
from alerts.models import AccessObject, AccessVersion, Alert, AuditEvent, Cluster, KnownActor
from alerts.services import evidence, inventory, known_actors, listing
from alerts.services.investigation.acts import who
from alerts.services.investigation.findings import Findings
from alerts.services.investigation.history import History
from alerts.services.kept import event_of

# Through a group anybody may use the role; of those found doing so, these many are followed.
FOLLOWED = 20
HOLDERS = 100
_BINDINGS = (AccessObject.Kind.CLUSTER_ROLE_BINDING, AccessObject.Kind.ROLE_BINDING)
# What these find is that something is gone: it is looked at as it last stood.
_GONE = frozenset({"role_deleted", "default_role_tampered"})


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding that somebody made, when, and who."""

    binding: rbac.Binding
    at: datetime
    by: str


class Case:
    """One alert under investigation: on a role, on a binding, or on somebody whose power was taken or handed out.

    `problem` is "" or the sentence that says why the live cluster could not be asked.
    """

    def __init__(self, alert: Alert) -> None:
        self.alert = alert
        self.cluster: Cluster = alert.cluster
        self.history = History(alert)
        self.problem = listing.renew(self.cluster)
        self.opening: AuditEvent | None = alert.events.order_by("at", "pk").first()

    @cached_property
    def ref(self) -> rbac.RoleRef | None:
        """The role it is about: the alert's object, or the one that its binding refers to."""
        about = self.alert.object
        if about is None or about.kind in _BINDINGS:
            return self.binding.role if self.binding else None
        return rbac.RoleRef(about.kind, about.name, about.namespace)

    @cached_property
    def binding(self) -> rbac.Binding | None:
        """The binding it is about, None for an alert on something else or where the binding is unknown."""
        about = self.alert.object
        if about is None or about.kind not in _BINDINGS or self.manifest is None:
            return None
        try:
            return rbac.Binding.of_manifest(self.manifest | {"kind": about.kind})
        except rbac.InvalidRules:
            return None

    @cached_property
    def identity(self) -> detections.Identity | None:
        """Whose power was taken or handed out, by a token, a certificate or impersonation; None for other alerts."""
        event = event_of(self.opening) if self.opening and self.alert.object is None else None
        return detections.identity(self.alert.detection, event) if event else None

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

    @property
    def doubt(self) -> str:
        """How a sentence ends that tells what was done, where nobody knows whether it was; "" where it is known.

        Whom somebody impersonated is known whatever came of it.
        """
        event = event_of(self.opening) if self.opening and not self.alert.attempted else None
        return doubt(event) if event and self.alert.detection != powerful_impersonation.NAME else ""

    @cached_property
    def version(self) -> AccessVersion | None:
        """The newest of the role's versions since the alert that say what it was; None where there is none."""
        if self.alert.object is None or self.alert.attempted:
            return None
        known = self.alert.object.versions.filter(deletion=False, manifest__isnull=False)
        if self.alert.object_uid:
            # Without a uid it was recorded below level RequestResponse, or is not known to be another object.
            known = known.filter(uid__in=[self.alert.object_uid, ""])
        return known.filter(at__gte=self.alert.happened_at).order_by("-at", "-pk").first()

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """The role as last seen since the alert, or as somebody tried to make it; None where nobody recorded it."""
        if self.alert.attempted:
            return self._wanted
        if self.version is not None:
            return self.version.manifest
        if self.alert.detection in _GONE or self._unchanged:
            return self.before
        return self._wanted if self.doubt else None

    @property
    def _wanted(self) -> dict[str, Any] | None:
        """The role as the request would have it; of a patch only the rules or subjects that it sets are known."""
        wanted = self.opening.body.get("requestObject") if self.opening else None
        return wanted if isinstance(wanted, dict) and (metadata_of(wanted) or "rules" in wanted) else None

    @cached_property
    def before(self) -> dict[str, Any] | None:
        """The alert's object as it was last seen before; None where nobody saw it."""
        if self.alert.object is None:
            return None
        versions = self.alert.object.versions
        made = versions.filter(event=self.opening).first() if self.opening else None
        # Its request may have begun long before another write that it came after.
        since = Q(at__lt=made.at) | Q(at=made.at, pk__lt=made.pk) if made else Q(at__lt=self.alert.happened_at)
        version = versions.filter(since, deletion=False, manifest__isnull=False).order_by("-at", "-pk").first()
        return version.manifest if version else None

    @property
    def _unchanged(self) -> bool:
        """Whether a listing since shows the object as it was before, so that it made no version of its own."""
        listed, about = self.cluster.inventory_at, self.alert.object
        changed = self.alert.detection in {"role_widened", "binding_changed"}
        return bool(changed and about and about.deleted_at is None and listed and listed > self.alert.happened_at)

    @cached_property
    def role(self) -> rbac.Role | None:
        """The role, or None where its rules are unknown."""
        about = self.alert.object
        if about is not None and about.kind in _BINDINGS:
            return self._bound_role(self.ref) if self.ref else None
        return self._role(self.manifest)

    def _bound_role(self, ref: rbac.RoleRef) -> rbac.Role | None:
        """Return the role that a binding refers to: one that was never seen as Kubernetes ships it, where it does."""
        shipped = rbac.default_roles().get(ref.name) if ref.kind == "ClusterRole" and not self.listed else None
        return self.now.roles.get(ref) or shipped

    @cached_property
    def role_before(self) -> rbac.Role | None:
        """The role as it was before a change, None where it was not there or nobody saw it."""
        return self._role(self.before) if self.alert.object and self.alert.object.kind not in _BINDINGS else None

    def _role(self, manifest: dict[str, Any] | None) -> rbac.Role | None:
        about = self.alert.object
        if manifest is None:
            return None
        named: dict[str, Any] = {"kind": about.kind if about else "ClusterRole"}
        if about is not None and not metadata_of(manifest).get("name"):
            named |= {"metadata": {"name": about.name, "namespace": about.namespace}}
        try:
            return rbac.Role.of_manifest(manifest | named)
        except rbac.InvalidRules:
            return None

    @cached_property
    def now(self) -> rbac.Access:
        """Who may do what, as far as it is known now."""
        return inventory.access(self.cluster)

    @cached_property
    def access(self) -> rbac.Access:
        """The same with the role and its bindings as they stood, even where they were taken away since."""
        if self.alert.attempted:
            return self.now
        if self.binding is not None:
            unseen = self.role is not None and self.ref not in self.now.roles
            return self.now.with_(self.binding, *([self.role] if self.role and unseen else []))
        if self.role is None:
            return self.now
        standing = {(each.kind, each.namespace, each.name) for each in self.now.bindings}
        seen = (each for version in self._referring for each in self._read(version))
        gone = (each for each in seen if (each.kind, each.namespace, each.name) not in standing)
        return self.now.with_(self.role, *gone, *self._fed(self.role))

    def _fed(self, role: rbac.Role) -> list[rbac.Role]:
        """Return the aggregated roles that Kubernetes ships and a role feeds, where nobody listed what there is."""
        if self.listed:
            return []
        unseen = {ref: shipped for ref, shipped in _aggregated().items() if ref not in self.now.roles}
        fed = self.now.with_(role, *unseen.values()).aggregates(role.ref)
        return [shipped for ref, shipped in unseen.items() if ref in fed]

    @cached_property
    def bound(self) -> list["Bound"]:
        """The bindings to the role that somebody made since the alert, oldest first; of one on a binding, none."""
        if self.binding is not None:
            return []
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
        """Who holds the role: through the alert's binding, where it is on one."""
        if self.ref is None or self.alert.attempted:
            return ()
        found = self.access.holders(self.ref)
        return found if self.binding is None else tuple(each for each in found if each.binding == self.binding)

    @cached_property
    def past(self) -> Findings:
        """What the actor did in the days before the alert."""
        return self.history.before(self.alert.actor)

    @cached_property
    def since(self) -> Findings:
        """What the actor and the holders did since, and what the role permitted to anybody."""
        roles = [self.ref] if self.ref and not self.alert.attempted else []
        holders = sorted({holder.subject.username for holder in self.holders} - {""})
        assumed = self.identity.subject.username if self.identity and not self.alert.attempted else ""
        actors = {self.alert.actor, assumed, *holders[:HOLDERS]} - {""}
        found = self._of_binding(self.history.after(roles, actors), actors)
        through_groups = {storable(who(event)) for event in found.events if self.permitted(event)} - actors
        if through_groups:
            actors |= set(sorted(through_groups)[:FOLLOWED])
            return self._of_binding(self.history.after(roles, actors), actors)
        return found

    def _of_binding(self, found: Findings, actors: set[str]) -> Findings:
        """Leave out what the role permitted through other bindings to others."""
        if self.binding is None:
            return found
        meant = [event for event in found.events if self.permitted(event) or {event.actor, who(event)} & actors]
        return replace(found, events=meant)

    def permitted(self, event: Event) -> bool:
        """Tell whether it was this role, through the alert's binding or by the identity taken, that permitted it."""
        if self.alert.attempted:
            return False
        if self.identity is not None:
            return self.identity.subject.username == who(event) != ""
        if self.ref is None or evidence.role_of(event) != self.ref:
            return False
        grant, binding = event.allowed_by, self.binding
        if binding is None or grant is None:
            return True
        named = (grant.binding_kind, storable(grant.binding_namespace), storable(grant.binding_name))
        return named == (binding.kind, binding.namespace, binding.name)

    @cached_property
    def through(self) -> list[Event]:
        """The requests that the role permitted."""
        return [event for event in self.since.events if self.permitted(event)]

    def by_actor(self, event: Event) -> bool:
        """Tell whether the alert's actor made a request."""
        return self.alert.actor in {storable(event.actor), storable(who(event))}


@cache
def _aggregated() -> dict[rbac.RoleRef, rbac.Role]:
    """Return the aggregated roles that Kubernetes ships."""
    return {role.ref: role for role in rbac.default_roles().values() if role.selectors is not None}


def readable(cluster: Cluster) -> bool:
    """Tell whether the live cluster may be asked."""
    return bool(cluster.api_address and cluster.readable)
