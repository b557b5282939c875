"""The clusters: whether their audit events keep coming, what waits, and what could not be read."""

from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from alerts.models import Batch, Cluster
from alerts.views.request import Request

DAMAGED_SHOWN = 50


@require_GET
def clusters(request: Request) -> HttpResponse:
    """List the clusters with the health of their streams."""
    waiting = Count("batches", filter=Q(batches__state__in=[Batch.State.WAITING, Batch.State.LEASED]))
    quarantined = Count("batches", filter=Q(batches__state=Batch.State.QUARANTINED))
    listed = Cluster.objects.annotate(waiting=waiting, quarantined=quarantined)
    damaged = dict(Cluster.objects.annotate(n=Count("damaged_items")).values_list("pk", "n"))
    rows = [(each, damaged[each.pk]) for each in listed]
    return render(request, "alerts/clusters.html", {"rows": rows})


@require_GET
def cluster(request: Request, name: str) -> HttpResponse:
    """Show one cluster: its stream, its connection, and every item that could not be read."""
    found = get_object_or_404(Cluster, name=name)
    states = dict(found.batches.values_list("state").annotate(n=Count("pk")))
    context = {
        "cluster": found,
        "waiting": states.get(Batch.State.WAITING, 0) + states.get(Batch.State.LEASED, 0),
        "examined": states.get(Batch.State.DONE, 0),
        "quarantined": found.batches.filter(state=Batch.State.QUARANTINED).defer("body"),
        "failing": found.batches.filter(tries__gt=1)
        .exclude(error="")
        .exclude(state=Batch.State.QUARANTINED)
        .defer("body")[:20],
        "damaged": found.damaged_items.order_by("-received_at").defer("body")[:DAMAGED_SHOWN],
        "damaged_count": found.damaged_items.count(),
    }
    return render(request, "alerts/cluster.html", context)
