"""Revoking: the plan, the decision, the run and its proof, on one page that also works without JavaScript."""

from dataclasses import dataclass
from itertools import zip_longest
from math import ceil
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts import tasks
from alerts.models import Alert, Revocation
from alerts.services import revocation
from alerts.views import password
from alerts.views.request import Request, check_may

_PLANS = {Revocation.State.PLANNED, Revocation.State.REFUSED, Revocation.State.AWAITING}


@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: Request, pk: int) -> HttpResponse:
    """Show the plan and what came of it; a post runs the plan after its grace."""
    alert = _alert(pk)
    if request.method == "POST":
        return _run(request, alert)
    mode = _mode(request.GET.get("mode"))
    if mode == Revocation.Mode.REMOVE:
        return _page_of(pk, mode)
    if request.htmx:  # the page asks whether its plan is there
        return render_fresh(request, "alerts/revoke.html#plan", _context(request, alert, mode))
    _plan_in_background(alert, mode)
    return _page(request, alert, mode)


def _run(request: Request, alert: Alert) -> HttpResponse:
    """Schedule the plan that the person saw, and answer with its progress; 409 with the new plan if it moved on."""
    check_may(request, "revoke_role")
    mode, posted = _mode(request.POST.get("mode")), request.POST
    planned = revocation.current(alert, mode)
    if planned is None:
        return _page(request, alert, mode, problem="There is no plan yet. Wait a moment, or plan now.", status=409)
    reason, typed = posted.get("reason", ""), posted.get("typed_name", "")
    try:
        password.prove(request, posted.get("password", ""))
        scheduled = revocation.request(
            planned, by=request.user, reason=reason, digest=posted.get("digest", ""), typed_name=typed
        )
    except revocation.Outdated as outdated:
        _plan_in_background(alert, mode)
        return _page(request, alert, mode, problem=str(outdated), status=409, written=reason)
    except (revocation.RequestRefused, password.PasswordRefused) as refused:
        if not request.user.is_authenticated:
            return redirect("alerts:login")
        return _page(request, alert, mode, problem=str(refused), status=422, written=reason)
    wake(scheduled)
    return redirect("alerts:revoke", alert.pk)


def wake(scheduled: Revocation) -> None:
    """Have what was scheduled run when its grace is over."""
    if scheduled.state == Revocation.State.SCHEDULED:
        tasks.wake(tasks.run_revocation, scheduled.pk, after=settings.REVOKE_GRACE_SECONDS)


@require_POST
def revoke_approve(request: Request, pk: int) -> HttpResponse:
    """Let run what somebody else asked for."""
    check_may(request, "revoke_role")
    mode = _mode(request.POST.get("mode"))
    active = revocation.current(_alert(pk), mode)
    try:
        password.prove(request, request.POST.get("password", ""))
        if active is not None:
            wake(revocation.approve(active, by=request.user, digest=request.POST.get("digest", "")))
    except (revocation.RequestRefused, password.PasswordRefused) as refused:
        messages.error(request, str(refused))
    return _page_of(pk, mode)


@require_POST
def revoke_restore(request: Request, pk: int) -> HttpResponse:
    """Have the last revoke undone in the background."""
    check_may(request, "revoke_role")
    ended = revocation.finished(_alert(pk))
    try:
        password.prove(request, request.POST.get("password", ""))
        if ended is not None:
            asked = revocation.undo(ended, by=request.user, reason=request.POST.get("reason", ""))
            tasks.wake(tasks.undo_revocation, asked.pk)
    except (revocation.RequestRefused, password.PasswordRefused) as refused:
        messages.error(request, str(refused))
    return redirect("alerts:revoke", pk)


