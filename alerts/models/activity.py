"""Who did what, when: append-only and chained by hashes, so that an edit shows."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models, transaction
from django.utils import timezone

from alerts.models.alert import Alert
from alerts.models.cluster import Cluster


class Unalterable(Exception):
    """An attempt to change or remove what is recorded."""


class ActivityManager(models.Manager["Activity"]):
    """Records, and checks what was recorded."""

    def record(
        self,
        kind: str,
        summary: str,
        *,
        by: User | None,
        alert: Alert | None = None,
        cluster: Cluster | None = None,
        detail: dict[str, Any] | None = None,
    ) -> "Activity":
        """Append a record to the chain of its alert, or to the chain of everything that belongs to none."""
        with transaction.atomic():
            # Two records at once would claim the same predecessor. What is held is never the last record: who waits for
            # a row is given that very row, though another came behind it meanwhile.
            chain = self.filter(alert=alert)
            held = chain.order_by("pk")[:1] if alert is None else Alert.objects.filter(pk=alert.pk)
            list(held.select_for_update(no_key=True).values_list("pk"))
            digests = chain.order_by("-pk").values_list("digest", flat=True)
            record = Activity(
                kind=kind,
                summary=summary,
                by=by,
                alert=alert,
                cluster=cluster or (alert.cluster if alert else None),
                detail=detail or {},
                previous_digest=digests.first() or "",
            )
            record.digest = record.computed_digest()
            record.save(force_insert=True)
            return record

    def begin(self, kind: str, summary: str, *, by: User | None, details: Mapping[Alert, dict[str, Any]]) -> None:
        """Record the same as the first of each of these alerts, which were made in this transaction."""
        records = [
            Activity(kind=kind, summary=summary, by=by, alert=alert, cluster=alert.cluster, detail=detail)
            for alert, detail in details.items()
        ]
        for record in records:
            record.digest = record.computed_digest()
        self.bulk_create(records)

    def broken(self, alert: Alert | None) -> "list[Activity]":
        """Return the records of a chain that fit their content or predecessor no longer: none, if it is intact."""
        wrong, previous = [], ""
        for record in self.filter(alert=alert).order_by("pk"):
            if record.previous_digest != previous or record.digest != record.computed_digest():
                wrong.append(record)
            previous = record.digest
        return wrong


class Activity(models.Model):
    """One thing that a person or the system did."""

    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, null=True, related_name="activities")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, null=True, related_name="activities")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Empty for the system",
    )
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=32)
    summary = models.TextField()
    detail = models.JSONField(default=dict)
    previous_digest = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64)

    objects = ActivityManager()

    class Meta:
        ordering: ClassVar = ["at", "pk"]
        verbose_name_plural = "activities"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.summary}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; an existing record is never updated.

        Raises Unalterable.
        """
        if not self._state.adding:
            raise Unalterable("What was done stays recorded as it was.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refuse.

        Raises Unalterable.
        """
        raise Unalterable("What was done stays recorded.")

    def computed_digest(self) -> str:
        """Return the hash over everything recorded and the digest before."""
        content = [
            self.alert_id,
            self.cluster_id,
            self.by_id,
            self.at.isoformat(),
            self.kind,
            self.summary,
            self.detail,
        ]
        return hashlib.sha256((self.previous_digest + json.dumps(content, sort_keys=True)).encode()).hexdigest()
