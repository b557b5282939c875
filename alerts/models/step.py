"""The state of an alert's checklist."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from alerts import playbook
from alerts.models.alert import Alert


class Step(models.Model):
    """One item of an alert's checklist. Its state is its newest answer; earlier ones stay."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="steps")
    key = models.CharField(max_length=16, choices=[(step.key, step.title) for step in playbook.STEPS])
    outcome = models.CharField(max_length=16, blank=True, default="", help_text="Empty while it is open")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["alert", "key"], name="step_once_an_alert")]

    def __str__(self) -> str:
        return f"{self.alert.reference} {self.key}"

    @property
    def definition(self) -> playbook.Step:
        """What the playbook says of this step."""
        return playbook.step(self.key)

    def answer(self) -> "Answer | None":
        """Return the answer that stands, or None while the step is open."""
        return self.answers.order_by("-at", "-pk").first() if self.outcome else None


class Answer(models.Model):
    """What somebody concluded on a step, and the evidence that lay before them. An empty outcome reopened it."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="answers")
    outcome = models.CharField(max_length=16, blank=True)
    reason = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    evidence = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.step}: {self.outcome or 'reopened'}"

    @property
    def label(self) -> str:
        """The outcome in people's words."""
        return self.step.definition.outcome(self.outcome).label if self.outcome else "Reopened"
