"""Ticking off what was left behind, from the alert's page."""

from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from alerts.models import Alert, RemedyItem
from alerts.services import queue, remedies
from alerts.views.alert import render_alert
from alerts.views.request import Request, check_may


@require_POST
def tick(request: Request, pk: int) -> HttpResponse:
    """Tick an item, or take the tick away, and answer with the alert."""
    check_may(request, "triage_alert")
    item = get_object_or_404(RemedyItem, pk=pk)
    change = remedies.untick if request.POST.get("action") == "untick" else remedies.tick
    change(item, by=request.user)
    view = QueryDict(request.POST.get("view", ""))
    alert = Alert.objects.select_related("cluster", "assignee", "object").get(pk=item.alert_id)
    if request.htmx:
        return render_alert(request, alert, view=view)
    return redirect(f"{alert.get_absolute_url()}{queue.Filter.of(view).but()}#step-remedy")
