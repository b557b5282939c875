"""Who manages an object, and would therefore bring it back."""

from collections.abc import Iterator, Mapping
from typing import Any

# Labels and annotations that the tools themselves set on what they manage.
_MARKS = (
    ("Argo CD", ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance")),
    ("Flux", ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")),
    ("Helm", ("meta.helm.sh/release-name",)),
    ("the Operator Lifecycle Manager", ("olm.owner", "olm.managed", "olm.copiedFrom")),
    ("RBAC Manager", ("rbac-manager",)),
)
_REMEDIES = {
    "Argo CD": "take it out of the application’s source, or Argo CD syncs it again",
    "Flux": "take it out of the source, or Flux applies it again within minutes",
    "Helm": "change or uninstall the release; the next upgrade brings it back",
    "the Operator Lifecycle Manager": "remove the operator’s subscription and its ClusterServiceVersion",
    "RBAC Manager": "change the RBACDefinition",
    "the addon manager": "change the addon on the control plane; it is put back within minutes",
}


def returning(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each manager of the object: it will return unless it is removed there.

    Marks can be set by anybody, so they warn and never refuse.
    """
    metadata = manifest["metadata"]
    marks = (metadata.get("labels") or {}) | (metadata.get("annotations") or {})
    owner = next(((tool, marks[key]) for tool, keys in _MARKS for key in keys if key in marks), None)
    if owner is None and marks.get("app.kubernetes.io/managed-by") == "Helm":
        owner = "Helm", ""
    if owner is None and marks.get("addonmanager.kubernetes.io/mode") == "Reconcile":
        owner = "the addon manager", ""
    if owner is None and any(key.startswith("operators.coreos.com/") for key in marks):
        owner = "the Operator Lifecycle Manager", ""
    if owner:
        tool, which = owner
        yield f"belongs to {tool}{f' ({which})' if which else ''} and will return: {_REMEDIES[tool]}."
    for reference in metadata.get("ownerReferences") or ():
        yield (
            f"is owned by {reference.get('kind')} {reference.get('name')}, whose controller may make it again: "
            "remove it there."
        )
