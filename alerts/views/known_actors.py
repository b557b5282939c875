"""Known actors: each with what it fits and how often it did. Administrators write them."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts.audit.actor_rule import PRESETS
from alerts.forms import KnownActorForm
from alerts.models import KnownActor
from alerts.services import known_actors as directory
from alerts.views.request import Request, check_may


@require_GET
def known_actors(request: Request) -> HttpResponse:
    """List the rules with how often they matched, and the presets to start from."""
    context = {
        "known_actors": directory.listed(),
        "presets": PRESETS,
        "may_add": request.user.has_perm("alerts.add_knownactor"),
        "may_change": request.user.has_perm("alerts.change_knownactor"),
    }
    return render(request, "alerts/known_actors.html", context)


@require_http_methods(["GET", "POST"])
def add_known_actor(request: Request) -> HttpResponse:
    """Write a rule, from nothing or from a preset."""
    check_may(request, "add_knownactor")
    preset = next((each for each in PRESETS if each.key == request.GET.get("preset")), None)
    initial = {"name": preset.name, "username": preset.rule.username, "client": preset.rule.client} if preset else {}
    form = KnownActorForm(request.POST or None, instance=KnownActor(created_by=request.user), initial=initial)
    return _edit(request, form, {"title": "Add a known actor", "ask": preset.ask if preset else ""})


@require_http_methods(["GET", "POST"])
def known_actor(request: Request, pk: int) -> HttpResponse:
    """Change a rule."""
    check_may(request, "change_knownactor")
    form = KnownActorForm(request.POST or None, instance=get_object_or_404(KnownActor, pk=pk))
    return _edit(request, form, {"title": "Change a known actor"})


@require_POST
def switch_known_actor(request: Request, pk: int) -> HttpResponse:
    """Switch a rule on or off."""
    check_may(request, "change_knownactor")
    found = get_object_or_404(KnownActor, pk=pk)
    enabled = request.POST.get("enabled") == "on"
    directory.switch(found, enabled=enabled, by=request.user)
    messages.success(request, f"{found.name} is {'on' if enabled else 'off'}.")
    return redirect("alerts:known_actors")


def _edit(request: Request, form: KnownActorForm, context: dict[str, object]) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        directory.save(form.save(commit=False), by=request.user)
        messages.success(request, f"{form.instance.name} was saved. Open alerts are weighed again.")
        return redirect("alerts:known_actors")
    status = 422 if request.method == "POST" else 200
    return render(request, "alerts/known_actor.html", context | {"form": form}, status=status)
