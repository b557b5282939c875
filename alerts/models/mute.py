"""What nobody needs to see for a while."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from alerts.models.cluster import Cluster

LONGEST = timedelta(days=90)


class MuteQuerySet(models.QuerySet["Mute"]):
    """Questions about many mutes."""

    def running(self, at: datetime | None = None) -> "MuteQuerySet":
        """Keep those that mute what opens now, or opened then."""
        at = at or timezone.now()
        return self.filter(Q(ended_at=None) | Q(ended_at__gt=at), created_at__lte=at, expires_at__gt=at)


class Mute(models.Model):
    """Alerts that fit are kept and counted, and stay out of the queue. It ends by itself, and has a reason.

    An empty field fits everything. In the actor and the object a `*` stands for anything.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, blank=True, related_name="mutes")
    detection = models.CharField(max_length=64, blank=True, default="")
    actor = models.TextField(blank=True, default="")
    object = models.TextField(blank=True, default="", help_text="Kind and name, such as: ClusterRole certkeeper-*")
    covers_critical = models.BooleanField(default=False)
    reason = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    applied = models.BooleanField(default=False, help_text="To all that was open when it began")
    preview = models.JSONField(default=dict, help_text="What it would have hidden, as it was shown before")

    objects = MuteQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at"), expires_at__lte=F("created_at") + LONGEST),
                name="mute_expires_within_90_days",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="mute_has_a_reason"),
            models.CheckConstraint(condition=~Q(detection="", actor="", object=""), name="mute_is_not_of_everything"),
            models.CheckConstraint(
                condition=Q(covers_critical=False)
                | (
                    Q(cluster__isnull=False)
                    & ~Q(actor="")
                    & ~Q(object="")
                    & ~Q(actor__contains="*")
                    & ~Q(object__contains="*")
                ),
                name="mute_covers_critical_only_of_one_object_and_actor",
            ),
        ]

    def __str__(self) -> str:
        parts = (self.cluster and self.cluster.name, self.detection, self.actor and f"by {self.actor}", self.object)
        return ", ".join(str(part) for part in parts if part)

    def is_running(self) -> bool:
        """Tell whether it mutes what opens now."""
        now = timezone.now()
        return self.created_at <= now < self.expires_at and (self.ended_at is None or self.ended_at > now)
