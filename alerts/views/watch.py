"""Watching for a return: started and ended from the alert's page."""

from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from alerts.models import Alert, Watch
from alerts.services import queue
from alerts.services import watch as watching
from alerts.views.alert import render_alert
from alerts.views.request import Request, check_may


@require_POST
def start(request: Request, pk: int) -> HttpResponse:
    """Watch for the role, its bindings and its maker, for some days."""
    check_may(request, "triage_alert")
    alert = get_object_or_404(Alert, pk=pk)
    watching.start(alert, by=request.user, days=_days(request))
    return _answer(request, alert.pk)


@require_POST
def extend(request: Request, pk: int) -> HttpResponse:
    """Watch some days longer for everything that is watched now."""
    check_may(request, "triage_alert")
    alert = get_object_or_404(Alert, pk=pk)
    watching.extend(alert, by=request.user, days=_days(request))
    return _answer(request, alert.pk)


def _days(request: Request) -> int:
    days = request.POST.get("days", "")
    return int(days[:6]) if days.isdecimal() else watching.DAYS


@require_POST
def end(request: Request, pk: int) -> HttpResponse:
    """Stop watching for one thing."""
    check_may(request, "triage_alert")
    found = get_object_or_404(Watch.objects.select_related("alert"), pk=pk)
    watching.end(found, by=request.user)
    return _answer(request, found.alert_id)


def _answer(request: Request, pk: int) -> HttpResponse:
    view = QueryDict(request.POST.get("view", ""))
    alert = Alert.objects.select_related("cluster", "assignee", "object").get(pk=pk)
    if request.htmx:
        return render_alert(request, alert, view=view)
    return redirect(f"{alert.get_absolute_url()}{queue.Filter.of(view).but()}#step-watch")
