"""An actor whose daily work it is to change permissions, on one cluster."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from alerts.audit.actor_rule import ActorRule
from alerts.models.cluster import Cluster


class KnownActor(models.Model):
    """A rule that makes what an actor does less of a novelty. It hides nothing, and keeps what is grave as grave."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="known_actors")
    name = models.CharField(max_length=80, help_text="What people call it, such as: releases by CI")
    username = models.TextField(help_text="The exact user name. A * stands for anything up to the next : @ or /")
    client = models.TextField(blank=True, default="", help_text="Its user agent; a * stands for anything")
    networks = models.JSONField(default=list, help_text="Every source address must lie in one of them; none: anywhere")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering: ClassVar = ["cluster__name", "name", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "name"], name="known_actor_once_by_name"),
            models.CheckConstraint(condition=~models.Q(username=""), name="known_actor_is_somebody"),
            models.CheckConstraint(condition=~models.Q(username__startswith="*"), name="known_actor_is_anchored"),
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.cluster}"

    @property
    def rule(self) -> ActorRule:
        """The rule, in plain Python."""
        return ActorRule(self.username, self.client, tuple(self.networks))
