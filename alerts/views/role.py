"""The roles, and one role with its versions and what differs between any two."""

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from alerts.models import AccessObject, AccessVersion, Cluster
from alerts.services import roles as role_history
from alerts.views.request import Request, number_of

ROWS_A_PAGE = 100
VERSIONS_A_PAGE = 20


@require_GET
def roles(request: Request) -> HttpResponse:
    """List the roles that were ever seen."""
    cluster, search = request.GET.get("cluster", ""), request.GET.get("search", "")
    found = role_history.seen(cluster=cluster, search=search)
    context = {
        "page": Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page")),
        "cluster": cluster,
        "search": search,
        "clusters": Cluster.objects.values_list("name", flat=True),
    }
    return render(request, "alerts/roles.html", context)


@require_GET
def role(request: Request, pk: int) -> HttpResponse:
    """Show one role: its versions, and the difference between two of them, or between it and another role."""
    found = get_object_or_404(AccessObject.objects.select_related("cluster"), pk=pk, kind__in=role_history.ROLE_KINDS)
    new = _chosen(request, "new", found.cluster) or found.latest()
    old = _chosen(request, "old", found.cluster)
    other = _other(request, found)
    if other is not None:
        old = other.latest()
    elif old is None and new is not None and new.object == found and not new.created:
        old = new.previous()
    page = Paginator(found.versions.select_related("event").defer("manifest"), VERSIONS_A_PAGE).get_page(
        request.GET.get("page")
    )
    context = {
        "role": found,
        "page": page,
        "choices": sorted({*page, *filter(None, (new, old))}, key=lambda each: (each.at, each.pk), reverse=True),
        "old": old,
        "new": new,
        "other": other,
        "difference": role_history.difference(old, new) if new else None,
        "others": role_history.seen(cluster=found.cluster.name).exclude(pk=pk).filter(deleted_at=None)[:500],
        "alerts": found.alerts.order_by("-pk"),
    }
    return render(request, "alerts/role.html", context)


def _chosen(request: Request, name: str, cluster: Cluster) -> AccessVersion | None:
    """Return the version that the address names.

    Raises Http404 for one that the cluster does not have.
    """
    key = request.GET.get(name, "")
    if not key:
        return None
    versions = AccessVersion.objects.select_related("object")
    return get_object_or_404(versions, pk=number_of(key), object__cluster=cluster)


def _other(request: Request, role: AccessObject) -> AccessObject | None:
    key = number_of(request.GET.get("other", ""))
    if not key:
        return None
    return get_object_or_404(AccessObject, pk=key, cluster=role.cluster, kind__in=role_history.ROLE_KINDS)
