"""Notes that analysts write on an alert."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from alerts.models.alert import Alert
from alerts.models.step import Step


class Note(models.Model):
    """A note in Markdown. It is rendered through a sanitiser, never as it stands."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="notes")
    step = models.ForeignKey(Step, on_delete=models.SET_NULL, null=True, blank=True, related_name="notes")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField(max_length=20_000)
    written_at = models.DateTimeField(default=timezone.now)
    edited_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["written_at", "pk"]

    def __str__(self) -> str:
        return f"{self.alert.reference}: {self.text[:40]}"


class NoteRevision(models.Model):
    """The text of a note before it was edited."""

    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="revisions")
    text = models.TextField()
    replaced_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["replaced_at", "pk"]

    def __str__(self) -> str:
        return f"{self.note_id} before {self.replaced_at.isoformat()}"