@require_POST
def revoke_plan(request: Request, pk: int) -> HttpResponse:
    """Make a new plan now, in the chosen way and for the chosen bindings."""
    check_may(request, "triage_alert")
    alert, mode = _alert(pk), _mode(request.POST.get("mode"))
    try:
        revocation.plan(alert, mode, choice=_choice(request))
    except revocation.NothingToRevoke as nothing:
        messages.warning(request, str(nothing))
    return redirect(f"{reverse('alerts:revoke', args=[pk])}?mode={mode}")


@require_POST
def revoke_call_off(request: Request, pk: int) -> HttpResponse:
    """Call off the revoke that has not begun."""
    check_may(request, "revoke_role")
    mode = _mode(request.POST.get("mode"))
    active = revocation.current(_alert(pk), mode)
    try:
        if active is not None:
            revocation.call_off(active, by=request.user)
            messages.success(request, "Called off. Nothing was done.")
    except revocation.RequestRefused as refused:
        messages.error(request, str(refused))
    return _page_of(pk, mode)


def _page_of(pk: int, mode: str) -> HttpResponse:
    return redirect("alerts:remove" if mode == Revocation.Mode.REMOVE else "alerts:revoke", pk)


@require_POST
def revoke_check(request: Request, pk: int) -> HttpResponse:
    """Check that somebody's own commands worked, and record it where they did."""
    check_may(request, "triage_alert")
    try:
        revocation.confirm_by_hand(_alert(pk), by=request.user)
    except revocation.RequestRefused as not_gone:
        messages.error(request, str(not_gone))
    return redirect("alerts:revoke", pk)


@require_GET
def revoke_progress(request: Request, pk: int) -> HttpResponse:
    """Show how far it is. The page asks for this every second, and is drawn anew once it has ended."""
    context = _context(request, _alert(pk), Revocation.Mode.REVOKE)
    response = render_fresh(request, "alerts/revoke.html#progress", context)
    if not (context["run"] and context["run"].is_active()):
        response["HX-Refresh"] = "true"
    return response


@require_GET
def revoke_button(request: Request, pk: int) -> HttpResponse:
    """Show the button that stands on the alert's page; 204 where it is the one that is there already.

    While it stands there its plan is kept fresh.
    """
    alert = _alert(pk)
    if _stands(request, alert, Revocation.Mode.REVOKE):
        return HttpResponse(status=204)
    context = {
        "alert": alert,
        "revocation": revocation.current(alert),
        "may_revoke": request.user.has_perm("alerts.revoke_role"),
        "asks_password": not password.proved_recently(request),
    }
    return render_fresh(request, "components/revoke_button.html", context)


@require_GET
def revoke_fresh(request: Request, pk: int) -> HttpResponse:
    """Keep the plan that somebody looks at fresh; 204 while it is the same, else a notice that it changed."""
    alert, mode = _alert(pk), _mode(request.GET.get("mode"))
    if _stands(request, alert, mode):
        return HttpResponse(status=204)
    return render_fresh(request, "alerts/revoke.html#fresh", {"alert": alert, "mode": mode})


def _stands(request: Request, alert: Alert, mode: str) -> bool:
    """Tell whether the plan is the one that the page shows; has it renewed where it gets old."""
    if revocation.renewable(alert, mode):
        tasks.wake(tasks.plan_revocation, alert.pk, mode)
    newest = revocation.current(alert, mode)
    return newest is not None and newest.is_fresh() and newest.digest == request.GET.get("digest")


