"""What people do on an alert's page. Each answers with the alert as it then stands."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from alerts.lifecycle import MoveRefused, Status, Verdict
from alerts.models import Alert, Note
from alerts.services import queue, workflow
from alerts.views.alert import feed, render_alert
from alerts.views.request import Request, check_may, number_of


def _change(request: Request, pk: int, change: Callable[[Alert, int], object]) -> HttpResponse:
    """Apply a change to the version that the form was made from, and answer with the alert; 409 if it moved on."""
    check_may(request, "triage_alert")
    alert = get_object_or_404(Alert, pk=pk)
    view = QueryDict(request.POST.get("view", ""))
    version = number_of(request.POST.get("version", ""))
    problem, status = "", 200
    try:
        change(alert, version)
    except workflow.Stale as stale:
        problem, status = str(stale), 409
    except MoveRefused as refused:
        problem, status = str(refused), 422
    alert = Alert.objects.select_related("cluster", "assignee", "object").get(pk=pk)
    if problem or request.htmx:
        return render_alert(request, alert, view=view, problem=problem, status=status)
    return redirect(alert.get_absolute_url() + queue.Filter.of(view).but())


@require_POST
def take(request: Request, pk: int) -> HttpResponse:
    """Make the alert one's own."""
    return _change(request, pk, lambda alert, version: workflow.take(alert, by=request.user, version=version))


@require_POST
def assign(request: Request, pk: int) -> HttpResponse:
    """Give the alert to somebody, or back to the queue."""
    chosen = request.POST.get("assignee", "")
    to = get_object_or_404(User, pk=number_of(chosen), is_active=True) if chosen else None
    return _change(request, pk, lambda alert, version: workflow.assign(alert, to, by=request.user, version=version))


@require_POST
def move(request: Request, pk: int) -> HttpResponse:
    """Set another status."""

    def change(alert: Alert, version: int) -> None:
        try:
            to = Status(request.POST.get("status", ""))
        except ValueError:
            raise MoveRefused("Choose a status.") from None
        workflow.move(alert, to, by=request.user, version=version, reason=request.POST.get("reason", ""))

    return _change(request, pk, change)


@require_POST
def answer(request: Request, pk: int, key: str) -> HttpResponse:
    """Answer a step, or open it again."""

    def change(alert: Alert, version: int) -> None:
        if request.POST.get("outcome") == "reopen":
            workflow.reopen_step(alert, key, by=request.user, version=version)
            return
        outcome, reason = request.POST.get("outcome", ""), request.POST.get("reason", "")
        workflow.answer(alert, key, outcome, by=request.user, version=version, reason=reason)

    return _change(request, pk, change)


@require_POST
def close(request: Request, pk: int) -> HttpResponse:
    """Close the alert with a verdict, and go on to the next one of the same view."""
    view = queue.Filter.of(QueryDict(request.POST.get("view", "")))
    place = queue.place(get_object_or_404(Alert, pk=pk), view, seen_by=request.user)

    def change(alert: Alert, version: int) -> None:
        try:
            verdict = Verdict(request.POST.get("verdict", ""))
        except ValueError:
            raise MoveRefused("Choose a verdict.") from None
        workflow.close(alert, verdict, by=request.user, version=version, reason=request.POST.get("reason", ""))

    response = _change(request, pk, change)
    if response.status_code in {409, 422}:
        return response
    closed = Alert.objects.get(pk=pk)
    messages.success(request, f"{closed.reference} closed as {closed.get_verdict_display().lower()}.")
    following = place.next or place.previous if place else None
    address = reverse("alerts:alert", args=[following]) if following else reverse("alerts:queue")
    if request.htmx:
        return HttpResponseClientRedirect(address + view.but())
    return redirect(address + view.but())


@require_POST
def reopen(request: Request, pk: int) -> HttpResponse:
    """Open a closed alert again."""
    reason = request.POST.get("reason", "")
    return _change(
        request, pk, lambda alert, version: workflow.reopen(alert, by=request.user, version=version, reason=reason)
    )


@require_POST
def note(request: Request, pk: int) -> HttpResponse:
    """Write a note, or preview it; a note is nobody else's business, so it needs no version."""
    check_may(request, "triage_alert")
    alert = get_object_or_404(Alert, pk=pk)
    text, problem = request.POST.get("text", ""), ""
    preview = request.POST.get("action") == "preview"
    if not preview:
        try:
            workflow.write_note(alert, text, by=request.user, step_key=request.POST.get("step", ""))
            text = ""
        except MoveRefused as refused:
            problem = str(refused)
    return _notes(request, alert, draft=text, preview=preview, problem=problem)


@require_POST
def edit_note(request: Request, pk: int, note_pk: int) -> HttpResponse:
    """Edit one's own note."""
    check_may(request, "triage_alert")
    found = get_object_or_404(Note.objects.select_related("alert"), pk=note_pk, alert_id=pk)
    problem = ""
    try:
        workflow.edit_note(found, request.POST.get("text", ""), by=request.user)
    except MoveRefused as refused:
        problem = str(refused)
    return _notes(request, found.alert, problem=problem)


def _notes(
    request: Request, alert: Alert, *, draft: str = "", preview: bool = False, problem: str = ""
) -> HttpResponse:
    """Answer with the notes as they then stand: a part to htmx, else the whole page, which a reload must not repeat."""
    context = {
        "alert": alert,
        "draft": draft,
        "preview": preview,
        "note_problem": problem,
        "written": not draft and not problem,
        "may_triage": True,
    } | feed(alert)
    if request.htmx:
        return render(request, "alerts/alert.html#notes", context, status=422 if problem else 200)
    if draft or problem:
        from_page = render_alert(request, alert, view=QueryDict(), problem=problem, status=422 if problem else 200)
        return from_page if problem else render(request, "alerts/note.html", context)
    return redirect(f"{alert.get_absolute_url()}#notes")
