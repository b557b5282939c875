"""Views of the queue that somebody keeps under a name."""

from typing import ClassVar

from django.conf import settings
from django.db import models


class SavedView(models.Model):
    """A filter of the queue with a name: its owner's, or everybody's where it is shared."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=40)
    query = models.TextField(blank=True, default="", help_text="The query string, without what is the default")
    shared = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "name"], name="saved_view_once_by_name")]

    def __str__(self) -> str:
        return self.name
