"""The alert: its story, three questions and five steps, and everything that was said and done about it."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from alerts import lifecycle, playbook, tasks
from alerts.lifecycle import Status
from alerts.models import Alert, Answer, Note, Step
from alerts.services import posture, queue, revocation, standing, tripwire
from alerts.views import password
from alerts.views.request import Request

ACTIVITIES_SHOWN = 200


@dataclass(frozen=True, slots=True)
class StepView:
    """A step as the page shows it."""

    step: Step
    definition: playbook.Step
    evidence: dict[str, Any]
    answer: Answer | None
    number: int
    opened: bool
    earlier: int

    @property
    def template(self) -> str:
        """The template of its body."""
        return f"alerts/steps/{self.step.key}.html"


@require_GET
def alert(request: Request, pk: int) -> HttpResponse:
    """Show an alert."""
    found = get_object_or_404(Alert.objects.select_related("cluster", "assignee", "object"), pk=pk)
    if revocation.wanted(found):
        tasks.wake(tasks.plan_revocation, found.pk)
    return render_alert(request, found, view=request.GET)


def render_alert(
    request: Request, alert: Alert, *, view: QueryDict, problem: str = "", status: int = 200
) -> HttpResponse:
    """Render an alert as a whole page, or as its inner part to htmx; `problem` says why something was not done."""
    template = "alerts/alert.html#alert" if request.htmx else "alerts/alert.html"
    context = context_of(request, alert, view=view) | {"problem": problem}
    response = render(request, template, context, status=status)
    response["Vary"] = "HX-Request"
    return response


def feed(alert: Alert) -> dict[str, Any]:
    """Return the notes of an alert, what was done with it last, and how many earlier activities there are besides."""
    count = alert.activities.count()
    return {
        "notes": Note.objects.filter(alert=alert).select_related("author").prefetch_related("revisions"),
        "activities": alert.activities.select_related("by").order_by("-pk")[:ACTIVITIES_SHOWN],
        "earlier_activities": max(0, count - ACTIVITIES_SHOWN),
    }


def context_of(request: Request, alert: Alert, *, view: QueryDict) -> dict[str, Any]:
    """Return everything the alert's page shows."""
    user, seen_in = request.user, queue.Filter.of(view)
    steps = _steps(alert)
    answered = frozenset(each.step.key for each in steps if each.answer)
    investigation = [each for each in steps if each.definition.part == playbook.Part.INVESTIGATION]
    resolution = [each for each in steps if each.definition.part == playbook.Part.RESOLUTION]
    return {
        "alert": alert,
        "view": seen_in,
        "place": queue.place(alert, seen_in, seen_by=user),
        "investigation": investigation,
        "investigation_answered": sum(each.answer is not None for each in investigation),
        "resolution": resolution,
        "resolution_answered": sum(each.answer is not None for each in resolution),
        "events": alert.events.all(),
        "statuses": [(str(move), lifecycle.LABELS[move]) for move in _moves(alert)],
        "verdicts": [
            (verdict, meaning, lifecycle.unanswered(verdict, answered))
            for verdict, meaning in lifecycle.VERDICTS.items()
        ],
        "people": User.objects.with_perm("alerts.triage_alert").filter(is_active=True).order_by("username"),
        "overdue": alert.is_overdue(),
        "revocation": revocation.current(alert),
        "policies": _policies(alert),
        "watching": any(each.is_running() for each in alert.watches.all()),
        "returns_of": tripwire.returned_by(alert),
        "asks_password": not password.proved_recently(request),
        "may_triage": user.has_perm("alerts.triage_alert"),
        "may_revoke": user.has_perm("alerts.revoke_role"),
    } | feed(alert)


def _steps(alert: Alert) -> list[StepView]:
    """Return the alert's steps in the playbook's order; the first unanswered question is opened."""
    rows = {step.key: step for step in alert.steps.prefetch_related("answers__by")}
    shown: list[StepView] = []
    for number, definition in enumerate(playbook.STEPS, start=1):
        step = rows[definition.key]
        answers = list(step.answers.all())
        answer = answers[-1] if step.outcome and answers else None
        first_open = answer is None and all(each.answer for each in shown)
        shown.append(
            StepView(
                step=step,
                definition=definition,
                evidence=standing.evidence(alert, definition.key),
                answer=answer,
                number=number if number <= len(playbook.INVESTIGATION) else number - len(playbook.INVESTIGATION),
                opened=first_open,
                earlier=max(len(answers) - 1, 0),
            )
        )
    return shown


def _policies(alert: Alert) -> dict[str, Any]:
    """Return the findings of the alert's role and of its cluster as they stand now."""
    rows = posture.concerning(alert).prefetch_related("acceptances__by")
    return {
        "open": posture.grouped(rows.open()),
        "accepted": rows.accepted(),
        "gaps": posture.gaps_of(alert.cluster),
    }


def _moves(alert: Alert) -> list[Status]:
    return [
        move for move in lifecycle.LABELS if move in lifecycle.MOVES[Status(alert.status)] and move != Status.CLOSED
    ]
