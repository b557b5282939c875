"""Requests that the practice cluster and a real API server have to answer alike, in the order they are sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES = f"{RBAC}/clusterroles"
BINDINGS = f"{RBAC}/clusterrolebindings"
ROLE_BINDINGS = f"{RBAC}/namespaces/contract/rolebindings"
ACCOUNTS = "/api/v1/namespaces/contract/serviceaccounts"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
GET_PODS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
HOSTILE = "a: *'\"é\n\x1b\u202e<b>"


@dataclass(frozen=True)
class Step:
    """One request. In a body, UID(name) and VERSION(name) stand for those of the object of that name."""

    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"
    user: str | None = "admin"


def role(name: str, rules: Any = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "rules": GET_PODS if rules is None else rules}


def binding(name: str, to: str, *subjects: dict[str, str], kind: str = "ClusterRole") -> dict[str, Any]:
    return {"metadata": {"name": name}, "roleRef": {"kind": kind, "name": to}, "subjects": list(subjects)}


def user(name: str) -> dict[str, str]:
    return {"kind": "User", "name": name}


def pinned(name: str, **more: Any) -> dict[str, Any]:
    return {"preconditions": {"uid": f"UID({name})", "resourceVersion": f"VERSION({name})"}, **more}


def applied(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": RBAC.removeprefix("/apis/"), "kind": "ClusterRole", "metadata": {"name": name, **metadata}}


SCENARIOS: dict[str, Sequence[Step]] = {
    "a role from its creation to its end": [
        Step("POST", ROLES, role("life")),
        Step("GET", f"{ROLES}/life"),
        Step("POST", ROLES, role("life")),
        Step("PATCH", f"{ROLES}/life", {"metadata": {"labels": {"a": "1"}}}, MERGE),
        Step("PATCH", f"{ROLES}/life", {"metadata": {"labels": {"b": "2"}}}, STRATEGIC),
        Step("PATCH", f"{ROLES}/life", {"metadata": {"labels": {"a": None}}, "rules": []}, MERGE),
        Step("DELETE", f"{ROLES}/life", pinned("life", dryRun=["All"])),
        Step("DELETE", f"{ROLES}/life?dryRun=All"),
        Step("DELETE", f"{ROLES}/life", {"dryRun": ["Some"]}),
        Step("GET", f"{ROLES}/life"),
        Step("DELETE", f"{ROLES}/life", pinned("life", propagationPolicy="Background")),
        Step("GET", f"{ROLES}/life"),
        Step("DELETE", f"{ROLES}/life"),
        Step("PATCH", f"{ROLES}/life", {}, MERGE),
    ],
    "deletions of another object than the one that is there": [
        Step("POST", ROLES, role("pinned")),
        Step("DELETE", f"{ROLES}/pinned", {"preconditions": {"uid": "other"}}),
        Step("DELETE", f"{ROLES}/pinned", {"preconditions": {"resourceVersion": "1"}}),
        Step("DELETE", f"{ROLES}/pinned", {"preconditions": {"uid": "other", "resourceVersion": "1"}}),
        Step("DELETE", f"{ROLES}/pinned", {"preconditions": {"uid": "other"}, "dryRun": ["All"]}),
        Step("DELETE", f"{ROLES}/pinned", {"preconditions": {"uid": "UID(pinned)"}}),
    ],
    "patches that do not fit": [
        Step("POST", ROLES, role("patched", labels={"a": "1"})),
        Step("PATCH", f"{ROLES}/patched", {"metadata": {"uid": "other"}}, MERGE),
        Step("PATCH", f"{ROLES}/patched", {"metadata": {"resourceVersion": "1"}, "rules": []}, MERGE),
        Step("PATCH", f"{ROLES}/patched", {"metadata": {"name": "other"}}, MERGE),
        Step("PATCH", f"{ROLES}/patched", {}, "application/json"),
        Step("PATCH", f"{ROLES}/patched", [{"op": "remove", "path": "/metadata/labels/z"}], JSON_PATCH),
        Step("PATCH", f"{ROLES}/patched", applied("patched"), APPLY),
        Step("DELETE", f"{ROLES}/patched"),
    ],
    "JSON patches": [
        Step("POST", ROLES, role("operated", labels={"a": "1"})),
        Step("PATCH", f"{ROLES}/operated", [{"op": "add", "path": "/rules/0/verbs/-", "value": "list"}], JSON_PATCH),
        Step("PATCH", f"{ROLES}/operated", [{"op": "replace", "path": "/metadata/labels/a", "value": "2"}], JSON_PATCH),
        Step("PATCH", f"{ROLES}/operated", [{"op": "remove", "path": "/rules/0"}], JSON_PATCH),
        Step("DELETE", f"{ROLES}/operated"),
    ],
    "server-side apply": [
        Step("PATCH", f"{ROLES}/kept?fieldManager=one", applied("kept", labels={"a": "1", "b": "2"}), APPLY),
        Step(
            "PATCH", f"{ROLES}/kept?fieldManager=one", applied("kept", labels={"a": "1"}) | {"rules": GET_PODS}, APPLY
        ),
        Step("PATCH", f"{ROLES}/kept?fieldManager=two", applied("kept") | {"rules": []}, APPLY),
        Step("PATCH", f"{ROLES}/kept?fieldManager=two", applied("kept", labels={"a": "2"}) | {"rules": []}, APPLY),
        Step("PATCH", f"{ROLES}/kept?fieldManager=two&dryRun=All&force=true", applied("kept") | {"rules": []}, APPLY),
        Step("PATCH", f"{ROLES}/kept?fieldManager=two&force=true", applied("kept") | {"rules": []}, APPLY),
        Step("PATCH", f"{ROLES}/kept", {"metadata": {"labels": {"a": "3"}}}, MERGE),
        Step("DELETE", f"{ROLES}/kept"),
    ],
    "updates": [
        Step("PUT", f"{ROLES}/put", role("put")),
        Step("PUT", f"{ROLES}/put", role("put", [], labels={"a": "1"})),
        Step("PUT", f"{ROLES}/put", role("put", uid="other")),
        Step("PUT", f"{ROLES}/put", role("put", resourceVersion="1")),
        Step("PUT", f"{ROLES}/put", role("other")),
        Step("PUT", f"{ROLES}/put", role("put", uid="UID(put)", resourceVersion="VERSION(put)")),
        Step("DELETE", f"{ROLES}/put"),
    ],
    "what a user without permissions is told": [
        Step("GET", ROLES, user="nobody"),
        Step("GET", f"{ROLES}/admin", user="nobody"),
        Step("POST", ROLES, role("mine"), user="nobody"),
        Step("PATCH", f"{ROLES}/admin", {}, MERGE, user="nobody"),
        Step("DELETE", f"{ROLES}/admin", {"dryRun": ["All"]}, user="nobody"),
        Step("DELETE", ROLE_BINDINGS, user="nobody"),
        Step("GET", "/api/v1/secrets", user="nobody"),
        Step("GET", f"{ACCOUNTS}/default", user="nobody"),
        Step("POST", f"{ACCOUNTS}/default/token", {}, user="nobody"),
        Step("GET", "/metrics", user="nobody"),
        Step("GET", f"{ROLES}/admin", user=None),
        Step("GET", f"{ROLES}/admin", user="unknown"),
    ],
    "manifests that are no good": [
        Step("POST", ROLES, role("a/b", [{"verbs": [], "apiGroups": [""], "resources": ["pods"]}])),
        Step("POST", ROLES, role("wrong", [{"verbs": ["get"], "apiGroups": [""]}])),
        Step("POST", ROLES, role("wrong", [{"verbs": ["get"], "resources": ["pods"]}])),
        Step("POST", ROLES, role("wrong", [{"verbs": ["get"], "nonResourceURLs": ["/a"], "resources": ["pods"]}])),
        Step("POST", ROLES, {"metadata": {}, "rules": []}),
        Step("POST", ROLES, role("wrong", resourceVersion="1")),
        Step("POST", BINDINGS, binding("wrong", "admin", {"kind": "Person", "name": ""}, kind="Role")),
        Step("POST", BINDINGS, binding("wrong", "admin", {"kind": "ServiceAccount", "name": "default"})),
        Step(
            "POST", f"{RBAC}/namespaces/contract/roles", role("wrong", [{"verbs": ["get"], "nonResourceURLs": ["/a"]}])
        ),
        Step("POST", f"{RBAC}/namespaces/contract/roles", role("wrong", namespace="other")),
        Step("POST", f"{RBAC}/namespaces/nowhere/roles", role("wrong")),
        Step("POST", f"{ROLES}/wrong", role("wrong")),
        Step("GET", f"{RBAC}/nothings"),
    ],
    "finalizers": [
        Step("POST", ROLES, role("held", finalizers=["example.org/hold"])),
        Step("DELETE", f"{ROLES}/held", pinned("held", dryRun=["All"])),
        Step("GET", f"{ROLES}/held"),
        Step("DELETE", f"{ROLES}/held", pinned("held")),
        Step("DELETE", f"{ROLES}/held", {"preconditions": {"uid": "UID(held)"}}),
        Step("GET", f"{ROLES}/held"),
        Step("PATCH", f"{ROLES}/held", {"metadata": {"finalizers": None}}, MERGE),
        Step("GET", f"{ROLES}/held"),
    ],
    "bindings": [
        Step("POST", BINDINGS, binding("bound", "view", user("u"), {"kind": "Group", "name": "g"})),
        Step("PATCH", f"{BINDINGS}/bound", {"roleRef": {"kind": "ClusterRole", "name": "edit"}}, MERGE),
        Step("PATCH", f"{BINDINGS}/bound", {"subjects": [user("u")]}, MERGE),
        Step("PATCH", f"{BINDINGS}/bound", {"subjects": None}, MERGE),
        Step("DELETE", f"{BINDINGS}/bound", pinned("bound")),
        Step("POST", ROLE_BINDINGS, binding("bound", "nothing", {"kind": "ServiceAccount", "name": "default"})),
        Step("GET", f"{ROLE_BINDINGS}/bound"),
        Step("DELETE", f"{ROLE_BINDINGS}/bound", pinned("bound")),
        Step("GET", f"{ROLE_BINDINGS}/bound"),
    ],
    "escalation": [
        Step(
            "POST",
            ROLES,
            role("author", [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["*"]}]),
        ),
        Step(
            "PATCH",
            f"{ROLES}/author",
            [{"op": "replace", "path": "/rules/0/verbs", "value": ["create", "update", "patch"]}],
            JSON_PATCH,
        ),
        Step("POST", BINDINGS, binding("author", "author", user("jane"))),
        Step(
            "POST",
            ROLES,
            role("raised", [{"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "list"]}]),
            user="jane",
        ),
        Step("POST", ROLES, role("raised", [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]), user="jane"),
        Step(
            "POST",
            ROLES,
            role("raised", [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}]),
            user="jane",
        ),
        Step("PATCH", f"{ROLES}/raised", {"rules": GET_PODS}, MERGE, user="jane"),
        Step("PATCH", f"{ROLES}/raised", {"rules": []}, MERGE, user="jane"),
        Step("PATCH", f"{ROLES}/view", {"metadata": {"labels": {"a": "1"}}}, MERGE, user="jane"),
        Step(
            "POST",
            ROLES,
            {
                "metadata": {"name": "wide"},
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"no": "thing"}}]},
            },
            user="jane",
        ),
        Step("POST", BINDINGS, binding("raised", "cluster-admin", user("jane")), user="jane"),
        Step("POST", BINDINGS, binding("raised", "raised", user("jane")), user="jane"),
        Step("POST", BINDINGS, binding("dangling", "nothing", user("jane")), user="jane"),
        Step("POST", ROLE_BINDINGS, binding("dangling", "nothing", user("jane"), kind="Role"), user="jane"),
        Step("PUT", f"{ROLES}/new", role("new", []), user="jane"),
        Step("DELETE", f"{BINDINGS}/raised", user="jane"),
        Step("DELETE", f"{BINDINGS}/raised"),
        Step("DELETE", f"{ROLES}/raised"),
        Step("DELETE", f"{ROLES}/new"),
        Step("DELETE", f"{BINDINGS}/author"),
        Step("DELETE", f"{ROLES}/author"),
    ],
    "creation without the right to create": [
        Step(
            "POST",
            ROLES,
            role(
                "patcher",
                [
                    {
                        "apiGroups": ["rbac.authorization.k8s.io"],
                        "resources": ["clusterroles"],
                        "verbs": ["patch", "update", "escalate"],
                    }
                ],
            ),
        ),
        Step("POST", BINDINGS, binding("patcher", "patcher", user("mallory"))),
        Step("PATCH", f"{ROLES}/sneaked?fieldManager=m", applied("sneaked"), APPLY, user="mallory"),
        Step("PUT", f"{ROLES}/sneaked", role("sneaked"), user="mallory"),
        Step("DELETE", f"{BINDINGS}/patcher"),
        Step("DELETE", f"{ROLES}/patcher"),
    ],
    "generated names": [
        Step("POST", f"{ROLES}?dryRun=All", {"metadata": {"generateName": "made-"}, "rules": GET_PODS}),
        Step("POST", f"{ROLES}?dryRun=All", role("made")),
        Step("GET", f"{ROLES}/made"),
    ],
    "hostile names": [
        Step("POST", ROLES, role(HOSTILE)),
        Step("GET", f"{ROLES}/{quote(HOSTILE, safe='')}"),
        Step("DELETE", f"{ROLES}/{quote(HOSTILE, safe='')}", {"preconditions": {"uid": "other"}}),
        Step("DELETE", f"{ROLES}/{quote(HOSTILE, safe='')}", user="nobody"),
        Step("DELETE", f"{ROLES}/{quote(HOSTILE, safe='')}"),
        Step("GET", f"{ROLES}/{quote(HOSTILE, safe='')}"),
    ],
    "lists": [
        Step("POST", ROLES, role("listed-a", labels={"listed": "yes"})),
        Step("POST", ROLES, role("listed-b", labels={"listed": "yes"})),
        Step("POST", ROLES, role("listed-c", labels={"listed": "no"})),
        Step("GET", f"{ROLES}?labelSelector=listed%3Dyes"),
        Step("GET", f"{ROLES}?labelSelector=listed%2Clisted%21%3Dyes"),
        Step("GET", f"{ROLES}?fieldSelector=metadata.name%3Dlisted-a"),
        Step("GET", f"{ROLES}?fieldSelector=metadata.name%3Dlisted-a", user="nobody"),
        Step("GET", f"{ROLES}?fieldSelector=metadata.name%21%3Dlisted-a", user="nobody"),
        Step("GET", f"{ROLES}?fieldSelector=rules%3D1"),
        Step("GET", ROLE_BINDINGS),
        Step("DELETE", f"{ROLES}?labelSelector=listed&dryRun=All"),
        Step("DELETE", f"{ROLES}?labelSelector=listed"),
        Step("GET", f"{ROLES}?labelSelector=listed"),
    ],
    "reviews": [
        Step("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, user="jane"),
        Step(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}},
            user="jane",
        ),
        Step(
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "spec": {
                    "user": "x",
                    "groups": ["system:authenticated"],
                    "nonResourceAttributes": {"verb": "get", "path": "/api"},
                }
            },
        ),
        Step(
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "spec": {
                    "user": "x",
                    "groups": ["system:masters"],
                    "resourceAttributes": {"verb": "get", "resource": "pods"},
                }
            },
        ),
        Step(
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {"spec": {"user": "x", "resourceAttributes": {"verb": "get", "resource": "pods"}}},
        ),
        Step(
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {"spec": {"resourceAttributes": {"verb": "get"}}},
        ),
        Step(
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {"spec": {"user": "x", "resourceAttributes": {"verb": "get"}}},
            user="jane",
        ),
        Step("POST", BINDINGS, binding("dangling", "nowhere", user("jane"))),
        Step("GET", f"{ROLES}/admin", user="jane"),
        Step("DELETE", f"{BINDINGS}/dangling"),
    ],
    "service accounts": [
        Step("POST", ACCOUNTS, {"metadata": {"name": "robot"}}),
        Step("DELETE", f"{ACCOUNTS}/robot", {"dryRun": ["All"]}),
        Step("DELETE", f"{ACCOUNTS}/robot", {"preconditions": {"uid": "UID(robot)"}}),
        Step("DELETE", f"{ACCOUNTS}/robot"),
        Step("POST", f"{ACCOUNTS}/robot/token", {}),
        Step("POST", "/api/v1/namespaces/nowhere/serviceaccounts", {"metadata": {"name": "robot"}}),
    ],
}
