"""Whether a request is allowed: the RBAC authorizer over stored objects (plugin/pkg/auth/authorizer/rbac/rbac.go)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from alerts.cluster.kinds import KINDS, Manifest, ObjectReference
from alerts.cluster.practice.status import go_quote
from alerts.cluster.practice.store import Store
from alerts.cluster.practice.users import User
from alerts.rbac import Request, RuleSet, parse

SUPERUSERS = "system:masters"


@dataclass(frozen=True)
class Decision:
    """Whether a request is allowed, and the reason in Kubernetes' words."""

    allowed: bool
    reason: str


class Authorizer:
    """Decides by the roles and bindings of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parsed: dict[tuple[str, str], RuleSet] = {}

    def decide(self, user: User, request: Request) -> Decision:
        """Return the decision; the superusers' group is allowed everything, with an empty reason."""
        if SUPERUSERS in user.groups:
            return Decision(allowed=True, reason="")
        errors: list[str] = []
        for reason, role in self._grants(user, request.namespace, errors):
            if self._rules(role).allowing(request) is not None:
                return Decision(allowed=True, reason=reason)
        return Decision(allowed=False, reason=_reason_of(errors))

    def rules_for(self, user: User, namespace: str) -> list[Any]:
        """Return the rules a user holds in a namespace and, by cluster role bindings, everywhere."""
        return [rule for _, role in self._grants(user, namespace, []) for rule in role.get("rules") or []]

    def role_of(self, binding: Manifest) -> Manifest | None:
        """Return the role that a binding refers to, or None where there is none of that name."""
        reference = binding["roleRef"]
        namespace = "" if reference["kind"] == "ClusterRole" else binding["metadata"]["namespace"]
        return self._store.find(ObjectReference(reference["kind"], namespace, reference["name"]))

    def _grants(self, user: User, namespace: str, errors: list[str]) -> Iterator[tuple[str, Manifest]]:
        """Yield reason and role of every binding that applies; cluster role bindings first, as Kubernetes does."""
        bindings = [*self._store.peek("ClusterRoleBinding")]
        if namespace:
            bindings += self._store.peek("RoleBinding", namespace)
        for binding in bindings:
            subject = next((subject for subject in binding.get("subjects") or [] if _is(user, subject, binding)), None)
            if subject is None:
                continue
            role = self.role_of(binding)
            if role is None:
                kind = KINDS[binding["roleRef"]["kind"]]
                errors.append(f"{kind.name.lower()}.{kind.group} {go_quote(binding['roleRef']['name'])} not found")
            else:
                yield _reason(binding, subject), role

    def _rules(self, role: Manifest) -> RuleSet:
        key = (role["metadata"]["uid"], role["metadata"]["resourceVersion"])
        if key not in self._parsed:
            self._parsed[key] = parse(role.get("rules"))
        return self._parsed[key]


def _is(user: User, subject: Manifest, binding: Manifest) -> bool:
    """Tell whether a binding's subject is this user (pkg/registry/rbac/validation/rule.go, appliesToUser)."""
    match subject["kind"]:
        case "User":
            return bool(user.name == subject["name"])
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            namespace = subject.get("namespace") or binding["metadata"].get("namespace", "")
            return bool(namespace) and user.name == f"system:serviceaccount:{namespace}:{subject['name']}"
    return False


def _reason(binding: Manifest, subject: Manifest) -> str:
    """Return the sentence of ClusterRoleBindingDescriber and its brother."""
    metadata, role = binding["metadata"], binding["roleRef"]
    holder, name = subject["name"], metadata["name"]
    if subject["kind"] == "ServiceAccount":
        holder = f"{holder}/{subject.get('namespace') or metadata.get('namespace', '')}"
    if binding["kind"] == "RoleBinding":
        name = f"{name}/{metadata['namespace']}"
    return (
        f"RBAC: allowed by {binding['kind']} {go_quote(name)} of {role['kind']} {go_quote(role['name'])} "
        f"to {subject['kind']} {go_quote(holder)}"
    )


def _reason_of(errors: list[str]) -> str:
    if not errors:
        return ""
    return f"RBAC: {errors[0]}" if len(errors) == 1 else f"RBAC: [{', '.join(errors)}]"
