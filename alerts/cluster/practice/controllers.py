"""What the controller manager does in the background, as far as roles need it: through the API, as itself, audited."""

from collections.abc import Callable, Iterator
from typing import Any

from alerts.cluster.kinds import KINDS, Manifest, ObjectReference
from alerts.cluster.practice.store import Store
from alerts.rbac.selectors import Selector

_AGGREGATION = "clusterrole-aggregation-controller"
# An aggregated role may feed another; Kubernetes' own chain has three.
_LONGEST_CHAIN = 16

Send = Callable[[str, str, str, Manifest], Any]


def settle(store: Store, send: Send) -> None:
    """Bring everything to rest. `send(account, method, target, body)` calls the API as an account of kube-system."""
    for namespace in [*store.peek("Namespace")]:
        _settle_namespace(store, send, namespace)
    for _ in range(_LONGEST_CHAIN):
        outdated = next(_outdated(store), None)
        if outdated is None:
            return
        name, rules = outdated
        body = {"kind": "ClusterRole", "apiVersion": KINDS["ClusterRole"].api_version, "metadata": {"name": name}}
        target = f"{ObjectReference('ClusterRole', '', name).path}?fieldManager={_AGGREGATION}&force=true"
        send(_AGGREGATION, "PATCH", target, body | {"rules": rules})


def _outdated(store: Store) -> Iterator[tuple[str, list[Manifest]]]:
    """Yield the aggregated roles whose rules are not those of the roles they select, and what they should be.

    The order is the controller's: selector by selector, roles by name, a rule only once
    (pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go).
    """
    roles = [*store.peek("ClusterRole")]
    for role in roles:
        selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
        if not selectors:
            continue
        rules: list[Manifest] = []
        for selector in map(Selector.of_manifest, selectors):
            for other in roles:
                if other is not role and selector.matches(other["metadata"].get("labels") or {}):
                    rules += [rule for rule in other.get("rules") or [] if rule not in rules]
        if rules != (role.get("rules") or []):
            yield role["metadata"]["name"], rules


def _settle_namespace(store: Store, send: Send, namespace: Manifest) -> None:
    name = namespace["metadata"]["name"]
    if "deletionTimestamp" in namespace["metadata"]:
        for reference in store.contents(name):
            store.remove(reference)
        store.remove(ObjectReference("Namespace", "", name))
    elif store.find(ObjectReference("ServiceAccount", name, "default")) is None:
        account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": name}}
        send("service-account-controller", "POST", KINDS["ServiceAccount"].collection(name), account)
