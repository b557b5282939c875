"""What somebody added to a role or binding that Kubernetes ships: the part that can go without breaking the cluster."""

from typing import Any

import msgspec

from alerts import rbac
from alerts.audit.visible import storable
from alerts.services.revocation.targets import Manifest, Surroundings, Target

_SHOWN = 8
_SUBJECTS = {"cluster-admin": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:masters"}]}


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """What was added to one object: in words, and the object with the merge patch that takes only that away.

    `target` is None where the addition is an object of its own, to be revoked itself.
    """

    text: str
    target: Target | None = None


def additions(found: Surroundings, version: str) -> list[Addition]:
    """Return what a default ClusterRole and its default binding hold beyond what Kubernetes ships.

    `version` is the API server's, such as v1.36.3: only of our own version it is known what that ships.
    """
    role = found.role
    if role is None or role["kind"] != "ClusterRole" or role["metadata"]["name"] not in rbac.default_roles():
        return []
    if not version.startswith(f"v{rbac.DEFAULTS_VERSION}."):
        text = (
            f"This cluster runs Kubernetes {version}, and Rolecall knows the default roles of {rbac.DEFAULTS_VERSION}: "
            "compare its rules by hand."
        )
        return [Addition(text=storable(text))]
    rules = _feeding(found, role) if role.get("aggregationRule") else _rules(role)
    return [*rules, *(each for binding in found.bindings for each in _subjects(binding))]


def _rules(role: Manifest) -> list[Addition]:
    shipped = rbac.default_manifests()[role["metadata"]["name"]].get("rules") or []
    gains = rbac.compare(shipped, role.get("rules")).gains
    if not gains:
        return []
    parts = "; ".join(part.text for part in gains[:_SHOWN])
    more = f"; and {len(gains) - _SHOWN} more" if len(gains) > _SHOWN else ""
    text = f"Its rules permit more than Kubernetes ships: {parts}{more}."
    return [Addition(text=storable(text), target=Target.of(role, "delete", {"rules": shipped}))]


def _feeding(found: Surroundings, role: Manifest) -> list[Addition]:
    """Return the roles that somebody had an aggregated default role collect."""
    sources = rbac.Access.of_manifests(found.manifests).aggregation.sources(rbac.Role.of_manifest(role).ref)
    added = [ref for ref in sources if ref.name not in rbac.default_roles()]
    text = "{} feeds it, which Kubernetes does not ship: revoke or contain that one."
    return [Addition(text=storable(text.format(ref))) for ref in added]


def _subjects(binding: Manifest) -> list[Addition]:
    shipped = _SUBJECTS.get(binding["metadata"]["name"]) if binding["kind"] == "ClusterRoleBinding" else None
    if shipped is None:
        return []
    added = set(rbac.Binding.of_manifest(binding).subjects) - {rbac.Subject("Group", "system:masters")}
    if not added:
        return []
    text = f"Its default binding gives it to others than Kubernetes does: {', '.join(sorted(map(str, added)))}."
    return [Addition(text=storable(text), target=Target.of(binding, "delete", {"subjects": shipped}))]


def told(effects: dict[str, Any]) -> list[Addition]:
    """Return the additions that a plan found."""
    return msgspec.convert(effects.get("added", []), list[Addition])
