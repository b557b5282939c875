"""Mutes: what they hide, why and until when; begun after a look at what they would have hidden, and ended early."""

import hashlib
import json

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts import tasks
from alerts.forms import MuteForm
from alerts.models import Alert, Mute
from alerts.services import mutes as muting
from alerts.services.mutes import MuteRefused, Scope
from alerts.views.request import Request, check_may

OVER_SHOWN = 50


@require_GET
def mutes(request: Request) -> HttpResponse:
    """List the mutes that run, and the last ones that are over."""
    listed = Mute.objects.select_related("cluster", "created_by", "ended_by").annotate(muted=Count("alerts"))
    running = listed.running()
    context = {
        "running": running.order_by("expires_at", "pk"),
        "over": listed.exclude(pk__in=running.values("pk"))[:OVER_SHOWN],
        "may_triage": request.user.has_perm("alerts.triage_alert"),
    }
    return render(request, "alerts/mutes.html", context)


@require_http_methods(["GET", "POST"])
def add_mute(request: Request, pk: int | None = None) -> HttpResponse:
    """Preview a mute, begun from an alert or from nothing, and begin it."""
    check_may(request, "triage_alert")
    alert = get_object_or_404(Alert.objects.select_related("cluster", "object"), pk=pk) if pk else None
    if request.method == "GET":
        start = Scope.of(alert) if alert else Scope()
        initial = {name: getattr(start, name) for name in ("cluster", "detection", "actor", "object")}
        return _form(request, MuteForm(initial=initial), alert, scope=start if alert else None)
    form = MuteForm(request.POST)
    if not form.is_valid():
        return _form(request, form, alert, status=422)
    scope = form.scope()
    if request.POST.get("action") == "preview":
        return _form(request, form, alert, scope=scope)
    if request.POST.get("seen") != _seen(scope, covers=_covers(form, scope)):
        problem = "What the preview showed was something else. Look at what this hides, then mute it."
        return _form(request, form, alert, scope=scope, problem=problem, status=422)
    values = {name: form.cleaned_data[name] for name in ("reason", "days", "covers_critical")}
    try:
        mute = muting.begin(scope, by=request.user, asked_from=alert, **values)
    except MuteRefused as refused:
        return _form(request, form, alert, scope=scope, problem=str(refused), status=422)
    tasks.wake(tasks.apply_mute, mute.pk)
    messages.success(request, f"Muted until {mute.expires_at:%Y-%m-%d}.")
    return redirect("alerts:mutes")


@require_POST
def end_mute(request: Request, pk: int) -> HttpResponse:
    """End a mute, or bring what it muted back to the queue."""
    check_may(request, "triage_alert")
    found = get_object_or_404(Mute.objects.select_related("cluster"), pk=pk)
    count = muting.end(found, by=request.user, bring_back=request.POST.get("action") == "bring_back")
    back = f" {count} open alert{'' if count == 1 else 's'} came back to the queue." if count else ""
    messages.success(request, f"The mute is over: nothing new is muted by it.{back}")
    return redirect("alerts:mutes")


def _form(
    request: Request,
    form: MuteForm,
    alert: Alert | None,
    *,
    scope: Scope | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    """Show the form, and what a mute of that scope would have hidden, where there is one."""
    context: dict[str, object] = {"form": form, "alert": alert, "problem": problem, "scope": scope}
    if scope is not None:
        covers = _covers(form, scope)
        preview, examples = muting.preview(scope, by=request.user, covers_critical=covers)
        context |= {
            "preview": preview,
            "examples": examples,
            "covers_critical": covers,
            "seen": _seen(scope, covers=covers),
        }
    return render(request, "alerts/mute.html", context, status=status)


def _covers(form: MuteForm, scope: Scope) -> bool:
    """Tell whether the mute that is entered hides Critical alerts too."""
    return scope.exact and bool(form.is_bound and form.cleaned_data.get("covers_critical"))


def _seen(scope: Scope, *, covers: bool) -> str:
    """Return what tells the preview of one mute from that of another."""
    content = [scope.cluster and scope.cluster.pk, scope.detection, scope.actor, scope.object, covers]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
