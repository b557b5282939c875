"""Having an alert's evidence gathered again, where the cluster could not be asked before."""

from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from alerts import tasks
from alerts.models import Alert
from alerts.services import investigation, queue
from alerts.views.alert import render_alert
from alerts.views.request import Request, check_may


@require_POST
def investigate(request: Request, pk: int) -> HttpResponse:
    """Gather the evidence again in the background, and answer with the alert as it stands."""
    check_may(request, "triage_alert")
    alert = get_object_or_404(Alert.objects.select_related("cluster", "assignee", "object"), pk=pk)
    investigation.ask_again(alert)
    tasks.wake(tasks.investigate, alert.pk)
    view = QueryDict(request.POST.get("view", ""))
    if request.htmx:
        return render_alert(request, alert, view=view)
    return redirect(alert.get_absolute_url() + queue.Filter.of(view).but())
