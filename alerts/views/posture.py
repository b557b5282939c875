"""What stands open on a cluster, and deciding about each finding, there or from the page of an alert."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from alerts.models import Alert, Cluster, PostureFinding
from alerts.services import posture as reviewing
from alerts.services import queue
from alerts.views.alert import render_alert
from alerts.views.request import Request, check_may, number_of

DAYS_SHOWN = 30
FIXED_SHOWN = 100


@require_GET
def posture(request: Request, name: str) -> HttpResponse:
    """Show a cluster's own findings: open, accepted and fixed, how many there were each day, what was not evaluated."""
    cluster = get_object_or_404(Cluster, name=name)
    rows = PostureFinding.objects.filter(cluster=cluster, alert=None).select_related("fixed_by")
    rows = rows.prefetch_related("acceptances__by")
    days = list(cluster.posture_reviews.all()[:DAYS_SHOWN])
    context = {
        "cluster": cluster,
        "open": reviewing.grouped(rows.open()),
        "open_count": rows.open().count(),
        "accepted": rows.accepted(),
        "fixed": rows.filter(closed_at__isnull=False).order_by("-closed_at", "-pk")[:FIXED_SHOWN],
        "days": days,
        "most": max((day.open_count + day.accepted_count for day in days), default=0) or 1,
        "gaps": reviewing.gaps_of(cluster),
        "may_triage": request.user.has_perm("alerts.triage_alert"),
    }
    return render(request, "alerts/posture.html", context)


@require_POST
def decide(request: Request, pk: int) -> HttpResponse:
    """Accept a finding with a reason until a date, take that back, or mark it fixed; answer with the page it is on."""
    check_may(request, "triage_alert")
    finding = get_object_or_404(PostureFinding.objects.select_related("cluster"), pk=pk)
    try:
        _decision(request)(finding)
        problem = ""
    except reviewing.Refused as refused:
        problem = str(refused)
    alert = Alert.objects.filter(pk=number_of(request.POST.get("alert", ""))).first()
    if alert is not None:
        return _alert_page(request, alert, problem)
    if problem:
        messages.error(request, problem)
    return redirect("alerts:posture", finding.cluster.name)


def _decision(request: Request) -> Callable[[PostureFinding], None]:
    action, days = request.POST.get("action"), request.POST.get("days", "")
    if action == "fixed":
        return lambda finding: reviewing.mark_fixed(finding, by=request.user)
    if action == "withdraw":
        return lambda finding: reviewing.withdraw(finding, by=request.user)
    asked = int(days[:6]) if days.isascii() and days.isdigit() else reviewing.DAYS
    reason = request.POST.get("reason", "")
    return lambda finding: reviewing.accept(finding, by=request.user, reason=reason, days=asked)


def _alert_page(request: Request, alert: Alert, problem: str) -> HttpResponse:
    view = QueryDict(request.POST.get("view", ""))
    found = Alert.objects.select_related("cluster", "assignee", "object").get(pk=alert.pk)
    if problem or request.htmx:
        return render_alert(request, found, view=view, problem=problem, status=422 if problem else 200)
    return redirect(f"{found.get_absolute_url()}{queue.Filter.of(view).but()}#step-policies")
