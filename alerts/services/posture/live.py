"""What only the live cluster shows: namespaces without walls, and whether admission policies guard roles."""

from collections.abc import Callable, Iterator
from typing import Any

from alerts.audit.event import RBAC_GROUP
from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import ClusterError
from alerts.cluster.kinds import Manifest
from alerts.models import Cluster
from alerts.services import connection
from alerts.services.posture.look import Found, Kind, Look

_SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
_POD_SECURITY = "pod-security.kubernetes.io/enforce"
_LEVELS = frozenset({"baseline", "restricted"})
_GUARDED = ("clusterroles", "clusterrolebindings")


def look(cluster: Cluster) -> list[Look]:
    """Look at each part that the credentials can read; of the others the gaps say why not."""
    try:
        with connection.connect(cluster) as api:
            return [_part(api, what, find, kind) for what, find, kind in _PARTS]
    except connection.NotConnected as error:
        return [Look(gaps=(f"Namespaces and admission policies were not evaluated. {error}",))]


def _part(api: ClusterAPI, what: str, find: Callable[[ClusterAPI], Iterator[Found]], kind: Kind) -> Look:
    try:
        return Look(tuple(find(api)), judged=frozenset({kind}))
    except ClusterError as error:
        return Look(gaps=(f"{what} were not evaluated. {error}",))


def _without_network_policy(api: ClusterAPI) -> Iterator[Found]:
    walled = {each["metadata"].get("namespace", "") for each in api.network_policies()}
    for name in _namespaces(api):
        if name not in walled:
            yield Found(Kind.NETWORK, name, "medium", name, "pods there can talk to everything, out and in")


def _without_pod_security(api: ClusterAPI) -> Iterator[Found]:
    for name, labels in _namespaces(api).items():
        level = labels.get(_POD_SECURITY)
        if level not in _LEVELS:
            detail = f"enforces {level}" if level else "enforces no level by label"
            yield Found(Kind.PODS, name, "medium", name, f"{detail}: nothing there refuses privileged pods")


def _namespaces(api: ClusterAPI) -> dict[str, Any]:
    found = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in api.namespaces()}
    return {name: labels for name, labels in sorted(found.items()) if name not in _SYSTEM_NAMESPACES}


def _unguarded(api: ClusterAPI) -> Iterator[Found]:
    """Yield the finding that no ValidatingAdmissionPolicy denies anything about cluster roles to everybody."""
    denying = {
        each.get("spec", {}).get("policyName")
        for each in api.admission_policy_bindings()
        if "Deny" in (each.get("spec", {}).get("validationActions") or ())
    }
    guards = [policy for policy in api.admission_policies() if _is_guard(policy)]
    in_force = [policy for policy in guards if policy["metadata"]["name"] in denying]
    if any(not policy["spec"].get("matchConditions") for policy in in_force):
        return
    partly = ", ".join(sorted(policy["metadata"]["name"] for policy in in_force))
    idle = ", ".join(sorted(policy["metadata"]["name"] for policy in guards if policy not in in_force))
    parts = [
        "whatever RBAC allows is written, unless a webhook refuses it",
        *([f"only for some requests: {partly}"] if partly else []),
        *([f"there, but bound with no Deny: {idle}"] if idle else []),
    ]
    title = "No admission policy guards cluster roles and their bindings"
    yield Found(Kind.ADMISSION, "roles", "medium", title, "; ".join(parts))


def _is_guard(policy: Manifest) -> bool:
    """Tell whether a policy looks at new cluster roles or bindings."""
    rules = (policy.get("spec", {}).get("matchConstraints") or {}).get("resourceRules") or ()
    return any(
        _names(rule.get("apiGroups"), RBAC_GROUP)
        and any(_names(rule.get("resources"), resource) for resource in _GUARDED)
        and _names(rule.get("operations"), "CREATE")
        for rule in rules
    )


def _names(values: list[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


_PARTS: tuple[tuple[str, Callable[[ClusterAPI], Iterator[Found]], Kind], ...] = (
    ("Network policies", _without_network_policy, Kind.NETWORK),
    ("Pod security levels", _without_pod_security, Kind.PODS),
    ("Admission policies", _unguarded, Kind.ADMISSION),
)
