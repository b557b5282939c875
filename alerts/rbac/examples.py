"""A concrete request out of a box: one that exists today and matters most, else one that could exist."""

from functools import cache

from alerts.rbac.actions import NAMELESS_VERBS, Action, known
from alerts.rbac.boxes import Box, UrlBox
from alerts.rbac.request import Request

TELLING = (
    ("rbac.authorization.k8s.io", "clusterroles", "", "escalate"),
    ("", "secrets", "", "list"),
    ("", "secrets", "", "get"),
    ("", "pods", "exec", "create"),
    ("", "pods", "", "create"),
    ("apps", "deployments", "", "create"),
)
VERBS = ("get", "list", "create", "update", "patch", "delete", "watch", "deletecollection")


def example(box: Box | UrlBox, namespace: str = "") -> Request:
    """Return a request that is in the box.

    Prefers a telling action, then any that Kubernetes 1.36 knows, and makes words up only where the box holds nothing
    but what does not exist yet.
    """
    if isinstance(box, UrlBox):
        return Request(box.verbs.first(VERBS, fresh="anyverb"), path=box.urls.example())
    for action in _telling():
        if request := _request(box, action, namespace):
            return request
    for action in known().listed(known().within(box)):
        if request := _request(box, action, namespace):
            return request
    return Request(
        box.verbs.first(VERBS, fresh="anyverb"),
        box.groups.first(("",), fresh="example.com"),
        box.resources.first((), fresh="anything"),
        box.subresources.first(("",), fresh="anything"),
        box.names.first(("",), fresh="anyname"),
        namespace,
    )


@cache
def _telling() -> tuple[Action, ...]:
    by_key = {action[:4]: action for action in known().actions}
    return tuple(by_key[key] for key in TELLING)


def _request(box: Box, action: Action, namespace: str) -> Request | None:
    group, resource, subresource, verb, namespaced = action
    nameless = verb in NAMELESS_VERBS and not subresource
    name = "" if nameless and "" in box.names else box.names.first((), fresh="anyname")
    if not name and not nameless:
        return None
    request = Request(verb, group, resource, subresource, name, namespace if namespaced else "")
    return request if request in box else None
