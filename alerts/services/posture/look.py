"""What one look at a part of a cluster's posture found, and what it can say is not so any more."""

from dataclasses import dataclass, field
from datetime import datetime

from alerts.models import PostureFinding

Kind = PostureFinding.Kind


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that stands open. `key` makes it the same among its kind; `at` is when it was so, None for now."""

    kind: Kind
    key: str
    level: str
    title: str
    detail: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What was found, and how far the look reached.

    Of the `judged` kinds everything was seen: what is not among `found` is fixed. Of others only the `cleared` are. The
    `gaps` say in sentences what could not be looked at.
    """

    found: tuple[Found, ...] = ()
    judged: frozenset[Kind] = frozenset()
    cleared: frozenset[tuple[Kind, str]] = frozenset()
    gaps: tuple[str, ...] = ()
    recorded: dict[str, list[str]] = field(default_factory=dict)
