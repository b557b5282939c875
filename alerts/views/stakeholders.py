"""The stakeholders: who is told, by which ways, and whether a test message arrives. Administrators change them."""

from django.contrib import messages
from django.db.models import Count, OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from alerts import tasks
from alerts.forms import ChannelForm, StakeholderForm
from alerts.models import Channel, Notification, Stakeholder
from alerts.services import delivery
from alerts.services import stakeholders as directory
from alerts.views.request import Request, check_may


@require_GET
def stakeholders(request: Request) -> HttpResponse:
    """List the stakeholders by group, each with the last test message, and the Slack connections."""
    tests = _last_tests()
    rows = [(each, tests.get(each.pk, [])) for each in Stakeholder.objects.select_related("channel")]
    context = {
        "groups": [(group, [row for row in rows if row[0].group == group]) for group in Stakeholder.Group],
        "channels": Channel.objects.annotate(used=Count("stakeholders")),
        "may_add": request.user.has_perm("alerts.add_stakeholder"),
        "may_change": request.user.has_perm("alerts.change_stakeholder"),
    }
    return render(request, "alerts/stakeholders.html", context)


def add_stakeholder(request: Request) -> HttpResponse:
    """Add a stakeholder."""
    check_may(request, "add_stakeholder")
    return _edit_stakeholder(request, Stakeholder())


def stakeholder(request: Request, pk: int) -> HttpResponse:
    """Change a stakeholder."""
    check_may(request, "change_stakeholder")
    return _edit_stakeholder(request, get_object_or_404(Stakeholder, pk=pk))


@require_POST
def remove_stakeholder(request: Request, pk: int) -> HttpResponse:
    """Remove a stakeholder."""
    check_may(request, "delete_stakeholder")
    found = get_object_or_404(Stakeholder, pk=pk)
    directory.remove(found, by=request.user)
    messages.success(request, f"{found.name} was removed.")
    return redirect("alerts:stakeholders")


@require_POST
def test_message(request: Request, pk: int) -> HttpResponse:
    """Send a stakeholder a test message."""
    check_may(request, "change_stakeholder")
    found = get_object_or_404(Stakeholder, pk=pk)
    for notification in delivery.send_test(found, by=request.user):
        tasks.wake(tasks.deliver, notification.pk)
    messages.success(request, f"A test message to {found.name} is on its way. Reload to see whether it arrived.")
    return redirect("alerts:stakeholders")


def add_channel(request: Request) -> HttpResponse:
    """Add a Slack connection."""
    check_may(request, "add_channel")
    return _edit_channel(request, Channel())


def channel(request: Request, pk: int) -> HttpResponse:
    """Change a Slack connection, or replace its secret."""
    check_may(request, "change_channel")
    return _edit_channel(request, get_object_or_404(Channel, pk=pk))


@require_POST
def remove_channel(request: Request, pk: int) -> HttpResponse:
    """Remove a Slack connection that nobody is reached by."""
    check_may(request, "delete_channel")
    found = get_object_or_404(Channel, pk=pk)
    try:
        directory.remove_channel(found, by=request.user)
    except directory.InUse as in_use:
        messages.error(request, str(in_use))
    else:
        messages.success(request, f"{found.name} was removed, with its secret.")
    return redirect("alerts:stakeholders")


def _edit_stakeholder(request: Request, found: Stakeholder) -> HttpResponse:
    form = StakeholderForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        directory.save(form.save(commit=False), by=request.user)
        messages.success(request, f"{form.instance.name} was saved.")
        return redirect("alerts:stakeholders")
    title = "Change a stakeholder" if found.pk else "Add a stakeholder"
    return _form(request, {"form": form, "title": title})


def _edit_channel(request: Request, found: Channel) -> HttpResponse:
    form = ChannelForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        directory.save_channel(form.save(commit=False), by=request.user)
        messages.success(request, f"{form.instance.name} was saved.")
        return redirect("alerts:stakeholders")
    title = "Change a Slack connection" if found.pk else "Add a Slack connection"
    return _form(request, {"form": form, "title": title})


def _form(request: Request, context: dict[str, object]) -> HttpResponse:
    status = 422 if request.method == "POST" else 200
    return render(request, "alerts/stakeholder.html", context, status=status)


def _last_tests() -> dict[int, list[Notification]]:
    """Return the last test message to each stakeholder, by each way."""
    newest = Notification.objects.filter(
        kind="test", stakeholder=OuterRef("stakeholder"), way=OuterRef("way")
    ).order_by("-pk")
    found = Notification.objects.filter(kind="test", pk=Subquery(newest.values("pk")[:1]))
    tests: dict[int, list[Notification]] = {}
    for notification in found:
        tests.setdefault(notification.stakeholder_id or 0, []).append(notification)
    return tests
