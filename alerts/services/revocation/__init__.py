"""Taking a role away: planned, rehearsed, agreed to, run once, and proved.

A plan names the very objects it takes away. Nothing is done to any other object, and nothing is called done that was
not found absent afterwards.
"""

from alerts.services.revocation import targets
from alerts.services.revocation.advice import offered_reason
from alerts.services.revocation.by_hand import NotGone, by_hand, confirm_by_hand, restore, stored
from alerts.services.revocation.cautions import personal
from alerts.services.revocation.consent import (
    Outdated,
    RequestRefused,
    approve,
    call_off,
    name_to_type,
    request,
    withdraw_unapproved,
)
from alerts.services.revocation.freshness import current, finished, plannable, renewable, unready, wanted
from alerts.services.revocation.instead import unplannable
from alerts.services.revocation.own_requests import ours
from alerts.services.revocation.planning import NothingToRevoke, plan
from alerts.services.revocation.removal import plan_removal, removable
from alerts.services.revocation.running import PAUSE, due, run
from alerts.services.revocation.summary import action, intent
from alerts.services.revocation.targets import Choice
from alerts.services.revocation.undoing import put_back, undo, undoable, undos_due

__all__ = [
    "PAUSE",
    "Choice",
    "NotGone",
    "NothingToRevoke",
    "Outdated",
    "RequestRefused",
    "action",
    "approve",
    "by_hand",
    "call_off",
    "confirm_by_hand",
    "current",
    "due",
    "finished",
    "intent",
    "name_to_type",
    "offered_reason",
    "ours",
    "personal",
    "plan",
    "plan_removal",
    "plannable",
    "put_back",
    "removable",
    "renewable",
    "request",
    "restore",
    "run",
    "stored",
    "targets",
    "undo",
    "undoable",
    "undos_due",
    "unplannable",
    "unready",
    "wanted",
    "withdraw_unapproved",
]
