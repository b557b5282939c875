"""Telling the stakeholders of an alert: who, in which words, shown as it will arrive."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts import tasks
from alerts.forms import DraftForm, TellForm
from alerts.models import Alert, Notification, Stakeholder
from alerts.notifications.message import Message
from alerts.services import delivery, draft
from alerts.services.workflow import Stale
from alerts.views.request import Request, check_may, number_of


@dataclass(frozen=True, slots=True)
class Recipient:
    """A stakeholder as the page offers them: how they are reached, what they were told, and whether they are chosen."""

    stakeholder: Stakeholder
    ways: list[tuple[str, str]]
    told: Notification | None
    chosen: bool


@dataclass(frozen=True, slots=True)
class Audience:
    """One group: its recipients, the form with its text, and the message as it will arrive, if the text is valid."""

    label: str
    recipients: list[Recipient]
    form: DraftForm
    preview: Message | None


@require_http_methods(["GET", "POST"])
def tell(request: Request, pk: int) -> HttpResponse:
    """Show the texts and who gets them; preview them; send them."""
    alert = get_object_or_404(Alert.objects.select_related("cluster", "object"), pk=pk)
    if request.method == "GET":
        return _page(request, alert, chosen=_not_told_yet(alert), forms=_drafts(alert))
    check_may(request, "triage_alert")
    form, forms = TellForm(request.POST), _entered(request)
    chosen = frozenset(map(number_of, request.POST.getlist("recipients"))) - {0}
    if request.POST.get("action") == "preview":
        return _page(request, alert, chosen=chosen, forms=forms)
    problems = _problems(form, forms)
    if problems:
        return _page(request, alert, chosen=chosen, forms=forms, problem=" ".join(problems), status=422)
    values = form.cleaned_data
    texts = {group: forms[group].draft() for group in {each.group for each in values["recipients"]}}
    try:
        told = delivery.tell(
            alert, values["recipients"], texts, by=request.user, version=values["version"], once=values["once"]
        )
    except Stale as stale:
        alert.refresh_from_db()
        return _page(request, alert, chosen=chosen, forms=forms, problem=str(stale), status=409)
    for notification in told:
        tasks.wake(tasks.deliver, notification.pk)
    messages.success(request, f"{len(told)} {'message is' if len(told) == 1 else 'messages are'} on their way.")
    return redirect(f"{alert.get_absolute_url()}#step-tell")


@require_GET
def told(request: Request, pk: int) -> HttpResponse:
    """Show who was told: a part of the alert's page that asks again while something is on its way."""
    alert = get_object_or_404(Alert, pk=pk)
    if not request.htmx:
        return redirect(f"{alert.get_absolute_url()}#step-tell")
    return render(request, "components/told.html", {"alert": alert})


@require_POST
def retry(request: Request, pk: int) -> HttpResponse:
    """Send a message again that failed or waits."""
    found = get_object_or_404(Notification.objects.select_related("alert"), pk=pk)
    check_may(request, "triage_alert" if found.alert else "change_stakeholder")
    try:
        delivery.retry(found, by=request.user)
    except delivery.SentAlready as already:
        messages.warning(request, str(already))
    else:
        tasks.wake(tasks.deliver, found.pk)
        messages.success(request, f"The message to {found.recipient} is on its way again.")
    if found.alert is None:
        return redirect("alerts:stakeholders")
    return redirect(f"{found.alert.get_absolute_url()}#step-tell")


def _page(
    request: Request,
    alert: Alert,
    *,
    chosen: frozenset[int],
    forms: Mapping[str, DraftForm],
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "alert": alert,
        "audiences": _audiences(alert, chosen, forms),
        "once": request.POST.get("once") or uuid.uuid4(),
        "problem": problem,
        "may_triage": request.user.has_perm("alerts.triage_alert"),
    }
    only_preview = request.htmx and request.POST.get("action") == "preview"
    template = "alerts/tell.html#preview" if only_preview else "alerts/tell.html"
    return render(request, template, context, status=status)


def _audiences(alert: Alert, chosen: frozenset[int], forms: Mapping[str, DraftForm]) -> list[Audience]:
    newest = {each.stakeholder_id: each for each in alert.notifications.order_by("pk")}
    everybody = Stakeholder.objects.select_related("channel")
    audiences = []
    for group in Stakeholder.Group:
        recipients = [
            Recipient(
                stakeholder=each,
                ways=[(way.label, delivery.destination(each, way)) for way in delivery.ways(each)],
                told=newest.get(each.pk),
                chosen=each.pk in chosen,
            )
            for each in everybody
            if each.group == group
        ]
        form = forms[group]
        wanted = any(each.chosen for each in recipients)
        preview = delivery.preview(alert, form.draft()) if wanted and form.is_valid() else None
        audiences.append(Audience(group.label, recipients, form, preview))
    return audiences


def _not_told_yet(alert: Alert) -> frozenset[int]:
    told_already = alert.notifications.exclude(stakeholder=None).values("stakeholder")
    return frozenset(Stakeholder.objects.exclude(pk__in=told_already).values_list("pk", flat=True))


def _drafts(alert: Alert) -> dict[str, DraftForm]:
    """Return the forms filled with what was written beforehand."""
    forms = {}
    for group in Stakeholder.Group:
        written = draft.compose(alert, group)
        forms[group.value] = DraftForm(
            {f"{group.value}-subject": written.subject, f"{group.value}-text": written.text}, prefix=group.value
        )
    return forms


def _entered(request: Request) -> dict[str, DraftForm]:
    return {group.value: DraftForm(request.POST, prefix=group.value) for group in Stakeholder.Group}


def _problems(form: TellForm, forms: Mapping[str, DraftForm]) -> list[str]:
    """Return what is missing, in sentences: of the texts, only those that somebody would receive."""
    if not form.is_valid():
        return [str(error) for errors in form.errors.values() for error in errors]
    groups = sorted({each.group for each in form.cleaned_data["recipients"]})
    return [
        f"{Stakeholder.Group(group).label}: the {field} is missing or too long."
        for group in groups
        for field in forms[group].errors
    ]
