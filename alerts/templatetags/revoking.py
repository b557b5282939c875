"""What the button that revokes needs to know wherever it stands."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import template
from django.conf import settings

from alerts.models import Alert, Revocation
from alerts.services import revocation as revoking
from alerts.services import watch

register = template.Library()


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan that may run at one click: the reason offered for it, and the grace in seconds."""

    reason: str
    grace: int


@register.simple_tag(takes_context=True)
def one_click(context: dict[str, Any], alert: Alert, planned: Revocation | None) -> Offer | None:
    """Return what one click would do; None where the plan must be looked at first: warnings, no reason, no plan, or
    a log-in so long ago that the password is asked for."""
    if planned is None or not planned.is_fresh() or planned.warnings or revoking.personal(planned, context["user"]):
        return None
    if context.get("asks_password", True):
        return None
    reason = revoking.offered_reason(alert)
    return Offer(reason, settings.REVOKE_GRACE_SECONDS) if reason and alert.is_open() else None


@register.filter
def plan_is_due(alert: Alert) -> bool:
    """Tell whether a plan is being made, so that the button will soon be another."""
    return revoking.wanted(alert)


@register.filter
def action(planned: Revocation) -> str:
    """Return the words of the button that runs the plan."""
    return revoking.action(planned)


@register.filter
def intent(planned: Revocation) -> str:
    """Return what the plan does, in a sentence."""
    return revoking.intent(planned)


@register.filter
def removable_count(alert: Alert) -> int:
    """Return how many things that were left behind Rolecall could remove."""
    return len(revoking.removable(alert))


@register.filter
def unplannable(alert: Alert) -> str:
    """Return why nothing of an alert can be planned, and what to do instead."""
    return revoking.unplannable(alert)


@register.filter
def watched_until(alert: Alert) -> datetime | None:
    """Return until when a return would reopen the alert; None where nothing is watched."""
    return watch.watched_until(alert)
