"""Which policies should have prevented it: who else could have done this, and what stands open besides.

A review looks at a cluster and keeps what it finds one by one (PostureFinding): each is accepted for a while, marked
fixed, or closes by itself once the cluster shows it no more.
"""

from alerts.services.posture.decisions import DAYS, LONGEST_DAYS, Refused, accept, mark_fixed, withdraw
from alerts.services.posture.evidence import Group, concerning, gaps_of, grouped
from alerts.services.posture.evidence import of as evidence
from alerts.services.posture.look import Found, Look
from alerts.services.posture.powers import look_at_role
from alerts.services.posture.recording import look as look_at_events
from alerts.services.posture.review import record, review

__all__ = [
    "DAYS",
    "LONGEST_DAYS",
    "Found",
    "Group",
    "Look",
    "Refused",
    "accept",
    "concerning",
    "evidence",
    "gaps_of",
    "grouped",
    "look_at_events",
    "look_at_role",
    "mark_fixed",
    "record",
    "review",
    "withdraw",
]
