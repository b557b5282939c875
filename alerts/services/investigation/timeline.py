"""Acts as the lines of a timeline, in the form a page shows them."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from alerts import rbac
from alerts.services.investigation.acts import Act
from alerts.services.investigation.attack import TECHNIQUES

# How acts are marked, what tells most first
_HEATS = ("hot", "warm", "")


def entries(acts: Sequence[Act], *, day: date, limit: int, newest: bool = False) -> dict[str, Any]:
    """Return up to `limit` acts as JSON, the hottest of them or the newest, in order; and how many are left out.

    `day` is the alert's, which need not be said again. Whoever first looks around for long hides nothing by it.
    """
    order = sorted(range(len(acts)), key=lambda at: -at if newest else _HEATS.index(acts[at].heat))
    shown = [acts[at] for at in sorted(order[:limit])]
    return {"shown": [entry(act, day) for act in shown], "left_out": len(acts) - len(shown)}


def entry(act: Act, day: date) -> dict[str, Any]:
    """Return one act as JSON: when, who, the sentence as pairs of emphasis and text, and what it stands for."""
    last = act.events[-1]
    return {
        "at": act.at.isoformat() if act.at else "",
        "until": last.at.isoformat() if len(act.events) > 1 and last.at else "",
        "day": f"{act.at:%b %d}" if act.at and act.at.date() != day else "",
        "by": act.by,
        "name": short(act.by),
        "text": act.text,
        "detail": act.detail,
        "heat": act.heat,
        "outcome": act.outcome.value,
        "purpose": act.purpose.value if act.purpose else "",
        "techniques": [[technique, TECHNIQUES[technique]] for technique in act.techniques],
        "audit_ids": [event.audit_id for event in act.events[:10]],
    }


def short(username: str) -> str:
    """Return a service account by its namespace and name, anybody else by the whole user name."""
    subject = rbac.Subject.of_user(username)
    return f"{subject.namespace}/{subject.name}" if subject.kind == "ServiceAccount" else username
