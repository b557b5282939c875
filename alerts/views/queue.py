"""The queue: what waits for an analyst."""

import re
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from alerts import lifecycle
from alerts.lifecycle import MoveRefused, Verdict
from alerts.models import Activity, Alert, Cluster, SavedView
from alerts.services import queue as triage_queue
from alerts.services import saved_views, workflow
from alerts.views.request import Request, check_may, number_of

ROWS_A_PAGE = 50
# An alert as a row names it: its key, and the version that was seen.
_SEEN = re.compile(r"([0-9]{1,17})\.([0-9]{1,9})")


@require_GET
def queue(request: Request) -> HttpResponse:
    """Show the queue, or only its table to htmx."""
    template = "alerts/queue.html#list" if request.htmx else "alerts/queue.html"
    response = render(request, template, _context(request, request.GET))
    response["Vary"] = "HX-Request"
    return response


@require_GET
def newcomers(request: Request) -> HttpResponse:
    """Tell how many alerts of this view opened or came back since the list was drawn. The list itself never moves."""
    view = triage_queue.Filter.of(request.GET)
    since = number_of(request.GET.get("since", ""))
    count, back = view.news(since, seen_by=request.user)
    context = {"count": count, "back": back, "since": since, "view": view}
    return render(request, "alerts/queue.html#newcomers", context)


@require_POST
def bulk(request: Request) -> HttpResponse:
    """Do one thing to every selected alert as it was seen, and say for each what became of it.

    What was refused stays selected, and what was entered is there again.
    """
    check_may(request, "triage_alert")
    # A row that folds a rollout names all its alerts: those that were seen, not those that came since.
    keys = dict.fromkeys(key for row in request.POST.getlist("alert") for key in row.split(","))
    seen = [(int(found[1]), int(found[2])) for key in keys if (found := _SEEN.fullmatch(key))]
    results = {pk: _apply(request, pk, version) for pk, version in seen}
    if not results:
        messages.warning(request, "Select at least one alert first.")
    refused = {pk: problem for pk, problem in results.items() if problem}
    for pk, problem in refused.items():
        messages.error(request, f"RC-{pk}: {problem}")
    done = [f"RC-{pk}" for pk in results if pk not in refused]
    if done:
        messages.success(request, f"{len(done)} done: {', '.join(done)}.")
    query = QueryDict(request.POST.get("view", ""))
    if refused or not results:
        entered = {"selected": refused, "reason": request.POST.get("reason"), "verdict": request.POST.get("verdict")}
        return render(request, "alerts/queue.html", _context(request, query) | entered, status=422)
    return redirect(reverse("alerts:queue") + triage_queue.Filter.of(query).but())


@require_POST
def save_view(request: Request) -> HttpResponse:
    """Keep the filter under a name; whoever may look may do that."""
    view = triage_queue.Filter.of(QueryDict(request.POST.get("view", "")))
    shared = request.POST.get("shared") == "on" and request.user.has_perm("alerts.triage_alert")
    try:
        kept = saved_views.save(view, request.POST.get("name", ""), shared=shared, by=request.user)
        messages.success(request, f"The view {kept.name} was saved.")
    except saved_views.ViewRefused as refused:
        messages.error(request, str(refused))
    return redirect(reverse("alerts:queue") + view.but())


@require_POST
def remove_view(request: Request, pk: int) -> HttpResponse:
    """Remove one's own view."""
    found = get_object_or_404(SavedView, pk=pk)
    try:
        saved_views.remove(found, by=request.user)
        messages.success(request, f"The view {found.name} was removed.")
    except saved_views.ViewRefused as refused:
        messages.error(request, str(refused))
    return redirect("alerts:queue")


def _apply(request: Request, pk: int, version: int) -> str:
    """Apply the chosen action to one alert of that version; return what stood in the way, "" where nothing did."""
    alert = Alert.objects.filter(pk=pk).first()
    if alert is None:
        return "there is no such alert."
    try:
        if request.POST.get("action") == "take":
            workflow.take(alert, by=request.user, version=version)
        else:
            verdict = Verdict(request.POST.get("verdict", ""))
            workflow.close(alert, verdict, by=request.user, version=version, reason=request.POST.get("reason", ""))
    except ValueError:
        return "choose a verdict to close it with."
    except (MoveRefused, workflow.Stale) as problem:
        return str(problem)
    return ""


def _context(request: Request, query: QueryDict) -> dict[str, Any]:
    view = triage_queue.Filter.of(query)
    newest = Activity.objects.order_by("-pk").values_list("pk", flat=True).first()
    page = Paginator(view.rows(seen_by=request.user), ROWS_A_PAGE).get_page(query.get("page"))
    return {
        "view": view,
        "page": page,
        "rows": triage_queue.loaded(list(page.object_list)),
        "views": (views := saved_views.offered(view, to=request.user)),
        "known_view": any(each.current for each in views),
        "muted_count": view.muted_count(seen_by=request.user),
        "with_muted": view.but(muted="any"),
        "chips": view.chips(),
        "since": newest or 0,
        "open_count": Alert.objects.open().count(),
        "overdue": triage_queue.OVERDUE.but(),
        "overdue_count": triage_queue.OVERDUE.alerts(seen_by=request.user).count(),
        "severities": Alert.Severity.choices,
        "statuses": triage_queue.STATUSES.items(),
        "owners": triage_queue.OWNERS.items(),
        "clusters": Cluster.objects.values_list("name", flat=True),
        "verdicts": lifecycle.VERDICTS.items(),
        "may_triage": request.user.has_perm("alerts.triage_alert"),
    }
