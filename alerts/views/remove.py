"""Removing what was left behind: chosen, planned, agreed to, run and proved, on one page that needs no JavaScript."""

from math import ceil
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts.models import Alert, Revocation
from alerts.services import revocation
from alerts.views import password
from alerts.views.request import Request, check_may, number_of
from alerts.views.revoke import approvable, lines, render_fresh, wake

_REMOVE = Revocation.Mode.REMOVE
_PLANS = {Revocation.State.PLANNED, Revocation.State.REFUSED, Revocation.State.AWAITING}


@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: Request, pk: int) -> HttpResponse:
    """Show what can be removed, the plan, and what came of it; a post runs the plan after its grace."""
    alert = _alert(pk)
    return _run(request, alert) if request.method == "POST" else _page(request, alert)


def _run(request: Request, alert: Alert) -> HttpResponse:
    check_may(request, "revoke_role")
    posted = request.POST
    planned = revocation.current(alert, _REMOVE)
    if planned is None:
        return _page(request, alert, problem="There is no plan yet. Choose what is to go.", status=409)
    reason = posted.get("reason", "")
    try:
        password.prove(request, posted.get("password", ""))
        asked = revocation.request(
            planned,
            by=request.user,
            reason=reason,
            digest=posted.get("digest", ""),
            typed_name=posted.get("typed_name", ""),
        )
    except (revocation.RequestRefused, password.PasswordRefused) as refused:
        if not request.user.is_authenticated:
            return redirect("alerts:login")
        status = 409 if isinstance(refused, revocation.Outdated) else 422
        return _page(request, alert, problem=str(refused), status=status, reason=reason)
    wake(asked)
    return redirect("alerts:remove", alert.pk)


@require_POST
def remove_plan(request: Request, pk: int) -> HttpResponse:
    """Plan the removal of the chosen things now."""
    check_may(request, "triage_alert")
    chosen = [number for key in request.POST.getlist("item") if (number := number_of(key))]
    revocation.plan_removal(_alert(pk), chosen)
    return redirect("alerts:remove", pk)


@require_GET
def remove_progress(request: Request, pk: int) -> HttpResponse:
    """Show how far it is. The page asks for this every second, and is drawn anew once it has ended."""
    context = _context(request, _alert(pk))
    response = render_fresh(request, "alerts/remove.html#progress", context)
    if not (context["run"] and context["run"].is_active()):
        response["HX-Refresh"] = "true"
    return response


def _alert(pk: int) -> Alert:
    return get_object_or_404(Alert.objects.select_related("cluster", "object"), pk=pk)


def _page(request: Request, alert: Alert, *, problem: str = "", status: int = 200, reason: str = "") -> HttpResponse:
    context = _context(request, alert) | {"problem": problem, "reason": reason}
    return render_fresh(request, "alerts/remove.html", context, status=status)


def _context(request: Request, alert: Alert) -> dict[str, Any]:
    newest, now = revocation.current(alert, _REMOVE), timezone.now()
    shown = newest if newest and newest.is_active() else revocation.finished(alert, _REMOVE)
    planned = newest if newest and newest.state in _PLANS else None
    own = revocation.personal(planned, request.user) if planned else []
    chosen = set(planned.effects.get("items", {}).values()) if planned else None
    return {
        "alert": alert,
        "run": shown,
        "run_lines": lines(shown),
        "seconds_left": max(0, ceil((shown.due_at - now).total_seconds())) if shown and shown.due_at else 0,
        "approvable": shown is not None and approvable(request, shown),
        "asks_password": not password.proved_recently(request),
        "items": [(item, item.pk in chosen if chosen else not item.besides) for item in revocation.removable(alert)],
        "planned": planned,
        "lines": lines(planned),
        "action": revocation.action(planned) if planned else "",
        "sections": revocation.by_hand(planned) if planned else [],
        "own": own,
        "grave": bool(own) or any(warning["grave"] for warning in (planned.warnings if planned else [])),
        "name_to_type": revocation.name_to_type(planned) if planned else "",
        "grace": settings.REVOKE_GRACE_SECONDS,
        "may_triage": request.user.has_perm("alerts.triage_alert"),
        "may_revoke": request.user.has_perm("alerts.revoke_role"),
    }
