"""Canaries: harmless requests of our own, whose audit events prove that a cluster's stream is alive."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from alerts.models.cluster import Cluster


class Canary(models.Model):
    """One request that was sent to a cluster, and when its audit event arrived. Nobody else knows its audit ID."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="canaries")
    audit_id = models.CharField(max_length=64, unique=True)
    sent_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True, help_text="When its event was examined")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["cluster", "sent_at"], name="canary_by_time")]
        verbose_name_plural = "canaries"

    def __str__(self) -> str:
        return self.audit_id
