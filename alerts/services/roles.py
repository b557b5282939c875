"""The roles ever seen, their versions, and exactly what differs between any two of them."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet

from alerts import rbac
from alerts.audit.event import metadata_of
from alerts.models import AccessObject, AccessVersion, Alert

ROLE_KINDS = (AccessObject.Kind.CLUSTER_ROLE, AccessObject.Kind.ROLE)


def seen(*, cluster: str = "", search: str = "") -> QuerySet[AccessObject]:
    """Return the roles that were ever seen, with how many versions and alerts each has."""
    found = AccessObject.objects.filter(kind__in=ROLE_KINDS).select_related("cluster")
    if cluster:
        found = found.filter(cluster__name=cluster)
    for word in search.split():
        found = found.filter(name__icontains=word)
    alerted = Exists(Alert.objects.filter(object=OuterRef("pk")))
    return found.annotate(version_count=Count("versions"), alerted=alerted).order_by("-alerted", "name", "pk")


def permitted(version: AccessVersion | None) -> Any:
    """Return the rules that a version permits: UNSEEN where nobody knows, none where the role did not exist."""
    if version is None:
        return rbac.UNSEEN
    if version.deletion:
        return []
    return version.manifest.get("rules") if version.manifest is not None else rbac.UNSEEN


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one version to another, which may be a version of another role."""

    old: AccessVersion | None
    new: AccessVersion
    comparison: rbac.Comparison
    matrix: rbac.Matrix | None
    labels_gained: dict[str, str]
    labels_lost: dict[str, str]
    problem: str = ""


def difference(old: AccessVersion | None, new: AccessVersion) -> Difference:
    """Return exactly what differs.

    Without an old version the baseline is empty where the new one's event created the role, and else unknown, which is
    not the same.
    """
    before, after = [] if old is None and new.created else permitted(old), permitted(new)
    problem = ""
    try:
        comparison = rbac.compare(before, after)
        shown = None
        if after is not rbac.UNSEEN:
            shown = rbac.matrix(after, None if before is rbac.UNSEEN else before or [], limit=40)
    except rbac.InvalidRules as invalid:
        comparison, shown, problem = rbac.compare(rbac.UNSEEN, []), None, f"The rules cannot be read: {invalid}."
    old_labels, new_labels = _labels(old), _labels(new)
    return Difference(
        old=old,
        new=new,
        comparison=comparison,
        matrix=shown,
        labels_gained=dict(new_labels.items() - old_labels.items()),
        labels_lost=dict(old_labels.items() - new_labels.items()),
        problem=problem,
    )


def _labels(version: AccessVersion | None) -> dict[str, str]:
    labels = metadata_of(version.manifest if version else None).get("labels")
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
