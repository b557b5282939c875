"""Nobody grants what they do not hold (pkg/registry/rbac/{clusterrole,clusterrolebinding}/policybased/storage.go)."""

from collections.abc import Iterable
from typing import Any

from alerts.cluster.kinds import KINDS, Manifest
from alerts.cluster.practice import status
from alerts.cluster.practice.authorization import SUPERUSERS, Authorizer
from alerts.cluster.practice.status import go_quote
from alerts.cluster.practice.users import User
from alerts.rbac import Request, Rule, parse, uncovered

_EVERYTHING = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]


def confirm(authorizer: Authorizer, user: User, manifest: Manifest, old: Manifest | None, *, name: str) -> None:
    """Check a role or binding that is about to be written; `name` is that of the request, "" for a POST.

    Raises Refusal (403) where it would give more than the user holds, and (404) where a binding's role is missing.
    """
    if SUPERUSERS in user.groups or (old is not None and _only_collects_garbage(manifest, old)):
        return
    if manifest["kind"] in {"ClusterRole", "Role"}:
        _confirm_role(authorizer, user, manifest, old, name)
    else:
        _confirm_binding(authorizer, user, manifest)


def _confirm_role(authorizer: Authorizer, user: User, role: Manifest, old: Manifest | None, name: str) -> None:
    kind, namespace = KINDS[role["kind"]], role["metadata"].get("namespace", "")
    if authorizer.decide(user, Request("escalate", kind.group, kind.plural, name=name, namespace=namespace)).allowed:
        return
    _confirm_held(authorizer, user, role, role.get("rules"))
    if (role.get("aggregationRule") or (old or {}).get("aggregationRule")) and _missing(
        authorizer, user, namespace, _EVERYTHING
    ):
        why = "must have cluster-admin privileges to use the aggregationRule"
        raise status.forbidden(kind, role["metadata"]["name"], why)


def _confirm_binding(authorizer: Authorizer, user: User, binding: Manifest) -> None:
    reference, namespace = binding["roleRef"], binding["metadata"].get("namespace", "")
    kind = KINDS[reference["kind"]]
    may_bind = Request("bind", kind.group, kind.plural, name=reference["name"], namespace=namespace)
    if authorizer.decide(user, may_bind).allowed:
        return
    role = authorizer.role_of(binding)
    if role is None:
        raise status.not_found(KINDS[binding["kind"]], reference["name"])
    _confirm_held(authorizer, user, binding, role.get("rules"))


def _confirm_held(authorizer: Authorizer, user: User, manifest: Manifest, rules: Any) -> None:
    missing = _missing(authorizer, user, manifest["metadata"].get("namespace", ""), rules)
    if missing:
        groups = " ".join(go_quote(group) for group in user.groups)
        listed = "\n".join(sorted(_compact(missing)))
        why = (
            f"user {go_quote(user.name)} (groups=[{groups}]) is attempting to grant RBAC permissions "
            f"not currently held:\n{listed}"
        )
        raise status.forbidden(KINDS[manifest["kind"]], manifest["metadata"]["name"], why)


def _missing(authorizer: Authorizer, user: User, namespace: str, rules: Any) -> list[Rule]:
    return list(uncovered(parse(authorizer.rules_for(user, namespace)), parse(rules)))


def _only_collects_garbage(manifest: Manifest, old: Manifest) -> bool:
    """Tell whether only owners, finalizers and bookkeeping change (IsOnlyMutatingGCFields)."""
    volatile = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")

    def rest(of: Manifest) -> Manifest:
        return of | {"metadata": {key: value for key, value in of["metadata"].items() if key not in volatile}}

    return rest(manifest) == rest(old)


def _compact(rules: Iterable[Rule]) -> list[str]:
    """Return the rules as Kubernetes lists them: verbs of one resource together (CompactRules, CompactString)."""
    verbs: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for rule in rules:
        verbs.setdefault((rule.groups, rule.resources, rule.urls, rule.names), []).extend(rule.verbs)
    labels = ("APIGroups", "Resources", "NonResourceURLs", "ResourceNames")
    lines = []
    for place, found in verbs.items():
        parts = [f"{label}:[{_list(words)}]" for label, words in zip(labels, place, strict=True) if words]
        lines.append(f"{{{', '.join([*parts, f'Verbs:[{_list(found)}]'])}}}")
    return lines


def _list(words: Iterable[str]) -> str:
    return " ".join(go_quote(word) for word in words)
