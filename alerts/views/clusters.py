"""The clusters: whether their audit events keep coming, what waits, what could not be read, what no event told."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from alerts import tasks
from alerts.models import AccessVersion, Batch, Cluster
from alerts.services import inbox, listing, reconciliation
from alerts.views.request import Request

DAMAGED_SHOWN = 50
UNAUDITED_SHOWN = 20


@require_GET
def clusters(request: Request) -> HttpResponse:
    """List the clusters with the health of their streams."""
    waiting, quarantined = _batches(*Batch.UNEXAMINED), _batches(Batch.State.QUARANTINED)
    listed = Cluster.objects.annotate(damaged=Count("damaged_items"))
    rows = [(each, waiting.get(each.pk, 0), quarantined.get(each.pk, 0)) for each in listed]
    return render(request, "alerts/clusters.html", {"rows": rows})


def _batches(*states: Batch.State) -> dict[int, int]:
    """Return how many batches of each cluster are in one of these states: most are done, and are not looked at."""
    found = Batch.objects.filter(state__in=states).order_by().values("cluster").annotate(n=Count("pk"))
    return dict(found.values_list("cluster", "n"))


@require_GET
def cluster(request: Request, name: str) -> HttpResponse:
    """Show one cluster: its stream, its connection, what no event told, and every item that could not be read."""
    found = get_object_or_404(Cluster, name=name)
    context = {
        "cluster": found,
        "waiting": found.batches.filter(state__in=Batch.UNEXAMINED).count(),
        "examined": found.batches_finished,
        "quarantined": found.batches.filter(state=Batch.State.QUARANTINED)
        .select_related("alert")
        .defer("body", "mentions"),
        "failing": found.batches.filter(state__in=Batch.UNEXAMINED, tries__gt=1).exclude(error="").defer("body")[:20],
        "damaged": found.damaged_items.select_related("alert").order_by("-received_at").defer("body")[:DAMAGED_SHOWN],
        "damaged_count": found.damaged_items.count(),
        "may_change": request.user.has_perm("alerts.change_cluster"),
    }
    return render(request, "alerts/cluster.html", context | _canaries(found) | _unaudited(found))


def _canaries(cluster: Cluster) -> dict[str, Any]:
    return {
        "canary": cluster.canaries.order_by("-sent_at").first(),
        "heard": cluster.canaries.filter(seen_at__isnull=False).order_by("-seen_at").first(),
        "listable": listing.listable().filter(pk=cluster.pk).exists(),
    }


def _unaudited(cluster: Cluster) -> dict[str, Any]:
    found = AccessVersion.objects.filter(object__cluster=cluster, alert__isnull=False)
    return {
        "unaudited": found.select_related("object", "alert").order_by("-at", "-pk")[:UNAUDITED_SHOWN],
        "unaudited_count": found.count(),
        "unexplained_count": reconciliation.unexplained(cluster).count(),
    }


@require_POST
@permission_required("alerts.change_cluster", raise_exception=True)
def examine_again(request: Request, name: str, pk: int) -> HttpResponse:
    """Have a batch that was set aside examined again."""
    batch = get_object_or_404(Batch.objects.defer("body", "mentions"), cluster__name=name, pk=pk)
    if inbox.try_again(batch, by=request.user):
        tasks.wake(tasks.examine_inbox)
        messages.success(request, "The batch is being examined again.")
    else:
        messages.info(request, "The batch is not set aside any more.")
    return redirect("alerts:cluster", name)
