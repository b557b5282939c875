"""Audit events kept for good, because an alert or a version of a role rests on them."""

from datetime import datetime
from functools import cached_property
from typing import ClassVar

from django.db import models

from alerts.models.cluster import Cluster


class AuditEvent(models.Model):
    """One audit event. Keyed by the hash of its bytes: its auditID is chosen by the client."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="audit_events")
    sha256 = models.CharField(max_length=64)
    audit_id = models.TextField()
    level = models.CharField(max_length=32, blank=True)
    stage = models.CharField(max_length=32, blank=True)
    at = models.DateTimeField(help_text="requestReceivedTimestamp")
    verb = models.TextField()
    username = models.TextField(blank=True)
    groups = models.JSONField(null=True, help_text="Unknown where the envelope has none, as Google's")
    impersonated = models.JSONField(null=True, help_text="username and groups of the impersonated user")
    group = models.TextField(blank=True, help_text="API group")
    resource = models.TextField(blank=True)
    subresource = models.TextField(blank=True)
    namespace = models.TextField(blank=True)
    name = models.TextField(blank=True)
    request_uri = models.TextField(blank=True)
    code = models.PositiveSmallIntegerField(null=True)
    source_ips = models.JSONField(null=True)
    user_agent = models.TextField(blank=True)
    decision = models.CharField(max_length=16, blank=True, help_text="authorization.k8s.io/decision")
    reason = models.TextField(blank=True, help_text="authorization.k8s.io/reason")
    dry_run = models.BooleanField(null=True, help_text="Unknown for a deletion at Metadata level")
    incomplete = models.BooleanField(default=False, help_text="Cut by the API server or on the way")
    body = models.JSONField(help_text="The whole event, redacted")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["cluster", "sha256"], name="audit_event_once")]
        indexes: ClassVar = [models.Index(fields=["cluster", "at"], name="audit_event_by_time")]
        ordering: ClassVar = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.username} {self.verb} {self.resource}"

    @cached_property
    def ended_at(self) -> datetime:
        """When the request was over, as `Event.ended_at` has it; when it began where nobody recorded that."""
        try:
            ended = datetime.fromisoformat(self.body.get("stageTimestamp"))
        except (TypeError, ValueError):
            return self.at
        return max(self.at, ended) if ended.tzinfo else self.at
