"""Taking a role away: planned, rehearsed, agreed to, run once, and proved.

A plan names the very objects it takes away. Nothing is done to any other object, and nothing is called done that was
not found absent afterwards.
"""

from alerts.services.revocation.advice import offered_reason
from alerts.services.revocation.by_hand import NotGone, by_hand, confirm_by_hand, restore, stored
from alerts.services.revocation.cautions import personal
from alerts.services.revocation.consent import Outdated, RequestRefused, call_off, request
from alerts.services.revocation.instead import unplannable
from alerts.services.revocation.own_requests import ours
from alerts.services.revocation.planning import NothingToRevoke, current, finished, plan, plannable, unplanned, wanted
from alerts.services.revocation.running import PAUSE, due, run
from alerts.services.revocation.summary import action, intent

__all__ = [
    "PAUSE",
    "NotGone",
    "NothingToRevoke",
    "Outdated",
    "RequestRefused",
    "action",
    "by_hand",
    "call_off",
    "confirm_by_hand",
    "current",
    "due",
    "finished",
    "intent",
    "offered_reason",
    "ours",
    "personal",
    "plan",
    "plannable",
    "request",
    "restore",
    "run",
    "stored",
    "unplannable",
    "unplanned",
    "wanted",
]
