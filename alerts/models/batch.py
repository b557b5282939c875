"""The inbox: request bodies as they came from an API server, stored before they are answered."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.db import connection, models
from django.utils import timezone

from alerts.models.cluster import Cluster


class BatchManager(models.Manager["Batch"]):
    """How batches are finished."""

    def finish(self, batches: Iterable["Batch"]) -> None:
        """Store what was found in batches, and that they are done. Belongs into the transaction that stores the rest.

        In one statement with many rows, for otherwise this takes the worker longer than to read them.
        """
        fields = {field.name: field for field in Batch._meta.concrete_fields}
        rows: list[list[Any]] = []
        for batch in batches:
            batch.state, batch.leased_until, batch.error = Batch.State.DONE, None, ""
            rows.append([fields[name].get_db_prep_save(getattr(batch, name), connection) for name in _FINISHED])
        with connection.cursor() as cursor:
            cursor.executemany(_FINISH, rows)


class Batch(models.Model):
    """One body of audit events. It is unique by its content, so a repeated post costs one look-up."""

    class State(models.TextChoices):
        """How far a batch has come."""

        WAITING = "waiting"
        LEASED = "leased"
        DONE = "done"
        QUARANTINED = "quarantined"

    # Somebody is to examine these, or just does.
    UNEXAMINED: ClassVar = (State.WAITING, State.LEASED)

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

    objects: ClassVar[BatchManager] = BatchManager()

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


# Its places are filled with the fields below, in their order.
_FINISH = """
    UPDATE alerts_batch
    SET state = %s, leased_until = %s, error = %s,
        event_count = %s, damaged_count = %s, earliest_at = %s, latest_at = %s, mentions = %s
    WHERE id = %s
"""
_FINISHED = (
    "state", "leased_until", "error",
    "event_count", "damaged_count", "earliest_at", "latest_at", "mentions",
    "id",
)  # fmt: skip


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