@require_GET
def revoke_manifests(request: Request, pk: int, revocation_pk: int) -> HttpResponse:
    """Give the manifests as they were stored before anything was done, as one List that kubectl reads."""
    check_may(request, "triage_alert")
    planned = get_object_or_404(Revocation, pk=revocation_pk, alert__pk=pk)
    response = JsonResponse(revocation.stored(planned), json_dumps_params={"indent": 2})
    response["Content-Disposition"] = f'attachment; filename="{planned.alert.reference.lower()}-manifests.json"'
    return response


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a plan with all that is known of it."""

    target: dict[str, Any]
    same: bool | None
    rehearsed: dict[str, Any] | None
    result: dict[str, Any] | None
    check: dict[str, Any] | None


def lines(shown: Revocation | None) -> list[Line]:
    """Return the objects of a plan in their order."""
    if shown is None:
        return []
    checks = shown.proof.get("objects", [])
    columns = zip_longest(shown.plan, shown.effects.get("same", []), shown.rehearsal, shown.results, checks)
    return [Line(*column) for column in columns if column[0]]


def _alert(pk: int) -> Alert:
    return get_object_or_404(Alert.objects.select_related("cluster", "object"), pk=pk)


def _choice(request: Request) -> revocation.Choice:
    """Return what the form chose; what it did not ask about stays as it was."""
    posted = request.POST
    asked = posted.get("choose", "")
    return revocation.Choice(
        bindings=tuple(posted.getlist("binding")) if asked == "bindings" else None,
        role_first=posted.get("role_first") == "1" if asked == "order" else None,
        labels_only=posted.get("labels_only") == "1" if asked == "labels" else None,
    )


def _mode(text: str | None) -> str:
    return text if text in Revocation.Mode.values else Revocation.Mode.REVOKE


def _plan_in_background(alert: Alert, mode: str) -> None:
    if revocation.wanted(alert, mode):
        tasks.wake(tasks.plan_revocation, alert.pk, mode)


def _page(
    request: Request, alert: Alert, mode: str, *, problem: str = "", status: int = 200, written: str | None = None
) -> HttpResponse:
    context = _context(request, alert, mode) | {"problem": problem}
    if written is not None:
        context["reason"] = written
    return render_fresh(request, "alerts/revoke.html", context, status=status)


def render_fresh(request: Request, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Render what no cache may keep: a plan is of its moment."""
    response = render(request, template, context, status=status)
    response["Cache-Control"] = "no-store"
    response["Vary"] = "HX-Request"
    return response


def approvable(request: Request, shown: Revocation) -> bool:
    """Tell whether this person may approve it now."""
    asked_by_another = shown.requested_by_id != request.user.pk
    may = request.user.has_perm("alerts.revoke_role")
    return shown.state == Revocation.State.AWAITING and asked_by_another and may


def _context(request: Request, alert: Alert, mode: str) -> dict[str, Any]:
    """Return everything the page shows: the run in progress or last ended, and the plan of the chosen mode."""
    newest, now = revocation.current(alert, mode), timezone.now()
    shown = newest if newest and newest.is_active() else revocation.finished(alert)
    planned = newest if newest and newest.state in _PLANS else None
    undo = shown.restorations.first() if shown else None
    own = revocation.personal(planned, request.user) if planned else []
    return {
        "alert": alert,
        "mode": mode,
        "run": shown,
        "run_lines": lines(shown),
        "run_commands": revocation.restore(shown) if shown and not shown.is_active() else None,
        "seconds_left": max(0, ceil((shown.due_at - now).total_seconds())) if shown and shown.due_at else 0,
        "undo": undo,
        "undoable": shown is not None and revocation.undoable(shown),
        "approvable": shown is not None and approvable(request, shown),
        "asks_password": not password.proved_recently(request),
        "planned": planned,
        "lines": lines(planned),
        "action": revocation.action(planned) if planned else "",
        "name_to_type": revocation.name_to_type(planned) if planned else "",
        "sections": revocation.by_hand(planned) if planned else [],
        "valid_seconds": max(0, int((planned.valid_until - now).total_seconds())) if planned else 0,
        "own": own,
        "grave": bool(own) or any(warning["grave"] for warning in (planned.warnings if planned else [])),
        "planning": revocation.wanted(alert, mode),
        "plannable": revocation.plannable(alert),
        "reason": revocation.offered_reason(alert),
        "grace": settings.REVOKE_GRACE_SECONDS,
        "may_triage": request.user.has_perm("alerts.triage_alert"),
        "may_revoke": request.user.has_perm("alerts.revoke_role"),
    }
