"""What Rolecall remembers, one file a model."""

from alerts.models.access import AccessObject, AccessVersion
from alerts.models.activity import Activity
from alerts.models.alert import Alert
from alerts.models.audit_event import AuditEvent
from alerts.models.batch import Batch, DamagedItem
from alerts.models.canary import Canary
from alerts.models.cluster import Cluster
from alerts.models.held_requests import HeldRequests
from alerts.models.known_actor import KnownActor
from alerts.models.mute import Mute
from alerts.models.note import Note, NoteRevision
from alerts.models.notification import Notification
from alerts.models.posture import Acceptance, PostureFinding, PostureReview
from alerts.models.remedy import RemedyItem
from alerts.models.restoration import Restoration
from alerts.models.revocation import Revocation
from alerts.models.saved_view import SavedView
from alerts.models.stakeholder import Channel, Stakeholder
from alerts.models.step import Answer, Step
from alerts.models.watch import Watch

__all__ = [
    "Acceptance",
    "AccessObject",
    "AccessVersion",
    "Activity",
    "Alert",
    "Answer",
    "AuditEvent",
    "Batch",
    "Canary",
    "Channel",
    "Cluster",
    "DamagedItem",
    "HeldRequests",
    "KnownActor",
    "Mute",
    "Note",
    "NoteRevision",
    "Notification",
    "PostureFinding",
    "PostureReview",
    "RemedyItem",
    "Restoration",
    "Revocation",
    "SavedView",
    "Stakeholder",
    "Step",
    "Watch",
]
