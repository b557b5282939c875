"""What stands open on a cluster: findings, what people decided about them, and how many there were each day."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils import timezone

from alerts.models.alert import Alert
from alerts.models.cluster import Cluster


class PostureFindingQuerySet(models.QuerySet["PostureFinding"]):
    """Questions about many findings."""

    def standing(self) -> "PostureFindingQuerySet":
        """Keep those that are not fixed, accepted ones among them."""
        return self.filter(closed_at=None)

    def accepted(self) -> "PostureFindingQuerySet":
        """Keep those that are not fixed, and that somebody accepted until a date still to come."""
        return self.standing().filter(Exists(_in_force()))

    def open(self) -> "PostureFindingQuerySet":
        """Keep those that are neither fixed nor accepted."""
        return self.standing().exclude(Exists(_in_force()))


def _in_force() -> models.QuerySet["Acceptance"]:
    return Acceptance.objects.in_force().filter(finding=OuterRef("pk"))


class PostureFinding(models.Model):
    """One thing that stands open, from when it was first seen until it is fixed. One that returns is a new row."""

    class Kind(models.TextChoices):
        """What is open."""

        PUBLIC = "public", "Granted to anybody, without log-in"
        EVERYBODY = "everybody", "Granted to everybody who can log in"
        ESCALATE = "escalate", "May escalate: give roles more than they hold themselves"
        BIND = "bind", "May bind roles that they do not hold"
        IMPERSONATE = "impersonate", "May act as somebody else"
        CREATE = "create", "May make roles or bindings for the whole cluster"
        MAKERS = "makers", "Could make such a role"
        BINDERS = "binders", "Could bind this role to anybody"
        EQUALS = "equals", "Hold as much as this role permits"
        NETWORK = "network", "Namespaces without a network policy"
        PODS = "pods", "Namespaces without a pod security level"
        ADMISSION = "admission", "Admission policies"
        AUDIT = "audit", "What the audit policy does not record"
        AUDIT_SECRETS = "audit-secrets", "What the audit policy records too much of"

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="posture_findings")
    alert = models.ForeignKey(
        Alert,
        on_delete=models.CASCADE,
        null=True,
        related_name="posture_findings",
        help_text="Whose role it is about; empty for what is so whatever role there is",
    )
    digest = models.CharField(max_length=64, editable=False, help_text="What makes it the same finding")
    kind = models.CharField(max_length=16, choices=Kind)
    level = models.CharField(max_length=8, choices=Alert.Severity)
    title = models.TextField()
    detail = models.TextField(blank=True, default="", help_text="The evidence: by which binding, in which namespace")
    first_seen = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    fixed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Who said it is fixed; empty where the cluster shows it",
    )

    objects = PostureFindingQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cluster", "digest"], condition=models.Q(closed_at=None), name="posture_finding_once"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["cluster", "closed_at"], name="posture_finding_open")]
        ordering: ClassVar = ["kind", "title", "pk"]

    def __str__(self) -> str:
        return f"{self.cluster.name}: {self.title}"

    def acceptance(self) -> "Acceptance | None":
        """Return the acceptance that is in force, or None."""
        return next((each for each in self.acceptances.all() if each.is_in_force()), None)


class AcceptanceQuerySet(models.QuerySet["Acceptance"]):
    """Questions about many acceptances."""

    def in_force(self) -> "AcceptanceQuerySet":
        """Keep those that hold now."""
        return self.filter(withdrawn_at=None, until__gt=timezone.now())


class Acceptance(models.Model):
    """Somebody's decision to live with a finding, for a reason and until a date."""

    finding = models.ForeignKey(PostureFinding, on_delete=models.CASCADE, related_name="acceptances")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    objects = AcceptanceQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=~models.Q(reason=""), name="accepted_for_a_reason")]
        ordering: ClassVar = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.by.username} accepts until {self.until:%Y-%m-%d}: {self.reason}"

    def is_in_force(self) -> bool:
        """Tell whether it holds now."""
        return self.withdrawn_at is None and self.until > timezone.now()


class PostureReview(models.Model):
    """The newest look at a cluster's posture on one day: how many findings stood, and what could not be looked at."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="posture_reviews")
    day = models.DateField()
    at = models.DateTimeField()
    open_count = models.PositiveIntegerField(default=0)
    accepted_count = models.PositiveIntegerField(default=0)
    gaps = models.JSONField(default=list, help_text="What was not evaluated and why, in sentences")
    recorded = models.JSONField(default=dict, help_text="Of each kind of request, the audit levels seen that day")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["cluster", "day"], name="posture_review_once_a_day")]
        ordering: ClassVar = ["-day"]

    def __str__(self) -> str:
        return f"{self.cluster.name} on {self.day}: {self.open_count} open"
