"""A search through everything that a cluster sent and that is still stored, some batches at a time."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from alerts.forms import SearchForm
from alerts.models import Cluster
from alerts.services import evidence, searching
from alerts.views.request import Request


@require_GET
def search(request: Request, name: str) -> HttpResponse:
    """Show the form, and what the batches hold of what was asked; to htmx only the rows that come after `before`."""
    cluster = get_object_or_404(Cluster, name=name)
    form = SearchForm(request.GET or None)
    context = {"cluster": cluster, "form": form, "history_since": evidence.history_since(cluster)}
    template = "alerts/search.html"
    if form.is_valid() and form.wanted().lines:
        times = {key: form.cleaned_data[key] for key in ("since", "until")}
        page = searching.page(cluster, form.wanted(), **times, before=form.cleaned_data["before"])
        more = request.GET.copy()
        more["before"] = str(page.before)
        context |= {"page": page, "more": more.urlencode()}
        context["not_searched"] = searching.not_searched(cluster, times["since"])
        template = "alerts/search.html#older" if request.htmx else template
    response = render(request, template, context)
    response["Vary"] = "HX-Request"
    return response
