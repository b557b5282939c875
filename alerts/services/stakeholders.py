"""Who is told, and by which connections: added, changed and removed by administrators."""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import ProtectedError

from alerts.models import Activity, Channel, Stakeholder


class InUse(Exception):
    """A Slack connection that stakeholders are still reached by; its text is the sentence people see."""


def save(stakeholder: Stakeholder, *, by: User) -> None:
    """Keep a new or changed stakeholder."""
    verb = "changed" if stakeholder.pk else "added"
    with transaction.atomic():
        stakeholder.save()
        Activity.objects.record(
            f"stakeholder_{verb}",
            f"{verb} the stakeholder {stakeholder.name} ({stakeholder.get_group_display()})",
            by=by,
            detail={"stakeholder": stakeholder.pk, "email": stakeholder.email, "slack": stakeholder.slack_channel},
        )


def remove(stakeholder: Stakeholder, *, by: User) -> None:
    """Remove a stakeholder. What they were told stays on record under their name."""
    with transaction.atomic():
        summary = f"removed the stakeholder {stakeholder.name}"
        Activity.objects.record("stakeholder_removed", summary, by=by, detail={"stakeholder": stakeholder.pk})
        stakeholder.delete()


def save_channel(channel: Channel, *, by: User) -> None:
    """Keep a new or changed Slack connection."""
    verb = "changed" if channel.pk else "added"
    with transaction.atomic():
        channel.save()
        summary = f"{verb} the Slack connection {channel.name}"
        Activity.objects.record(f"channel_{verb}", summary, by=by, detail={"channel": channel.pk})


def remove_channel(channel: Channel, *, by: User) -> None:
    """Remove a Slack connection and its secret.

    Raises InUse.
    """
    with transaction.atomic():
        summary = f"removed the Slack connection {channel.name}"
        Activity.objects.record("channel_removed", summary, by=by, detail={"channel": channel.pk})
        try:
            channel.delete()
        except ProtectedError:
            names = ", ".join(channel.stakeholders.values_list("name", flat=True))
            raise InUse(f"{channel.name} is how {names} hear from us. Change that first.") from None
