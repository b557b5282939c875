"""What stands in for the evidence of a role where an alert is about the audit trail itself."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from alerts import rbac

_NO_ROLE = "This alert is about the audit trail itself; no role stands to be looked at."

type Pairs = list[list[str]]


def fields(score: int, factor: str, story: Pairs, creator: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an alert of that score, for that reason, with a first line and an answer to who did it."""
    severity = rbac.Severity.of(score).value
    factors = [[factor, f"at least {score}"]]
    return {
        "evidence": {
            "creator": creator,
            "permissions": {
                "summary": _NO_ROLE,
                "chips": [],
                "known": False,
                "score": {"score": score, "severity": severity, "factors": factors},
            },
            "use": {"summary": _NO_ROLE, "chips": []},
        },
        "story": story,
        "score": score,
        "severity": severity,
        "factors": factors,
    }


def creator(
    summary: str,
    *,
    chips: Pairs | None = None,
    facts: Pairs | None = None,
    lines: Pairs | None = None,
    todo: Iterable[str] = (),
    command: str = "",
) -> dict[str, Any]:
    """Return what answers who did it: facts, lines, what to do, and the command for it."""
    trail = {"facts": facts or [], "lines": lines or [], "todo": list(todo), "command": command}
    return {"summary": summary, "chips": chips or [["high", "Unknown"]], "trail": trail}


def when(at: datetime | None) -> str:
    """Return a time to the second, or that it never came."""
    return utc(at) if at else "never"


def utc(at: datetime) -> str:
    """Return a time to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
