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
        return self.is_in(MASTERS)

    @property
    def node(self) -> bool:
        """Whether it is a node, or half of one: a refusal names either its user or its group.

        What it may do no binding says; the Node authorizer does (plugin/pkg/auth/authorizer/node).
        """
        return self.subject.username.startswith("system:node:") or self.is_in("system:nodes")

    def is_in(self, group: str) -> bool:
        """Tell whether it is that group, or in it."""
        return group in self.groups or self.subject == rbac.Subject("Group", group)

    def permissions(self, access: rbac.Access) -> Iterator[tuple[str, rbac.RuleSet]]:
        """Yield what it may do, scope by scope; the scope "" is the whole cluster, and namespaces add to that."""
        if self.unlimited:
            yield "", rbac.default_roles()["cluster-admin"].rules
            return
        if self.node:
            yield "", node_rules()
        for scope, effective in access.what_can(self.subject, self.groups).items():
            yield scope, effective.rules

    def powerful(self, access: rbac.Access) -> bool:
        """Tell whether it may do something grave anywhere. A node may: it reads the secrets of its pods."""
        return self.unlimited or self.node or access.powerful(self.subject, self.groups)


def node_rules() -> rbac.RuleSet:
    """Return what a node may do, of objects that belong to what runs on it (NodeRules in rbac/bootstrappolicy)."""
    return rbac.default_roles()["system:node"].rules


def is_node(event: Event) -> bool:
    """Tell whether a kubelet made the request: by its name and, where groups were recorded, by its group."""
    person = event.user
    return (
        event.impersonated_user is None
        and person.username.startswith("system:node:")
        and (person.groups is None or "system:nodes" in person.groups)
    )
