"""What Rolecall remembers, one file a model."""

from alerts.models.access import AccessObject, AccessVersion
from alerts.models.activity import Activity
from alerts.models.alert import Alert
from alerts.models.audit_event import AuditEvent
from alerts.models.batch import Batch, DamagedItem
from alerts.models.cluster import Cluster
from alerts.models.note import Note, NoteRevision
from alerts.models.notification import Notification
from alerts.models.restoration import Restoration
from alerts.models.revocation import Revocation
from alerts.models.stakeholder import Channel, Stakeholder
from alerts.models.step import Answer, Step
from alerts.models.watch import Watch

__all__ = [
    "AccessObject",
    "AccessVersion",
    "Activity",
    "Alert",
    "Answer",
    "AuditEvent",
    "Batch",
    "Channel",
    "Cluster",
    "DamagedItem",
    "Note",
    "NoteRevision",
    "Notification",
    "Restoration",
    "Revocation",
    "Stakeholder",
    "Step",
    "Watch",
]
