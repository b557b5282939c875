"""The inbox: request bodies as they came from an API server, stored before they are answered."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from alerts.models.cluster import Cluster


class Batch(models.Model):
    """One body of audit events. It is unique by its content, so a repeated post costs one look-up."""

    class State(models.TextChoices):
        """How far a batch has come."""

        WAITING = "waiting"
        LEASED = "leased"
        DONE = "done"
        QUARANTINED = "quarantined"

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="batches")
    sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State, default=State.WAITING)
    received_at = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True, default="")
    size = models.PositiveIntegerField(help_text="Bytes, before compression")
    event_count = models.PositiveIntegerField(default=0)
    damaged_count = models.PositiveIntegerField(default=0)
    earliest_at = models.DateTimeField(null=True, help_text="Of its events")
    latest_at = models.DateTimeField(null=True, help_text="Of its events")
    # What the evidence search looks at before it opens the body: lines such as "role ClusterRole//x" and "actor jane".
    mentions = models.TextField(blank=True, default="")
    body = models.BinaryField(help_text="Compressed and encrypted")
    alert = models.ForeignKey(
        "alerts.Alert",
        on_delete=models.SET_NULL,
        null=True,
        related_name="quarantined_batches",
        help_text="Opened since it could not be examined",
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "sha256"], name="batch_once"),
            models.CheckConstraint(
                condition=models.Q(state="leased", leased_until__isnull=False) | ~models.Q(state="leased"),
                name="batch_lease_has_an_end",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "leased_until"], name="batch_claim"),
            models.Index(fields=["state", "received_at"], name="batch_oldest"),
            models.Index(fields=["cluster", "latest_at"], name="batch_search"),
        ]

    def __str__(self) -> str:
        return f"{self.cluster_id}/{self.sha256[:12]}"


class DamagedItem(models.Model):
    """An item of a batch that could not be read as an audit event. It is kept, counted and shown."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="damaged_items")
    batch = models.ForeignKey(Batch, on_delete=models.SET_NULL, null=True, related_name="damaged_items")
    sha256 = models.CharField(max_length=64)
    position = models.PositiveIntegerField(help_text="In its batch, from 0")
    reason = models.TextField()
    salvaged = models.JSONField(default=dict, help_text="Fields that could be recovered")
    size = models.PositiveIntegerField(help_text="Bytes, before compression")
    body = models.BinaryField(help_text="Compressed and encrypted")
    received_at = models.DateTimeField(default=timezone.now)
    alert = models.ForeignKey(
        "alerts.Alert",
        on_delete=models.SET_NULL,
        null=True,
        related_name="damaged_items",
        help_text="Opened since it is damaged",
    )

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["cluster", "sha256"], name="damaged_item_once")]

    def __str__(self) -> str:
        return f"{self.cluster_id}/{self.sha256[:12]}: {self.reason}"
