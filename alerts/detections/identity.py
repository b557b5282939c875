"""Somebody whose power was taken or handed out: whom an impersonation, a token or a certificate stands for."""

from collections.abc import Iterator
from dataclasses import dataclass

from alerts import rbac
from alerts.audit.event import Event
from alerts.rbac.subjects import MASTERS


@dataclass(frozen=True, slots=True)
class Identity:
    """A subject, and the groups it is in besides those that Kubernetes puts it into by itself."""

    subject: rbac.Subject
    groups: tuple[str, ...] = ()

    @property
    def unlimited(self) -> bool:
        """Whether it is in system:masters, which may do everything and which no role governs."""
        return MASTERS in self.groups or (self.subject.kind == "Group" and self.subject.name == MASTERS)

    def permissions(self, access: rbac.Access) -> Iterator[tuple[str, rbac.RuleSet]]:
        """Yield what it may do, scope by scope; the scope "" is the whole cluster, and namespaces add to that."""
        if self.unlimited:
            yield "", rbac.default_roles()["cluster-admin"].rules
            return
        for scope, effective in access.what_can(self.subject, self.groups).items():
            yield scope, effective.rules

    def powerful(self, access: rbac.Access) -> bool:
        """Tell whether it may do something grave anywhere."""
        return self.unlimited or access.powerful(self.subject, self.groups)


def is_node(event: Event) -> bool:
    """Tell whether a kubelet made the request: by its name and, where groups were recorded, by its group."""
    person = event.user
    return (
        event.impersonated_user is None
        and person.username.startswith("system:node:")
        and (person.groups is None or "system:nodes" in person.groups)
    )
