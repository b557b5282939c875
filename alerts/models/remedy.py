"""What was left behind under a role's authority, and who dealt with it."""

import hashlib
from typing import ClassVar

from django.conf import settings
from django.db import models

from alerts.models.alert import Alert


class RemedyItem(models.Model):
    """One thing that was left behind, or has to be replaced: whether it is still there, and who ticked it off when."""

    class State(models.TextChoices):
        """Whether it is still there, as far as the cluster can be asked."""

        THERE = "there", "Still there"
        GONE = "gone", "Gone"
        UNKNOWN = "unknown", "Unknown"
        READ = "read", "Was read"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="remedy_items")
    digest = models.CharField(max_length=64, editable=False)
    kind = models.CharField(
        max_length=16, help_text="workload, account, token, secret, role, certificate, guard, other"
    )
    title = models.TextField()
    note = models.TextField(blank=True, default="")
    command = models.TextField(help_text="How to end it by hand, quoted for a shell")
    made_by = models.TextField()
    made_at = models.DateTimeField(null=True)
    besides = models.BooleanField(default=False, help_text="Done by the maker under other permissions than the role's")
    object_kind = models.CharField(max_length=64, blank=True, default="", help_text="Of the object whose return counts")
    namespace = models.TextField(blank=True, default="")
    name = models.TextField(blank=True, default="")
    state = models.CharField(max_length=8, choices=State, default=State.UNKNOWN)
    asked_at = models.DateTimeField(null=True, help_text="When the cluster last said so")
    ticked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    ticked_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["alert", "digest"], name="remedy_item_once"),
            models.CheckConstraint(
                condition=models.Q(ticked_by__isnull=True, ticked_at__isnull=True)
                | models.Q(ticked_by__isnull=False, ticked_at__isnull=False),
                name="remedy_item_ticked_by_somebody",
            ),
        ]
        ordering: ClassVar = ["made_at", "pk"]

    def __str__(self) -> str:
        return f"{self.alert.reference}: {self.title}"

    @staticmethod
    def digest_of(kind: str, title: str) -> str:
        """Return the key of an item in its alert."""
        return hashlib.sha256(f"{kind}\0{title}".encode("utf-8", "surrogatepass")).hexdigest()
